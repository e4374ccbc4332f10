"""C03: a request first checks whether the slug is free, and appends the agent afterwards.

Two clients add agents of the same name, each under a key of its own. Both find the slug free, and the table has no
constraint that stops the second.

Rule broken: CFG, slugs are unique. Needs two requests and one preemption.
"""

import secrets
from functools import partial

from reference_impl import service
from reference_impl.agents import Agent, Agents, Created, slug_of
from reference_impl.backend import Address, is_postgres
from reference_impl.database import fetch
from reference_impl.errors import SlugTaken
from reference_impl.schema import JournalMode, create
from reference_impl.schema import initialise as initialise_reference

__all__ = ["NAME", "initialise", "open_service"]

NAME = "c03-check-then-append"


async def initialise(path: Address, *, journal_mode: JournalMode = "delete") -> None:
    """Create the tables as :func:`reference_impl.initialise` does, without the constraint on slugs."""
    await initialise_reference(path, journal_mode=journal_mode)
    if is_postgres(path):
        await create(path, "ALTER TABLE agents DROP CONSTRAINT agents_slug_key")
    else:
        await create(path, "DROP TABLE agents; CREATE TABLE agents (id TEXT, slug TEXT, name TEXT);")


class ChecksThenAppends(Agents):
    """Agents that are inserted after a SELECT has found their slugs free."""

    async def create(self, name: str, *, caller: str, key: str) -> Created:
        """Behave as the reference, as long as no other request takes the slug meanwhile."""
        slug = slug_of(name)
        async with self._database.autocommit() as connection:
            if await fetch(connection, "SELECT 1 FROM agents WHERE slug = ?", (slug,)):
                raise SlugTaken(slug)
            agent = Agent(secrets.token_hex(8), slug, name)
            await connection.execute("INSERT INTO agents (id, slug, name) VALUES (?, ?, ?)", (agent.id, slug, name))
        return Created(agent, False)


open_service = partial(service.open_service, agents=ChecksThenAppends)
