"""P07: transactions are REPEATABLE READ, and the code does not expect the server to refuse one.

Clients rotate an agent's token. The second rotation waits for the first, and then finds that the row it is about to lock or
change has changed since its transaction began. PostgreSQL refuses, and expects the transaction to be tried again. Instead
the client gets the raw "could not serialize access due to concurrent update".

Rule broken: CLEAN, only documented outcomes. Needs two requests and one preemption.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import ClassVar, TypeVar

from reference_impl import service
from reference_impl.backend import Connection
from reference_impl.postgres.database import GIVEN_UP, PostgresDatabase
from reference_impl.schema import initialise

__all__ = ["NAME", "ExpectsNoRefusal", "initialise", "open_service"]

NAME = "p07-failure-not-retried"

T = TypeVar("T")


class ExpectsNoRefusal(PostgresDatabase):
    """A database that tries each transaction only once."""

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Behave as the reference, as long as no two transactions conflict."""
        async with self.transaction() as connection:
            return await work(connection)

    @contextmanager
    def _typed(self) -> Iterator[None]:
        refused: Exception | None = None
        with super()._typed():
            try:
                yield
            except GIVEN_UP as error:
                refused = error
        if refused is not None:
            raise refused


class Snapshots(ExpectsNoRefusal):
    """The same database, with transactions that see one snapshot each."""

    ISOLATION: ClassVar[str] = "REPEATABLE READ"


open_service = partial(service.open_service, database=Snapshots)
