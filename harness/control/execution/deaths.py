"""Carries out the death of a worker: its unfinished calls, its unheard answers, the process in its place."""

from __future__ import annotations

from typing import Any

from harness.control.execution.actors import ClientState, Move, WorkerState
from harness.control.execution.network import answer
from harness.control.execution.state import ExecutionState
from harness.values.history import Access, Event, Step
from harness.values.names import Choice

__all__ = ["ENDED", "Deaths", "name_of"]

_EVERYTHING = (Access("*", "w"),)
"""Conflicts with every other step."""

ENDED = Access("history", "o")
"""The access of a step in which a call ends."""


class Deaths(ExecutionState):
    """An execution state in which workers die. A kill can lose an answer until the client that it is for goes on."""

    def _opened(self, cause: int) -> None:
        """Offer the moves of tasks and threads that parked while applications were opened in step *cause*."""
        raise NotImplementedError

    # Calls and their events

    def _note(self, kind: str, client: ClientState, value: Any = None, error: str = "") -> Event:
        call = client.calls[client.next_call]
        event = Event(
            kind, client.name, client.next_call, call.worker, call.operation, call.arguments, self.count, self.now, value,
            error,
        )  # fmt: skip
        self.events.append(event)
        return event

    def _next(self, state: WorkerState, client: ClientState) -> None:
        client.busy = client.cancelled = False
        client.next_call += 1
        self.free_or_busy(state)
        if client.next_call < len(client.calls):
            self.offer(client, self.count)
        else:
            self.unended -= 1

    # Deaths

    def lost(self, move: Move, how: str) -> Step:
        """Take the dead worker of *move* out of the execution, fork a replacement, and return the step.

        The outcome of the worker's calls is unknown: an ``info`` event is noted for each. The replacement opens its
        application at once if that has touched nothing shared so far, else when the schedule says ("restart"). *how*
        says how a worker ended by itself; it is empty for a kill that the schedule chose. In the former case it is
        unknown what the last step touched, so the step conflicts with every other.
        """
        state = move.state
        accesses = state.left_behind()
        if (state.calls or move.lane) and self._scenario.ordered:
            accesses.append(ENDED)
        self.abandoned += state.sessions
        if self.last in (*state.calls, *state.requests):
            self.last = ""
        self.participants.running.discard(state.worker.number)
        self.pool.forget(state)
        state.parked.clear()
        state.timer, state.timers, state.holds, state.sessions = None, (), (), []
        self._worker_pool.ids.killed(state.worker.number)
        self._worker_pool.readings.replaced(state.worker.number)
        self._worker_pool.fork(state.worker)
        if move.kind == "kill":
            accesses += self._not_heard(state, move.lane)
        self.fault_offers.heard(state)
        if not self.participants.at_first_call:
            if state.opens_quietly:
                self.participants.open(state, self.now, anew=True)
                self._opened(self.count)
            else:
                state.down = True
                anew = Move(state, "restart", state.loop, "restart", f"{state.name} begins anew")
                anew.cause = self.count
                self.pool.offer(anew)
        calls = list(state.calls.values())
        state.calls.clear()
        for client in calls:
            self._note("info", client)
            self._next(state, client)
        accesses += self.network.crashed(state, self.count)
        self.pool.released(None, self.count)
        self.changed = True
        self.count += 1
        move.text = f"{move.text} -- the worker {how}" if how else move.text
        return move.step(self.now, _EVERYTHING if how else accesses)

    def _not_heard(self, state: WorkerState, lane: str) -> list[Access]:
        """Take back the answer of a killed worker to *lane*, and its later answers; return the accesses of that.

        An answered call becomes one of unknown outcome (``info``), an answered request one whose connection was closed.
        Without *lane* no answer is lost.
        """
        if not lane:
            return []
        touched: list[Access] = []
        for name, event in self.fault_offers.unheard_from(state, lane):
            if event is None:
                self.network.responded(name, 0, (), b"", self.count)
                touched.append(answer(name))
            else:
                self.events.remove(event)
                self.events.append(event._replace(kind="info", value=None, error="", step=self.count, now=self.now))
                self.retracted += 1
        return touched

    def begin_anew(self, move: Move) -> Step:
        """Have the process that took a dead worker's place open its application, and return that step."""
        state = move.state
        self.pool.drop(move)
        state.down = False
        accesses = [state.process, state.life, *self.participants.open(state, self.now, anew=True)]
        self._opened(self.count)
        own = state.process, state.life
        self.changed = any(access.mode == "w" and access not in own for access in accesses)
        self.count += 1
        return move.step(self.now, tuple(dict.fromkeys(accesses)))


def name_of(move: Move) -> str:
    """Return the name of the request that *move*, the delivery of an answer, belongs to."""
    return Choice(move.choice).message
