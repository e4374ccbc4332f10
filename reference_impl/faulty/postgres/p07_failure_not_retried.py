"""P07: transactions are REPEATABLE READ, and nobody expects to be refused.

Clients rotate an agent's token. The second one waits for the first, and then finds that the token it is about to revoke has
changed since its transaction began. PostgreSQL refuses to go on, and means that the transaction is to be tried again; the
client is told the raw "could not serialize access due to concurrent update".

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
    """A database that tries each transaction once."""

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """As in the reference, where no two transactions meet."""
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
    """The same, seeing one state in each transaction."""

    ISOLATION: ClassVar[str] = "REPEATABLE READ"


open_service = partial(service.open_service, database=Snapshots)
