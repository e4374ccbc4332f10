"""Makes the moves of an execution, and changes its state by the reports of the workers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from harness.boundary import messages
from harness.boundary.wire import ERRORS, GIVE_UP, GO, Message
from harness.control.execution import intake
from harness.control.execution.actors import TIMED, ClientState, Move, WorkerState, passed, source_of
from harness.control.execution.deaths import ENDED, Deaths, name_of
from harness.control.execution.intake import News
from harness.control.execution.network import answer, request
from harness.values.history import Access, Step
from harness.values.names import Task

__all__ = ["Transitions"]

_INVOKED = Access("history", "i")
_CANCELLED = "CancelledError"
_PASSES = (Access("clock", "w"),)
_JUMPS = (*_PASSES, Access("dated", "w"))


class Transitions(Deaths):
    """The execution state, with the moves that change it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._takes: dict[str, Callable[..., None]] = {
            **{kind: partial(take, self) for kind, take in intake.TABLE.items()},
            "parked": self._take_parked,
            "blocked": self._take_blocked,
            "waits": self._take_waits,
            "returned": self._returned,
        }
        """For each kind of news, what takes its fields in."""

    def prepare(self, isolated: bool) -> None:
        """See ``ExecutionState``."""
        super().prepare(isolated)
        self._opened(-1)

    def probe(self) -> bool:
        """See ``ExecutionState``."""
        begun = super().probe()
        self._opened(self.count - 1)
        return begun

    def _opened(self, cause: int) -> None:
        """Record the operations at which tasks and threads of newly opened applications have parked."""
        for state, item in self.participants.opened_with:
            (self._park if item[0] == "parked" else self._wait)(state, *item[1:])
            state.parked[item[1]].cause = cause
        self.participants.opened_with.clear()
        self.unseen.update(dict.fromkeys(self.participants.opened_unseen))
        self.participants.opened_unseen.clear()

    def take(self, move: Move, preempts: bool, ahead: int = 0) -> list[Step]:
        """Make *move*, and return its steps: none if a blocked operation only went on waiting.

        The worker may go on by itself with up to *ahead* further operations of the same task, as long as none of them
        matters to another task; each is a step. Raises ``WorkerDied`` and ``WorkerStuck``.
        """
        if move.fault:
            if move.kind == "delay":
                return [self._hold_up(move)]
            self.fault_offers.left -= 1
            if move.kind in ("kill", "clock", "lose", "duplicate"):
                return [self._befall(move)]
        if move.kind == "restart":
            return [self.begin_anew(move)]
        now = self.now
        subject = move.of or move
        resumed = move.blocked
        gives_up = resumed and move.gives_up(now)
        self.pool.drop(subject)
        report = self._order(move, GIVE_UP if gives_up else GO, ahead)
        first_accesses = [*self._first_accesses(move), TIMED] if gives_up else self._first_accesses(move)
        steps, last, accesses = passed(subject, report[0], first_accesses, now, preempts)
        self.count += len(steps)
        if steps:
            last.cause = self.count - 1
        news = self._absorb(last, report, accesses)
        first = not steps
        if news.blocked and resumed and first and not news.visible:
            return []
        self.count += 1
        if move.kind != "cancel":
            self.last, self.last_state = move.family, move.state
        if move.state.role == "clients":
            self.last = news.sent or move.lane
        shown = move if first else last
        return [
            *steps,
            shown.step(
                now, accesses, news.blocked, resumed and first, gives_up and first, preempts and first, news.error
            ),
        ]

    def _order(self, move: Move, how: int, ahead: int) -> Message:
        """Send the order for *move* to its worker, and return the report."""
        worker, now = move.state.worker, self.now
        if move.kind == "cancel":
            self._cancels(move)
            return worker.ask(messages.cancel(now, move.lane))
        if move.key is not None:
            del move.state.parked[move.key]
            loses = ""
            if move.kind == "lost":
                self._cancels(move)
                loses = move.lane
            elif move.fault:
                how = ERRORS[move.kind]
            return worker.ask(messages.go(now, move.key, how, ahead, loses))
        if move.client is not None:
            return self._invoke(move, move.client, ahead)
        if move.kind == "request":
            self.network.arrives(move)
            return worker.ask(messages.call(now, move.lane, "request", move.message, ahead, None))
        if move.kind == "answer":
            self.network.answered(name_of(move))
            self.fault_offers.goes_on(name_of(move))
            assert move.message is not None
            return worker.ask(messages.answer(now, name_of(move), *move.message))
        if move.kind == "disconnect":
            self.network.told(move.lane)
            return worker.ask(messages.disconnect(now, move.lane))
        return worker.ask(messages.tick(now))

    def _cancels(self, move: Move) -> None:
        client = move.state.calls.get(move.lane)
        if client is not None:
            client.cancelled = True

    def passed_before_death(self, move: Move, records: list[Message], preempts: bool) -> tuple[list[Step], Move]:
        """Return the steps that a worker took before it died, and the move in which it died.

        *records* are from its flight recorder.
        """
        steps, last, _ = passed(move.of or move, records, self._first_accesses(move), self.now, preempts)
        self.count += len(steps)
        return steps, last

    def _first_accesses(self, move: Move) -> list[Access]:
        """Return the accesses that *move* makes, whatever the worker will report."""
        if move.state.role == "clients":
            # Clients that share this process do not affect each other, so each is a resource of its own.
            lanes = [client.name for client in self._clients] if move.kind == "timer" else [move.lane]
            found = [Access(f"client:{lane}", "w") for lane in lanes]
        else:
            found = [move.state.process]
        if move.kind == "turn" and move.detail:
            # This turn only passes on what has come to the loop. That matters to no other step but those that write the
            # queue: they make something ready, or cancel.
            return [Access(move.state.queue.resource, "r")]
        if move.kind in ("cancel", "lost"):
            found.append(move.state.queue)
        if move.client is not None and self._scenario.ordered:
            found.append(_INVOKED)
        if move.kind in ("timer", "sleep"):
            found.append(TIMED)
        if move.kind == "request":
            found.append(request(move.lane))
        elif move.kind == "answer":
            found.append(answer(name_of(move)))
        return found

    def _invoke(self, move: Move, client: ClientState, ahead: int) -> Message:
        state = move.state
        call = client.calls[client.next_call]
        client.busy = state.used = True
        self.fault_offers.goes_on(client.lane)
        state.calls[client.lane] = client
        self.free_or_busy(state)
        self._note("invoke", client)
        beginning = None
        if state.worker.number not in self.participants.running:
            self.participants.running.add(state.worker.number)
            beginning = self.participants.beginning(state)
        return state.worker.ask(messages.call(self.now, client.lane, call.operation, call.arguments, ahead, beginning))

    # What workers report

    def _absorb(self, move: Move, report: Message, accesses: list[Access]) -> News:
        """Take in everything that *report* says: parked operations, accesses, ended calls, released locks and more."""
        state = move.state
        items, timer = report
        news = News(move, accesses)
        take = self._takes
        for kind, *fields in items:
            take[kind](state, news, *fields)
        if news.busy:
            self._will_spin(move, news.busy)
        self._set_timer(state, timer)
        return news

    def _take_parked(self, state: WorkerState, _: News, *parked: Any) -> None:
        self._park(state, *parked)

    def _take_blocked(self, state: WorkerState, news: News, *where: Any) -> None:
        news.blocked = True
        self._block(news.move, *where)

    def _take_waits(self, state: WorkerState, _: News, *wanted: Any) -> None:
        self._wait(state, *wanted)

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
        errors: tuple[str, ...],
        movable: bool,
    ) -> None:
        before = state.parked.get(key) if kind == "turn" else None
        if kind == "turn":
            whose, lane, detail, errors = tuple(detail.split()), state.loop, "".join(errors), ()
        else:
            whose = (Task(lane).family,)
        move = state.parked[key] = Move(state, key, lane, kind, text, detail, source_of(place), key=key)
        # A turn that is still parked is reported again; it keeps the cause that it had at first.
        move.cause = before.cause if before is not None else self.count
        move.errors, move.movable, move.whose = errors, movable, whose
        if (call := self.pool.called(move.choice)) is not None and call.client is not None:
            # The previous call has ended, but an operation that it began parks under the name of the next call: offer
            # that call again, under another name.
            self.pool.drop(call)
            self.offer(call.client, call.cause)
        if not_before is not None and not_before > self.now:
            move.not_before = not_before
            self.pool.offer(move, waits=True)
        else:
            self.pool.offer(move)

    def _block(self, move: Move, key: str, deadline: float, files: tuple[str, ...]) -> None:
        """Record that the operation just let go waits for a lock on one of *files*, under *key*, until *deadline*."""
        state = move.state
        blocked = Move(state, key, move.lane, move.kind, move.text, move.detail, move.source, key=key)
        blocked.cause, blocked.movable = move.cause, move.movable
        self._hold(blocked, deadline, files)

    def _wait(self, state: WorkerState, key: str, *wanted: Any) -> None:
        """Record that a thread waits for something in memory; it was not parked before it began to wait."""
        lane, kind, text, place, resource, deadline, movable = wanted
        blocked = Move(state, key, lane, kind, text, "", source_of(place), key=key)
        blocked.cause, blocked.movable = self.count, movable
        self._hold(blocked, deadline, (resource,) if resource else (key,))

    def _hold(self, blocked: Move, deadline: float, files: tuple[str, ...]) -> None:
        blocked.blocked, blocked.deadline = True, deadline
        blocked.fresh = blocked.fresh._replace(retries=True)
        blocked.continuing = blocked.continuing._replace(retries=True)
        assert blocked.key is not None
        blocked.state.parked[blocked.key] = blocked
        self.pool.hold(blocked, files)

    def _set_timer(self, state: WorkerState, timer: Any) -> None:
        before = state.timer
        if state.timer is not None:
            self.pool.drop(state.timer[1])
            state.timer, state.timers = None, ()
        if timer is not None:
            when, lane, place, state.timers = timer
            move = Move(state, "clock", lane, "timer", "timer", f"at {when:g} s", source_of(place))
            # Each report has the timer. If it is the same as before, the present step did not set it.
            same = before is not None and (before[0], before[1].lane) == (when, lane)
            move.cause = before[1].cause if before is not None and same else self.count
            state.timer = when, move
            if when <= self.now:
                self.pool.offer(move)

    def _returned(self, state: WorkerState, news: News, lane: str, kind: str, value: Any, error: str) -> None:
        """Record that a call, or the serving of a request, has ended."""
        if lane in state.requests:
            del state.requests[lane]
            self.network.ended(lane)
            return
        client = state.calls.pop(lane)
        if client.cancelled and error == _CANCELLED:
            # A client that cancels a call does not learn how far it had come.
            kind, value = "info", None
        event = self._note(kind, client, value, error)
        if kind != "info" and state.role == "worker":
            self.fault_offers.answered(state, client.lane, event)
        self._next(state, client)
        self.changed = True
        if kind == "fail" and error not in self._scenario.expected_errors and self.failed is None:
            self.failed = error, f"{event.operation} raised {error}: {value}"
        if self._scenario.ordered:
            news.accesses.append(ENDED)

    def _will_spin(self, move: Move, files: tuple[str, ...]) -> None:
        """Hold back the same statement, if it was refused a lock at once and parks again, until a lock is released.

        Code that retries in a loop is waiting for that; without this, there would be no end of retries to explore.
        """
        for parked in move.state.parked.values():
            same = parked.lane == move.lane and parked.text == move.text and parked.source == move.source
            if same and not parked.blocked and parked.choice in self.pool.enabled:
                self.pool.hold(parked, files)

    # Delays and faults

    def _hold_up(self, move: Move) -> Step:
        """Make the delay *move*: let time pass although something could run."""
        now, move.text, self.last = self.now, self.delay_offers.begin(move), ""
        self.set_time(self.delay_offers.until)
        self.count += 1
        return move.step(now, _PASSES)

    def _befall(self, move: Move) -> Step:
        """Inject a fault in which no worker takes part: a kill, a jump of the clock, a lost or duplicated message."""
        name, now = move.lane, self.now
        if move.kind == "kill":
            self._worker_pool.kill(move.state.worker)
            return self.lost(move, "")
        if move.kind == "clock":
            self.set_time(now + self.fault_offers.jump_of(move))
            accesses: tuple[Access, ...] = _JUMPS
        elif move.kind == "lose":
            accesses = (answer(name) if name in self.network.answers else request(name),)
            self.network.lose(name)
            self.fault_offers.goes_on(name)
        else:
            self.network.duplicate(name, self.count)
            accesses = (request(name),)
        self.count += 1
        return move.step(now, accesses)
