"""The protocol of a controlled resource: the code that makes one kind of shared state decided by the schedule.

A resource is a class in a folder of its own, and has a line in ``installed.py``. The order of its methods is the order of
their calls:

1. ``replacements``: once, in the fork server, before workers are forked.
2. ``replaced``: once, when all replacements are in place.
3. ``watch``: once in each worker, before its first execution.
4. ``settles``: once in each worker; the function that it returns is called before each report to the controller.
5. ``begin``: at the beginning of each execution, and of ``setup``.
6. ``left_open``, ``running``, ``none_left``: at the end of an execution, to find what was left behind.
7. ``clean``: at the end of an execution, if something was left, and after ``setup``.

A replaced function calls ``Runtime.park`` before it touches shared state, and ``Runtime.touched`` for each resource that it
touched, before the next point. An access that is left out makes the search miss interleavings. Where the library would
wait for another process, it calls ``Runtime.wait_for`` or ``Runtime.block``, and reports ``released`` in the news when a
lock is let go. ``docs/how-to/add-a-resource.md`` adds one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from harness.boundary.wire import Message
from harness.scenario import Scenario
from harness.worker.page_copies import Seen
from harness.worker.virtual.rebind import Replacement

__all__ = ["Beginning", "Resource"]


class Beginning(NamedTuple):
    """The beginning of an execution in this process.

    ``number`` is the number of the worker, -1 for the process that runs ``setup``. ``seed`` is that of its randomness,
    ``now`` the virtual time in seconds, ``db`` the database's path or URL, ``directory`` the shared directory.
    """

    number: int
    seed: str
    now: float
    db: str
    directory: str

    @property
    def is_setup(self) -> bool:
        """Whether ``setup`` runs, which is not raced."""
        return self.number < 0


class Resource:
    """A controlled resource. Each method does nothing, or says that nothing is there, unless a subclass has its own."""

    def replacements(self) -> list[Replacement]:
        """Return the functions and classes to be replaced everywhere in the code under test."""
        return []

    def replaced(self, replacements: list[Replacement]) -> list[Replacement]:
        """Return the *replacements* of all resources, changed if this resource has to wrap some of them."""
        return replacements

    def after_replacing(self, seen: Seen) -> None:
        """Replace objects that exist already; *seen* has the modules in which there are none."""

    def watch(self) -> None:
        """Notice uncontrolled uses from now on, in a worker that is about to run its first execution."""

    def begin(self, beginning: Beginning) -> None:
        """Forget the execution before; an execution, or ``setup``, begins."""

    def settles(self, scenario: Scenario) -> Callable[[], None] | None:
        """Return a function that reports accesses that only show when a step has ended, in executions of *scenario*.

        It is called before each report to the controller. None: there are no such accesses.
        """
        return None

    def ran_before(self) -> bool:
        """Return whether the code under test used the resource before the race, since last asked."""
        return False

    def tables(self, text: Callable[[Any], str]) -> Iterable[Message]:
        """Return news ``table`` for each table that can be looked at now, with the *text* of its cells."""
        return ()

    def left_open(self) -> list[str]:
        """Return a description of each transaction, lock or session that the calls have left open."""
        return []

    def running(self) -> list[str]:
        """Return a description of each thread that would keep the process from ending."""
        return []

    def none_left(self) -> bool:
        """Return whether nothing is left that ``clean`` would have to end."""
        return True

    def clean(self) -> None:
        """End or close all that the execution has left."""
