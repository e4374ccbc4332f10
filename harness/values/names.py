"""The names in an execution: of tasks, of choices and of resources. Only this file takes one apart.

Names are plain strings in steps, schedules and messages, because these are marshalled and saved. A question about the parts
of a name goes to the type here: ``Task(step.lane).client``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["DELAY", "FAULT_MARK", "Choice", "Resource", "Task"]

FAULT_MARK = "!"
"""First character of a choice that injects a fault instead of letting an operation go."""

DELAY = f"{FAULT_MARK}delay:"
"""Begins the choice to let time pass while what could run is held up; what that is follows, joined by ``+``."""

_WORKER = re.compile("w[0-9]{1,3}")
_HIDDEN = ("process:", "client:", "history", "clock", "dated", "dates")


class Task(NamedTuple):
    """A task: ``c0`` is a client's call, ``c0/1`` a task that the call started, ``c0#2`` the client's second request."""

    name: str

    @property
    def family(self) -> str:
        """The call or request that the task belongs to: ``c0#2`` for ``c0#2/1``."""
        return self.name.partition("/")[0]

    @property
    def client(self) -> str:
        """The client that the task works for: ``c0`` for ``c0/1`` and for ``c0#2``."""
        return self.name.partition("/")[0].partition("#")[0]

    @property
    def was_started(self) -> bool:
        """Whether another task started it."""
        return "/" in self.name


class Choice(NamedTuple):
    """A choice at a decision.

    ``w0:c1`` lets a task of worker 0 go, ``w0:clock`` its due timers; ``!kill:w0`` is a fault, ``!delay:w0`` a delay.
    """

    name: str

    @property
    def is_fault(self) -> bool:
        """Whether it is made by the schedule alone: a fault, or a delay."""
        return self.name.startswith(FAULT_MARK)

    @property
    def is_delay(self) -> bool:
        """Whether it lets time pass while something could run."""
        return self.name.startswith(DELAY)

    @property
    def head(self) -> str:
        """The part before the first colon: the process, ``w0``, or the kind of fault with its mark, ``!kill``."""
        return self.name.partition(":")[0]

    @property
    def process(self) -> str:
        """The process that it concerns, ``w1`` for ``w1:c0`` and ``!kill:w1``; for a fault of none, what is in its place."""
        return self.name.split(":")[1] if self.is_fault else self.head

    @property
    def worker(self) -> int:
        """The number of the worker that it concerns: 1 for ``w1:c0`` and ``!kill:w1``, -1 for ``!clock:5``."""
        name = self.process
        return int(name[1:]) if _WORKER.fullmatch(name) else -1

    @property
    def message(self) -> str:
        """The part behind the last colon: of a message that arrives, is lost or duplicated, its name."""
        return self.name.rpartition(":")[2]

    @property
    def held_up(self) -> list[str]:
        """The processes and messages that a delay holds up."""
        return self.name.removeprefix(DELAY).split("+")

    @property
    def timers(self) -> str:
        """The choice that lets the due timers of the same process go."""
        return f"{self.head}:clock"

    @property
    def is_timers(self) -> bool:
        """Whether it lets due timers go."""
        return self.name.endswith(":clock")

    @property
    def family(self) -> str:
        """The choice of the call that the task belongs to: ``w0:c1`` for ``w0:c1/2``."""
        return self.name.partition("/")[0]


class Resource(NamedTuple):
    """A resource that steps access.

    ``data:agents.db`` is content, ``lock:agents.db`` a lock, ``process:0`` a worker's memory, ``clock`` the time.
    """

    text: str

    @property
    def kind(self) -> str:
        """The part before the colon, or all of it where there is none."""
        return self.text.partition(":")[0]

    @property
    def name(self) -> str:
        """The part behind the colon; empty where there is none."""
        return self.text.partition(":")[2]

    @property
    def is_data(self) -> bool:
        """Whether it is content that workers share."""
        return self.text.startswith("data:")

    @property
    def is_lock(self) -> bool:
        """Whether it is a lock, or the right to write a file."""
        return self.text.startswith("lock:")

    @property
    def is_memory(self) -> bool:
        """Whether it is the memory of one process."""
        return self.text.startswith("process:")

    @property
    def is_shared(self) -> bool:
        """Whether the code under test shares it on purpose: no memory of one process, no time, no history of calls."""
        return not self.text.startswith(_HIDDEN)

    def names_another(self, worker: int) -> bool:
        """Whether it is the life or the memory of a worker other than *worker*."""
        return self.kind in ("life", "process") and self.name not in ("", str(worker))
