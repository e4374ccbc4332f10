"""The program of a process, by its role: it runs the operations itself, serves an application, or holds the clients."""

from __future__ import annotations

import sys
import warnings
from contextlib import suppress
from importlib import import_module
from typing import Any, Protocol

from harness.scenario import Scenario
from harness.worker.runtime import Runtime

__all__ = ["Program", "program_of", "warm"]


class Program(Protocol):
    """The program that a worker runs, as far as a session needs to know it."""

    @property
    def operations(self) -> Any:
        """The operations that can be called, by name."""

    @property
    def open(self) -> Any:
        """The function that makes the application, None if the program has no application to make."""

    @property
    def close(self) -> Any:
        """The function that closes the application."""

    @property
    def concurrent(self) -> bool:
        """Whether its operations need an event loop."""

    def begin(self) -> None:
        """Forget the execution before this one."""

    def take(self, name: str, *fields: Any) -> None:
        """Take the message that has arrived for request *name*: the *fields* of its answer, or the end of its client."""


class _Operations:
    """Runs the scenario's operations itself."""

    def __init__(self, scenario: Scenario) -> None:
        self.operations, self.open, self.close = scenario.operations, scenario.open, scenario.close
        self.concurrent = scenario.concurrent

    def begin(self) -> None:
        """Do nothing, because nothing is kept."""

    def take(self, name: str, *fields: Any) -> None:
        """Do nothing, because no message comes here."""


_BEFORE = {"pydantic": "pydantic.v1"}
"""By the name of a module that may be loaded: a module that it imports later, and that must be imported before the fork.

The latter derives a class from ``date`` with a metaclass of its own. That is impossible once ``date`` tells virtual time,
because ``date`` then has a metaclass too.
"""


def warm(scenario: Scenario) -> None:
    """Import the modules that the processes of *scenario* need, before the fork and before anything is replaced."""
    if scenario.app is not None:
        from harness.worker import asgi, clients  # noqa: F401
    if scenario.database == "postgresql":
        # The worker asks the server through psycopg which sessions wait, whatever driver the code under test uses. And neither
        # driver can be imported once ``date`` tells virtual time.
        for driver in ("psycopg", "asyncpg"):
            with suppress(ImportError):
                import_module(driver)
    for module, later in _BEFORE.items():
        if module in sys.modules:
            with suppress(ImportError), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import_module(later)


def program_of(scenario: Scenario, role: str, runtime: Runtime) -> Program:
    """Return the program of a process with *role* (see ``Scenario.roles``)."""
    if scenario.app is None:
        return _Operations(scenario)
    if role == "clients":
        from harness.worker.clients import Clients

        return Clients(scenario.operations, runtime)
    from harness.worker.asgi import Served

    return Served(scenario.app, runtime)
