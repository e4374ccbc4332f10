"""Brings the processes of an execution into it and out of it again."""

from __future__ import annotations

from pathlib import Path

from harness.control.lanes import WorkerState
from harness.control.processes import Fleet, WorkerDied, WorkerStuck
from harness.errors import BadInput, HarnessError, SetupFailed
from harness.history import Access
from harness.scenario import Scenario
from harness.unseen import Touch, touch_of
from harness.wire import Message

__all__ = ["Broke", "Crew"]


_EVERYTHING = Access("*", "w")


class Broke(HarnessError):
    """A worker reported that it can't go on."""


class Crew:
    """``running`` are the numbers of the processes that are in the execution.

    ``opened_with`` is what tasks and threads that applications started have parked at before the race, ``opened_unseen`` what
    applications touched meanwhile that no schedule decides.
    """

    def __init__(self, scenario: Scenario, fleet: Fleet, states: list[WorkerState], seed: int, db: Path) -> None:
        self._scenario, self._fleet, self._states, self._seed, self._db = scenario, fleet, states, seed, str(db)
        # Without anything to open a worker begins with its first call, which saves the messages for beginning and ending.
        self.at_first_call = scenario.open is None and scenario.app is None
        self.running: set[int] = set()
        self.opened_with: list[tuple[WorkerState, Message]] = []
        self.opened_unseen: list[Touch] = []

    def __repr__(self) -> str:
        return f"<Crew running={self.running}>"

    def prepare(self, now: float, isolated: bool) -> None:
        """Have every process but the one that is probed begin, as a fresh one if *isolated*."""
        for state in self._states:
            if isolated or not state.worker.pid:
                (self._fleet.renew if state.worker.pid else self._fleet.fork)(state.worker)
            if not self.at_first_call and state.role != "probe":
                self.open(state, now)

    def open(self, state: WorkerState, now: float, anew: bool = False) -> list[Access]:
        """Have a process make its application; *anew*: in the place of one that was killed. Return what that touched.

        What it asks a database is not reported one by one, so that is everything.
        """
        self.running.add(state.worker.number)
        news, _ = state.worker.ask("prepare", now, *self.beginning(state))
        touched: list[Access] = []
        if self._scenario.database == "postgresql":
            touched.append(_EVERYTHING)
        for item in news:
            if item[0] == "unopened":
                if anew:
                    raise Broke(
                        f"Worker {state.worker.number}, forked anew, could not open its application: {item[1]}."
                    )
                raise SetupFailed(f"Worker {state.worker.number} could not open its application: {item[1]}")
            elif item[0] == "refused":
                raise BadInput(f"The scenario {self._scenario.name!r} can't be raced. {item[1]}")
            elif item[0] == "broken":
                raise Broke(f"Worker {state.worker.number} could not begin: {item[1]}.")
            elif item[0] == "touches":
                touched.append(_EVERYTHING)
            elif item[0] == "access":
                touched.append(Access(item[1], item[2]))
            elif item[0] == "unseen":
                self.opened_unseen.append(touch_of(state.worker.number, item))
            elif item[0] in ("parked", "waits"):
                self.opened_with.append((state, item))
        state.opens_quietly = state.opens_quietly and not touched
        return touched

    def beginning(self, state: WorkerState) -> tuple[str, str, bool]:
        """Return what a worker needs to begin: its seed (new for each beginning), the database, whether one client calls."""
        seed = f"{self._seed}/{state.beginnings}"
        state.beginnings += 1
        return seed, self._db, state.alone

    def finish(self, now: float) -> list[str]:
        """Have every process that has not ended by itself close; return what was left in a transaction."""
        left: list[str] = []
        for state in self._states:
            if state.worker.number in self.running:
                left += self._closed(state, state.worker.ask("finish", now))
        return left

    def _closed(self, state: WorkerState, report: Message) -> list[str]:
        for item in report[0]:
            if item[0] == "closed":
                self.running.discard(state.worker.number)
                if item[2]:
                    raise Broke(f"Worker {state.worker.number} could not close its application: {item[2]}.")
                return [f"{state.name}: {text}" for text in item[1]]
            if item[0] == "broken":
                raise Broke(f"Worker {state.worker.number} could not end: {item[1]}.")
        raise Broke(f"Worker {state.worker.number} went on instead of closing.")

    def clear(self, now: float) -> None:
        """Bring every process that is still in the execution out of it; replace one that does not come."""
        for state in self._states:
            if state.worker.number not in self.running or self._fleet.gone:
                continue
            try:
                self._closed(state, state.worker.ask("abort", now))
            except (WorkerDied, WorkerStuck, Broke, BrokenPipeError):
                self._fleet.renew(state.worker)
                self.running.discard(state.worker.number)
