"""The state of one execution: workers, clients and locks between steps, and what a step does to them."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import Any

from harness.control.lanes import ClientState, Move, WorkerState, callers, passed, source_of
from harness.control.moves import Moves
from harness.control.processes import Fleet, WorkerDied, WorkerStuck
from harness.errors import HarnessError, SetupFailed
from harness.history import Access, Event, Step
from harness.scenario import Scenario, Workload
from harness.wire import GIVE_UP, GO, Message

__all__ = ["Broke", "Stage"]

_EVERYTHING = (Access("*", "w"),)
"""What a fault touches: it conflicts with every other step."""

_INVOKED, _ENDED = Access("history", "i"), Access("history", "o")
_BY_ORDER = attrgetter("order")
_accesses: dict[tuple[str, str], Access] = {}


class Broke(HarnessError):
    """A worker reported that it can't go on."""


class Stage:
    """See the module's text. ``events`` is the history so far, ``changed`` that the shared state may have changed."""

    def __init__(
        self, scenario: Scenario, fleet: Fleet, workload: Workload, seed: int, db: Path, concurrent: bool
    ) -> None:
        self._scenario, self._fleet, self._seed, self._db = scenario, fleet, seed, str(db)
        self._concurrent = concurrent
        self._at_first_call = scenario.open is None
        self._states = [
            WorkerState(worker, count <= 1) for worker, count in zip(fleet.workers, callers(workload), strict=False)
        ]
        self._clients = [ClientState(number, client) for number, client in enumerate(workload.clients)]
        self.kills = scenario.kills
        self._running: set[int] = set()
        self.now = 0.0
        self.last = ""
        self._steps = 0
        self._unended = sum(bool(client.calls) for client in self._clients)
        self._moves = Moves()
        self.failed: Event | None = None
        self.continues = False
        self.events: list[Event] = []
        self.changed = False

    # Beginning and end

    def prepare(self, isolated: bool) -> None:
        """Have every worker open its application, in a fresh process each if *isolated*."""
        for state in self._states:
            if isolated or not state.worker.pid:
                (self._fleet.renew if state.worker.pid else self._fleet.fork)(state.worker)
            if not self._at_first_call:
                self._open(state)
        for client in self._clients:
            self._offer(client)

    def _open(self, state: WorkerState) -> None:
        self._running.add(state.worker.number)
        news, _ = state.worker.ask("prepare", self.now, *self._beginning(state))
        for item in news:
            if item[0] == "unopened":
                if self._steps:
                    raise Broke(
                        f"Worker {state.worker.number}, forked anew, could not open its application: {item[1]}."
                    )
                raise SetupFailed(f"Worker {state.worker.number} could not open its application: {item[1]}")
            elif item[0] == "broken":
                raise Broke(f"Worker {state.worker.number} could not begin: {item[1]}.")

    def _beginning(self, state: WorkerState) -> tuple[str, str, bool]:
        """Return what a worker needs to begin: its seed (new for each beginning), the database, whether one client calls."""
        seed = f"{self._seed}/{state.beginnings}"
        state.beginnings += 1
        return seed, self._db, state.alone

    def finish(self) -> list[str]:
        """Have every worker that has not ended by itself close; return what was left in a transaction."""
        left: list[str] = []
        for state in self._states:
            if state.worker.number in self._running:
                left += self._closed(state, state.worker.ask("finish", self.now))
        return left

    def _closed(self, state: WorkerState, report: Message) -> list[str]:
        for item in report[0]:
            if item[0] == "closed":
                self._running.discard(state.worker.number)
                return [f"{state.name}: {text}" for text in item[1]]
            if item[0] == "broken":
                raise Broke(f"Worker {state.worker.number} could not end: {item[1]}.")
        raise Broke(f"Worker {state.worker.number} went on instead of closing.")

    def clear(self) -> None:
        """Bring every worker that is still in the execution out of it; replace one that does not come."""
        for state in self._states:
            if state.worker.number not in self._running:
                continue
            try:
                self._closed(state, state.worker.ask("abort", self.now))
            except (WorkerDied, WorkerStuck, Broke, BrokenPipeError):
                self._fleet.renew(state.worker)
                self._running.discard(state.worker.number)

    # What can be done

    @property
    def all_ended(self) -> bool:
        """Whether every client has made its last call and heard of it."""
        return not self._unended

    def unfinished(self) -> list[str]:
        """The calls under way, in words."""
        return [f"{client.name} {client.calls[client.next_call]}" for client in self._clients if client.busy]

    def moves(self) -> list[Move]:
        """Return what can be done now, first what goes on with the call that ran last, faults last.

        Empty when only time can help. ``continues`` is set to whether the first one goes on with that call.
        """
        enabled = self._moves.enabled
        if not enabled:
            self.continues = False
            return []
        found = list(enabled.values())
        last = self.last
        if len(found) > 1:
            found.sort(key=_BY_ORDER)
            found.sort(key=lambda move: move.family != last or move.kind == "timer")
        self.continues = found[0].family == last and found[0].kind != "timer"
        if self.kills:
            found += [Move(state, f"!kill:{state.name}", "", "kill", "SIGKILL") for state in self._states if state.used]
        return found

    def _offer(self, client: ClientState) -> None:
        """Make the call that *client* makes next a possible move, once its worker can take it."""
        call = client.call
        if call is None:
            return
        state = self._states[call.worker]
        name = client.lane if client.lane not in state.parked else f"{client.lane}+call"
        arguments = ", ".join(map(repr, call.arguments))
        move = Move(state, name, client.lane, "call", f"{call.operation}({arguments})", client=client)
        move.cause = self._steps if self.events else -1
        self._moves.offer(move, waits=not self._concurrent and bool(state.calls))

    def shuts_out(self, move: Move) -> bool:
        """Whether making *move* keeps other clients from calling its worker."""
        return move.client is not None and not self._concurrent and not move.state.alone

    def _free_or_busy(self, state: WorkerState) -> None:
        """A worker that takes one call at a time has taken one, or ended it: hold the others back, or offer them."""
        if not self._concurrent and not state.alone:
            self._moves.hold_calls(state, bool(state.calls))

    def waiting(self, inside: bool) -> list[Move]:
        """Return what waits for a lock *inside* SQLite, or else what was refused one and would ask again."""
        return self._moves.waiting_for_locks(inside)

    def advance(self) -> bool:
        """Let virtual time jump to the next deadline; return False if there is none."""
        timers = [state.timer for state in self._states if state.timer is not None]
        later = [time for time in (*self._moves.deadlines(), *(when for when, _ in timers)) if time > self.now]
        if not later:
            return False
        self.now = min(later)
        self._moves.due(self.now)
        for when, move in timers:
            if when <= self.now:
                move.detail = f"at {self.now:g} s"
                self._moves.offer(move)
        return True

    def where_they_wait(self) -> list[str]:
        """Ask the workers at which lines their unfinished tasks wait."""
        found: list[str] = []
        for state in self._states:
            if self._concurrent and state.calls:
                news, _ = state.worker.ask("where", self.now)
                places = [(item[1], source_of(item[2])) for item in news if item[0] == "waiting"]
                found += [f"{state.name} {lane} waits at {source}" for lane, source in places if source]
        return found

    # Doing it

    def take(self, move: Move, preempts: bool, ahead: int = 0) -> list[Step]:
        """Do *move*; return the steps taken: none where a blocked operation only went on waiting.

        With *ahead*, the worker goes on by itself with up to so many operations of the same task, as long as nothing
        it does matters to anybody else; each is a step. Raises ``WorkerDied`` and ``WorkerStuck``.
        """
        if move.fault:
            self.kills -= 1
            self._fleet.kill(move.state.worker)
            return [self.lost(move, "")]
        state = move.state
        now = self.now
        resumed = move.blocked
        gives_up = resumed and move.gives_up(now)
        self._moves.drop(move)
        if move.key is not None:
            del state.parked[move.key]
            report = state.worker.ask("go", now, move.key, GIVE_UP if gives_up else GO, ahead)
        elif move.client is not None:
            report = self._invoke(move, move.client, ahead)
        else:
            report = state.worker.ask("tick", now)
        steps, last, accesses = passed(move, report[0], self._first_accesses(move), now, preempts)
        self._steps += len(steps)
        if steps:
            last.cause = self._steps - 1
        error, blocked, visible = self._absorb(last, report, accesses)
        first = not steps
        if blocked and resumed and first and not visible:
            return []
        self._steps += 1
        self.last = move.family
        return [
            *steps,
            last.step(now, accesses, blocked, resumed and first, gives_up and first, preempts and first, error),
        ]

    def passed_before_death(self, move: Move, records: list[Message], preempts: bool) -> tuple[list[Step], Move]:
        """Return the steps that a worker took before the one in which it died, and that one, from the trail it left."""
        steps, last, _ = passed(move, records, self._first_accesses(move), self.now, preempts)
        self._steps += len(steps)
        return steps, last

    def _first_accesses(self, move: Move) -> list[Access]:
        invokes = move.client is not None and self._scenario.ordered
        return [move.state.process, _INVOKED] if invokes else [move.state.process]

    def _invoke(self, move: Move, client: ClientState, ahead: int) -> Message:
        state = move.state
        call = client.calls[client.next_call]
        client.busy = state.used = True
        state.calls[client.lane] = client
        self._free_or_busy(state)
        self._note("invoke", client)
        beginning = None
        if state.worker.number not in self._running:
            self._running.add(state.worker.number)
            beginning = self._beginning(state)
        return state.worker.ask("call", self.now, client.lane, call.operation, call.arguments, ahead, beginning)

    def _note(self, kind: str, client: ClientState, value: Any = None, error: str = "") -> Event:
        call = client.calls[client.next_call]
        event = Event(
            kind, client.name, client.next_call, call.worker, call.operation, call.arguments, self._steps, self.now, value,
            error,
        )  # fmt: skip
        self.events.append(event)
        return event

    def _absorb(self, move: Move, report: Message, accesses: list[Access]) -> tuple[str, bool, bool]:
        """Note everything *report* says: what parked, what was touched, which calls ended.

        Return the error that the operation ended with, and whether it waits for a lock now, visibly to others.
        """
        state = move.state
        news, timer = report
        error, blocked, visible = "", False, False
        busy: tuple[str, ...] = ()
        for item in news:
            tag = item[0]
            if tag == "parked":
                self._park(state, *item[1:])
            elif tag == "access":
                key = item[1], item[2]
                access = _accesses.get(key)
                if access is None:
                    access = _accesses[key] = Access(*key)
                accesses.append(access)
                if item[2] == "w" and item[1].startswith("data:"):
                    self.changed = True
            elif tag == "returned":
                self._ended(state, *item[1:])
                if self._scenario.ordered:
                    accesses.append(_ENDED)
            elif tag == "released":
                self._moves.released(item[1])
            elif tag == "blocked":
                blocked = True
                self._block(move, *item[1:])
            elif tag == "visible":
                visible = True
            elif tag == "busy":
                busy = item[1]
            elif tag == "error":
                error = item[1]
            elif tag == "closed":
                self._running.discard(state.worker.number)
            elif tag == "outside":
                raise Broke(
                    f"Worker {state.worker.number} ran {item[1]}, which the harness does not control: a thread that the code "
                    "under test started itself. What such threads do is not explored, so nothing can be said."
                )
            elif tag == "broken":
                raise Broke(f"Worker {state.worker.number} can't go on: {item[1]}.")
        if busy:
            self._will_spin(move, busy)
        self._set_timer(state, timer)
        return error, blocked, visible

    def _park(
        self,
        state: WorkerState,
        key: str,
        lane: str,
        kind: str,
        text: str,
        detail: str,
        place: Any,
        not_before: float | None,
    ) -> None:
        move = state.parked[key] = Move(state, key, lane, kind, text, detail, source_of(place), key=key)
        move.cause = self._steps
        if not_before is not None and not_before > self.now:
            move.not_before = not_before
            self._moves.offer(move, waits=True)
        else:
            self._moves.offer(move)

    def _block(self, move: Move, key: str, deadline: float, files: tuple[str, ...]) -> None:
        """The operation just let go waits for a lock, from now on under *key*."""
        state = move.state
        blocked = Move(state, key, move.lane, move.kind, move.text, move.detail, move.source, key=key)
        blocked.blocked, blocked.deadline, blocked.cause = True, deadline, move.cause
        state.parked[key] = blocked
        self._moves.hold(blocked, files)

    def _set_timer(self, state: WorkerState, timer: Any) -> None:
        if state.timer is not None:
            self._moves.drop(state.timer[1])
            state.timer = None
        if timer is not None:
            when, lane, place = timer
            move = Move(state, "clock", lane, "timer", "timer", f"at {when:g} s", source_of(place))
            move.cause = self._steps
            state.timer = when, move
            if when <= self.now:
                self._moves.offer(move)

    def _ended(self, state: WorkerState, lane: str, kind: str, value: Any, error: str) -> None:
        client = state.calls.pop(lane)
        event = self._note(kind, client, value, error)
        self._next(state, client)
        self.changed = True
        if kind == "fail" and error not in self._scenario.expected_errors and self.failed is None:
            self.failed = event

    def _next(self, state: WorkerState, client: ClientState) -> None:
        client.busy = False
        client.next_call += 1
        self._free_or_busy(state)
        if client.next_call < len(client.calls):
            self._offer(client)
        else:
            self._unended -= 1

    def _will_spin(self, move: Move, files: tuple[str, ...]) -> None:
        """The statement was refused at once. If the code asks again, that is waiting: not before a lock was released."""
        for parked in move.state.parked.values():
            same = parked.lane == move.lane and parked.text == move.text and parked.source == move.source
            if same and not parked.blocked and parked.choice in self._moves.enabled:
                self._moves.hold(parked, files)

    def lost(self, move: Move, how: str) -> Step:
        """*move*'s worker is dead: nobody knows what became of its calls; a fresh process takes its place."""
        state = move.state
        self._running.discard(state.worker.number)
        self._moves.forget(state)
        state.parked.clear()
        state.timer = None
        self._fleet.fork(state.worker)
        if not self._at_first_call:
            self._open(state)
        calls = list(state.calls.values())
        state.calls.clear()
        for client in calls:
            self._note("info", client)
            self._next(state, client)
        self._moves.released(None)
        self.changed = True
        self.last = ""
        self._steps += 1
        move.text = f"{move.text} -- the worker {how}" if how else move.text
        return move.step(self.now, _EVERYTHING)
