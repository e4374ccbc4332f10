"""What the death of a worker does to an execution: who hears of its answers, what takes its place, and when that begins."""

from __future__ import annotations

from typing import Any

from harness.control.lanes import ClientState, Move, WorkerState
from harness.control.network import answer
from harness.control.scene import Scene
from harness.history import Access, Event, Step

__all__ = ["ENDED", "Deaths", "name_of"]

_EVERYTHING = (Access("*", "w"),)
"""What conflicts with every other step."""

ENDED = Access("history", "o")
"""That a call has ended."""


class Deaths(Scene):
    """See the module's text. An answer given counts as heard once its client goes on; until then a kill can lose it."""

    def _opened(self, cause: int) -> None:
        """Take in what tasks and threads of applications just made have parked at."""
        raise NotImplementedError

    # Calls and what is told of them

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
        """*move*'s worker is dead: nobody knows what became of its calls; a fresh process takes its place.

        That one begins at once where making the application touches nothing shared, else when the schedule says.
        """
        state = move.state
        accesses = state.left_behind()
        if (state.calls or move.lane) and self._scenario.ordered:
            accesses.append(ENDED)
        self.abandoned += state.sessions
        if self.last in (*state.calls, *state.requests):
            self.last = ""
        self.crew.running.discard(state.worker.number)
        self.pool.forget(state)
        state.parked.clear()
        state.timer, state.timers, state.holds, state.sessions = None, (), (), []
        self._fleet.ids.killed(state.worker.number)
        self._fleet.readings.replaced(state.worker.number)
        self._fleet.fork(state.worker)
        if move.kind == "kill":
            accesses += self._not_heard(state, move.lane)
        self.faulting.heard(state)
        if not self.crew.at_first_call:
            if state.opens_quietly:
                self.crew.open(state, self.now, anew=True)
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
        """The worker of *state* died before its answer to *lane* had left, and so before later ones; say what that touches."""
        if not lane:
            return []
        touched: list[Access] = []
        for name, event in self.faulting.unheard_from(state, lane):
            if event is None:
                self.network.responded(name, 0, (), b"", self.count)
                touched.append(answer(name))
            else:
                self.events.remove(event)
                self.events.append(event._replace(kind="info", value=None, error="", step=self.count, now=self.now))
                self.retracted += 1
        return touched

    def begin_anew(self, move: Move) -> Step:
        """The process that took a dead worker's place makes its application."""
        state = move.state
        self.pool.drop(move)
        state.down = False
        accesses = [state.process, state.life, *self.crew.open(state, self.now, anew=True)]
        self._opened(self.count)
        own = state.process, state.life
        self.changed = any(access.mode == "w" and access not in own for access in accesses)
        self.count += 1
        return move.step(self.now, tuple(dict.fromkeys(accesses)))


def name_of(move: Move) -> str:
    """Return the name of the request that *move*, the delivery of an answer, belongs to."""
    return move.choice.partition(":")[2]
