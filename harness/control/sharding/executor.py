"""Executors of tasks: like ``concurrent.futures``, but the thread that waits for results also collects them."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

__all__ = ["Departed", "Executor", "Lost", "fail"]

Task = TypeVar("Task", contravariant=True)
Answer = TypeVar("Answer")


class Lost(Exception):
    """A task that was never carried out to its end and never will be; the text says why, for the verdict."""


class Departed(Lost):
    """A task with an execution that did not repeat itself."""


class Executor(Protocol[Task, Answer]):
    """Takes tasks and promises answers: processes of this machine, or the nodes of a cluster.

    ``slots`` is how many tasks it carries out at once.
    """

    slots: int

    def submit(self, task: Task, /) -> Future[Answer]:
        """Return the promise of the task's result. The task may begin only with the next ``wait``."""

    def wait(self, seconds: float | None = None) -> None:
        """Return when something has happened to a promise, or after so many *seconds* of real time."""


def fail(promise: Future[Any], error: Exception) -> None:
    """Have *promise* end with *error*, unless it has ended."""
    if not promise.done():
        promise.set_exception(error)
