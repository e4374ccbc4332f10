"""The state of one execution: workers, clients and locks between steps, and what a step does to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.control.lanes import ClientState, Parked, WorkerState, source_of
from harness.control.processes import Fleet, WorkerDied, WorkerStuck
from harness.errors import HarnessError, SetupFailed
from harness.history import Access, Event, Source, Step
from harness.scenario import Call, Scenario, Workload
from harness.wire import GIVE_UP, GO, Message

__all__ = ["Broke", "Move", "Stage"]

EVERYTHING = Access("*", "w")
"""What a fault touches: it conflicts with every other step."""


class Broke(HarnessError):
    """A worker reported that it can't go on."""


@dataclass(frozen=True, slots=True)
class Move:
    """Something that can be done next: let a parked operation go, invoke a call, fire timers, kill."""

    choice: str
    state: WorkerState
    lane: str
    kind: str
    text: str = ""
    detail: str = ""
    source: Source | None = None
    fault: bool = False
    parked: Parked | None = None
    client: ClientState | None = None


@dataclass(slots=True)
class _Effects:
    """What a report said of the step just taken."""

    accesses: list[Access] = field(default_factory=list)
    blocked: tuple[str, float] | None = None
    visible: bool = False
    busy: bool = False
    error: str = ""


class Stage:
    """See the module's text. ``events`` is the history so far, ``changed`` that the shared state may have changed."""

    def __init__(self, scenario: Scenario, fleet: Fleet, workload: Workload, seed: int, db: Path) -> None:
        self._scenario, self._fleet, self._seed, self._db = scenario, fleet, seed, str(db)
        self._states = [
            WorkerState(worker, alone=callers <= 1)
            for worker, callers in zip(fleet.workers, _callers(workload), strict=False)
        ]
        self._clients = [ClientState(number, client) for number, client in enumerate(workload.clients)]
        self._kills = scenario.kills
        self._running: set[int] = set()
        self._now = 0.0
        self._releases = 0
        self._last_lane = ""
        self._steps = 0
        self._failed: Event | None = None
        self.continuing: set[str] = set()
        self.events: list[Event] = []
        self.changed = False

    # Beginning and end

    def prepare(self, isolated: bool) -> None:
        """Have every worker open its application, in a fresh process each if *isolated*."""
        for state in self._states:
            if isolated or not state.worker.pid:
                (self._fleet.renew if state.worker.pid else self._fleet.fork)(state.worker)
            self._open(state)

    def _open(self, state: WorkerState) -> None:
        seed = f"{self._seed}/{state.incarnation}"
        self._running.add(state.worker.number)
        news, _ = state.worker.ask("prepare", self._now, seed, self._db, state.alone)
        for item in news:
            if item[0] == "ready":
                state.concurrent = item[1]
            elif item[0] == "unopened":
                raise SetupFailed(f"Worker {state.worker.number} could not open its application: {item[1]}")
            elif item[0] == "broken":
                raise Broke(f"Worker {state.worker.number} could not begin: {item[1]}.")

    def finish(self) -> list[str]:
        """Have every worker close; return what was left in a transaction."""
        left: list[str] = []
        for state in self._states:
            left += self._closed(state, state.worker.ask("finish", self._now))
        return left

    def _closed(self, state: WorkerState, report: Message) -> list[str]:
        for item in report[0]:
            if item[0] == "closed":
                self._running.discard(state.worker.number)
                return [f"w{state.worker.number}: {text}" for text in item[1]]
            if item[0] == "broken":
                raise Broke(f"Worker {state.worker.number} could not end: {item[1]}.")
        raise Broke(f"Worker {state.worker.number} went on instead of closing.")

    def clear(self) -> None:
        """Bring every worker that is still in the execution out of it; replace one that does not come."""
        for state in self._states:
            if state.worker.number not in self._running:
                continue
            try:
                self._closed(state, state.worker.ask("abort", self._now))
            except (WorkerDied, WorkerStuck, Broke, BrokenPipeError):
                self._fleet.renew(state.worker)
                self._running.discard(state.worker.number)

    # What can be done

    @property
    def all_ended(self) -> bool:
        """Whether every client has made its last call and heard of it."""
        return all(not client.busy and client.call is None for client in self._clients)

    def unfinished(self) -> list[str]:
        """Return the calls under way, in words."""
        return [
            f"c{client.number} {client.client.calls[client.next_call]}" for client in self._clients if client.busy
        ]

    def moves(self) -> dict[str, Move]:
        """Return what can be done now by the name of the choice; empty when only time can help.

        ``continuing`` is set to those that go on with the task that ran last.
        """
        found: list[Move] = []
        for state in self._states:
            self._parked_moves(state, found)
        for client in self._clients:
            if (call := client.call) is not None:
                state = self._states[call.worker]
                if state.concurrent or not state.calls:
                    found.append(self._call_move(state, client, call))
        if not found:
            self.continuing = set()
            return {}
        found.sort(key=_by_name)
        last = self._last_lane
        self.continuing = {move.choice for move in found if move.lane == last and move.kind != "timer"}
        if self._kills:
            found += self._kill_moves()
        return {move.choice: move for move in found}

    def _parked_moves(self, state: WorkerState, found: list[Move]) -> None:
        number, now = state.worker.number, self._now
        for parked in state.parked.values():
            if parked.blocked:
                if parked.retry_after >= self._releases and now < parked.deadline:
                    continue
            elif parked.retry_after >= self._releases or (parked.not_before is not None and parked.not_before > now):
                continue
            found.append(_move_of(state, parked))
        if state.timer is not None and state.timer[0] <= now:
            _, lane, source = state.timer
            found.append(Move(f"w{number}:clock", state, lane, "timer", "timer", f"at {now:g} s", source))

    def _call_move(self, state: WorkerState, client: ClientState, call: Call) -> Move:
        name = client.lane if client.lane not in state.parked else f"{client.lane}+call"
        arguments = ", ".join(map(repr, call.arguments))
        return Move(
            f"w{call.worker}:{name}", state, client.lane, "call", f"{call.operation}({arguments})", client=client
        )

    def _kill_moves(self) -> list[Move]:
        return [
            Move(f"!kill:w{state.worker.number}", state, "", "kill", "SIGKILL", fault=True)
            for state in self._states
            if state.calls or state.used
        ]

    def waiting(self) -> list[Move]:
        """Return what waits for a lock, or was refused one and would ask again."""
        return [
            _move_of(state, parked)
            for state in self._states
            for parked in list(state.parked.values())
            if parked.retry_after >= 0
        ]

    def advance(self) -> bool:
        """Let virtual time jump to the next deadline; return False if there is none."""
        times = [state.timer[0] for state in self._states if state.timer is not None]
        for state in self._states:
            for parked in state.parked.values():
                if parked.blocked:
                    times.append(parked.deadline)
                elif parked.not_before is not None:
                    times.append(parked.not_before)
        later = [time for time in times if time > self._now]
        if not later:
            return False
        self._now = min(later)
        return True

    def where_they_wait(self) -> list[str]:
        """Ask the workers at which lines their unfinished tasks wait."""
        found: list[str] = []
        for state in self._states:
            if state.concurrent and state.calls:
                news, _ = state.worker.ask("where", self._now)
                places = [(item[1], source_of(item[2])) for item in news if item[0] == "waiting"]
                found += [f"w{state.worker.number} {lane} waits at {source}" for lane, source in places if source]
        return found

    # Doing it

    def take(self, move: Move) -> Step | None:
        """Do *move*; return the step, or None where a blocked operation only went on waiting.

        Raises ``WorkerDied`` and ``WorkerStuck``.
        """
        if move.kind == "kill":
            self._kills -= 1
            self._fleet.kill(move.state.worker)
            return self.lost(move, move.text)
        report = self._ask(move)
        effects = self._absorb(move.state, report)
        parked = move.parked
        if effects.blocked is not None:
            self._still_blocked(move, *effects.blocked)
            if parked is not None and parked.blocked and not effects.visible:
                return None
        if effects.busy:
            self._will_spin(move)
        self._last_lane = move.lane
        self._steps += 1
        return Step(
            choice=move.choice,
            worker=move.state.worker.number,
            lane=move.lane,
            kind=move.kind,
            text=move.text,
            detail=move.detail,
            source=move.source,
            now=self._now,
            accesses=tuple(effects.accesses),
            waited=effects.blocked is not None,
            resumed=parked is not None and parked.blocked,
            gave_up=parked is not None and parked.blocked and self._gives_up(parked),
            error=effects.error,
        )

    def _gives_up(self, parked: Parked) -> bool:
        return self._now >= parked.deadline and parked.retry_after >= self._releases

    def _ask(self, move: Move) -> Message:
        worker = move.state.worker
        if (parked := move.parked) is not None:
            gives_up = parked.blocked and self._gives_up(parked)
            report = worker.ask("go", self._now, parked.key, GIVE_UP if gives_up else GO)
            del move.state.parked[parked.key]
            return report
        if (client := move.client) is not None:
            call = client.client.calls[client.next_call]
            self._invoked(move.state, client, call)
            return worker.ask("call", self._now, client.lane, call.operation, call.arguments)
        return worker.ask("tick", self._now)

    def _invoked(self, state: WorkerState, client: ClientState, call: Call) -> None:
        client.busy = True
        state.used = True
        state.calls[client.lane] = client.number, client.next_call
        self.events.append(self._event("invoke", client.number, client.next_call))

    def _event(self, kind: str, client: int, call: int, value: Any = None, error: str = "") -> Event:
        called = self._clients[client].client.calls[call]
        return Event(
            kind, f"c{client}", call, called.worker, called.operation, called.arguments, self._steps, self._now, value, error
        )

    def _absorb(self, state: WorkerState, report: Message) -> _Effects:
        """Note everything *report* says: what parked, what was touched, which calls ended."""
        news, timer = report
        effects = _Effects()
        accesses = effects.accesses
        accesses.append(Access(f"process:{state.worker.number}", "w"))
        if self._scenario.ordered and self.events and self.events[-1].step == self._steps:
            accesses.append(Access("history", "i"))
        for item in news:
            tag = item[0]
            if tag == "parked":
                _, key, lane, kind, text, detail, place, not_before = item
                state.parked[key] = Parked(key, lane, kind, text, detail, source_of(place), not_before)
            elif tag == "access":
                accesses.append(Access(item[1], item[2]))
                if item[2] == "w" and item[1].startswith("data:"):
                    self.changed = True
            elif tag == "returned":
                self._returned(state, *item[1:])
                if self._scenario.ordered:
                    accesses.append(Access("history", "o"))
            elif tag == "released":
                self._releases += 1
            elif tag == "blocked":
                effects.blocked = item[1], item[4]
            elif tag == "visible":
                effects.visible = True
            elif tag == "busy":
                effects.busy = True
            elif tag == "error":
                effects.error = item[1]
            elif tag == "broken":
                raise Broke(f"Worker {state.worker.number} can't go on: {item[1]}.")
        state.timer = (timer[0], timer[1], source_of(timer[2])) if timer is not None else None
        return effects

    def _returned(self, state: WorkerState, lane: str, kind: str, value: Any, error: str) -> None:
        number, call = state.calls.pop(lane)
        client = self._clients[number]
        client.busy = False
        client.next_call += 1
        event = self._event(kind, number, call, value, error)
        self.events.append(event)
        self.changed = True
        if kind == "fail" and error not in self._scenario.expected_errors and self._failed is None:
            self._failed = event

    def unexpected_error(self) -> Event | None:
        """Return the first call that ended with an error the scenario does not expect."""
        return self._failed

    def _still_blocked(self, move: Move, key: str, deadline: float) -> None:
        move.state.parked[key] = Parked(
            key, move.lane, move.kind, move.text, move.detail, move.source, None, True, deadline, self._releases
        )

    def _will_spin(self, move: Move) -> None:
        """The statement was refused at once. If the code asks again, that is waiting: not before a lock was released."""
        for parked in move.state.parked.values():
            same = parked.lane == move.lane and parked.text == move.text and parked.source == move.source
            if same and not parked.blocked:
                parked.retry_after = self._releases

    def lost(self, move: Move, how: str) -> Step:
        """*move*'s worker is dead: nobody knows what became of its calls; a fresh process takes its place."""
        state = move.state
        for number, call in state.calls.values():
            client = self._clients[number]
            client.busy = False
            client.next_call += 1
            self.events.append(self._event("info", number, call))
        state.calls.clear()
        state.parked.clear()
        state.timer = None
        state.incarnation += 1
        self._releases += 1
        self.changed = True
        self._last_lane = ""
        self._steps += 1
        self._running.discard(state.worker.number)
        self._fleet.fork(state.worker)
        self._open(state)
        text = move.text if move.kind == "kill" else f"{move.text} -- the worker {how}"
        return Step(
            move.choice, state.worker.number, move.lane, move.kind, text, move.detail, move.source, self._now, (EVERYTHING,)
        )


def _callers(workload: Workload) -> list[int]:
    """Return for each worker how many clients will call it."""
    return [
        sum(any(call.worker == number for call in client.calls) for client in workload.clients)
        for number in range(workload.workers)
    ]


def _move_of(state: WorkerState, parked: Parked) -> Move:
    return Move(
        f"w{state.worker.number}:{parked.key}",
        state,
        parked.lane,
        parked.kind,
        parked.text,
        parked.detail,
        parked.source,
        parked=parked,
    )


def _by_name(move: Move) -> tuple[int, str]:
    return len(move.choice), move.choice
