"""Locks between processes, and process ids, as resources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.boundary.inherited_locks import Inherited
from harness.boundary.virtual_ids import ProcessIds
from harness.scenario import Scenario
from harness.worker.instrument.processes import proc
from harness.worker.instrument.processes.locks import ProcessLocks
from harness.worker.instrument.resource import Beginning, Resource
from harness.worker.runtime import Runtime
from harness.worker.virtual.process_ids import Identity
from harness.worker.virtual.rebind import Replacement

__all__ = ["LocksBetweenProcesses", "VirtualIds"]


class LocksBetweenProcesses(Resource):
    """Locks, and shared memory, of ``multiprocessing`` and ``multiprocess``."""

    def __init__(self, runtime: Runtime, inherited: Inherited, functions: Mapping[str, Callable[..., Any]]) -> None:
        self._locks = ProcessLocks(runtime, inherited, functions)

    def replacements(self) -> list[Replacement]:
        """Return the one for the class of all these locks."""
        return self._locks.replacements()

    def begin(self, beginning: Beginning) -> None:
        """Forget the locks that this process has held or made."""
        self._locks.begin()

    def settles(self, scenario: Scenario) -> Callable[[], None] | None:
        """Return the function that reports changes of shared memory, if workers share any."""
        return self._locks.say_what_memory if self._locks.watches else None


class VirtualIds(Resource):
    """Process ids, and ``/proc`` by them."""

    def __init__(self, runtime: Runtime, ids: ProcessIds) -> None:
        self._identity = Identity(runtime, ids)

    def replacements(self) -> list[Replacement]:
        """Return those for the functions of ``os`` that give or take a process id."""
        return self._identity.replacements()

    def replaced(self, replacements: list[Replacement]) -> list[Replacement]:
        """Return *replacements* with ``/proc`` put over those that take a path."""
        return proc.over(self._identity, replacements)

    def begin(self, beginning: Beginning) -> None:
        """Be the process of the beginning, under its virtual id."""
        if beginning.is_setup:
            self._identity.be_setup()
        else:
            self._identity.be(beginning.number)
