"""P01: a SELECT and then an INSERT in one transaction, under READ COMMITTED; no index, no lock.

Clients ask for a token for one agent. It is all in a transaction, so it was taken for safe, as it is in SQLite under BEGIN
IMMEDIATE. But READ COMMITTED keeps nobody out: if two look before either has committed, both insert.

Rule broken: TOK1, at most one active token per agent. Needs two requests and one preemption.
"""

from functools import partial

from reference_impl import service
from reference_impl.backend import Address, Connection
from reference_impl.postgres.schema import execute
from reference_impl.schema import JournalMode
from reference_impl.schema import initialise as initialise_reference
from reference_impl.tokens import TokenStore

NAME = "p01-check-then-insert"


class TrustsTheTransaction(TokenStore):
    """A token store that is alone with nothing."""

    async def _alone_with(self, connection: Connection, agent: str) -> None:
        """As in the reference, where no two transactions overlap."""


async def initialise(path: Address, *, journal_mode: JournalMode = "delete") -> None:
    """As :func:`reference_impl.initialise`, without the index on active tokens."""
    await initialise_reference(path, journal_mode=journal_mode)
    await execute(str(path), "DROP INDEX uniq_agent_active_token")


open_service = partial(service.open_service, tokens=TrustsTheTransaction)
