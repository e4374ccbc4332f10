"""P01: a SELECT and then an INSERT in one transaction, under READ COMMITTED; no index, no lock.

Clients ask for a token for one agent. Each request does everything in one transaction, which would be safe in SQLite under
BEGIN IMMEDIATE. But READ COMMITTED excludes nobody: if two check before either has committed, both insert.

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
    """A token store that takes no lock on the agent."""

    async def _alone_with(self, connection: Connection, agent: str) -> None:
        """Do nothing; that is as good as the reference's lock, as long as no two transactions overlap."""


async def initialise(path: Address, *, journal_mode: JournalMode = "delete") -> None:
    """Create the tables as :func:`reference_impl.initialise` does, without the index on active tokens."""
    await initialise_reference(path, journal_mode=journal_mode)
    await execute(str(path), "DROP INDEX uniq_agent_active_token")


open_service = partial(service.open_service, tokens=TrustsTheTransaction)
