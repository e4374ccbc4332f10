"""The lanes of a report: one for each task of each worker, with their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.values.history import Step
from harness.values.names import Task

__all__ = ["MOST_LANES", "Lane", "Lanes"]

MOST_LANES = 24
"""With more lanes than this, the tasks of one client in one process share a lane."""
_DIGITS = 9
"""Longer digit strings are not numbers that the harness gives, and are sorted as text."""
_MESSAGES = ("request", "answer")


@dataclass(frozen=True, slots=True)
class Lane:
    """One column: the ``task`` of a process. ``role`` is ``worker``, ``clients`` or ``probe``, ``process`` its name."""

    worker: int
    task: str
    role: str
    process: str

    @property
    def name(self) -> str:
        """The lane's name in a word or two."""
        return f"w{self.worker} {self.task}" if self.role == "worker" else f"{self.process} {self.task}"


class Lanes:
    """The lanes of *steps* from a run with that number of *workers*."""

    def __init__(self, steps: Sequence[Step], workers: int) -> None:
        self._workers = workers
        self._over_http = any(step.kind in _MESSAGES for step in steps)
        found = {(step.worker, step.lane): None for step in steps if _has_lane(step)}
        self._merged = len(found) > MOST_LANES
        if self._merged:
            found = {(worker, Task(task).client): None for worker, task in found}
        self._places = {key: place for place, key in enumerate(sorted(found, key=self._order))}
        self.lanes = tuple(self._lane(*key) for key in self._places)

    def of(self, step: Step) -> int | None:
        """Return the number of *step*'s lane; None if the step concerns a whole process, a message or the clock."""
        return self.task(step.worker, step.lane) if _has_lane(step) else None

    def task(self, worker: int, task: str) -> int | None:
        """Return the number of the lane of *worker*'s *task*, or None if the task made no step."""
        return self._places.get((worker, Task(task).client if self._merged else task))

    def is_client(self, worker: int) -> bool:
        """Return whether process *worker* is the one that runs the clients (over HTTP)."""
        return self._over_http and worker == self._workers

    def _order(self, key: tuple[int, str]) -> tuple[object, ...]:
        """Return a sort key that puts clients before workers, and sorts tasks by their numbers."""
        worker, task = key
        parts = task.replace("#", "/").split("/")
        numbers = [
            (0, int(part), "") if part.isdecimal() and len(part) <= _DIGITS else (1, len(part), part) for part in parts
        ]
        return not self.is_client(worker), worker, numbers, task

    def _lane(self, worker: int, task: str) -> Lane:
        if worker < self._workers:
            return Lane(worker, task, "worker", f"worker {worker}")
        if self.is_client(worker):
            return Lane(worker, task, "clients", "client")
        return Lane(worker, task, "probe", "probed worker")


def _has_lane(step: Step) -> bool:
    if step.worker < 0 or not step.lane:
        return False
    # The fault of a lost or duplicated message has the lane of its request, but no worker takes part in it.
    return not step.is_fault or step.kind not in ("kill", "clock", "lose", "duplicate")
