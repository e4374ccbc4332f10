"""The base of C01 and C02: the agents are one JSON document, as in a configuration file."""

import json
import secrets
from abc import abstractmethod
from typing import Any

from reference_impl.agents import Agent, Agents, Created, slug_of
from reference_impl.backend import Address, is_postgres
from reference_impl.database import fetch
from reference_impl.errors import SlugTaken
from reference_impl.schema import JournalMode, create
from reference_impl.schema import initialise as initialise_reference

_SCHEMA = """
DROP TABLE agents;
CREATE TABLE documents (name TEXT PRIMARY KEY, content TEXT NOT NULL);
INSERT INTO documents VALUES ('agents', '[]');
"""
_VIEW = """
CREATE VIEW agents AS
    SELECT each.value ->> 'id' AS id, each.value ->> 'slug' AS slug, each.value ->> 'name' AS name
    FROM documents, json_each(documents.content) AS each WHERE documents.name = 'agents';
"""
_POSTGRES_VIEW = """
CREATE VIEW agents AS
    SELECT each.value ->> 'id' AS id, each.value ->> 'slug' AS slug, each.value ->> 'name' AS name, each.rowid
    FROM documents, jsonb_array_elements(documents.content::jsonb) WITH ORDINALITY AS each (value, rowid)
    WHERE documents.name = 'agents';
"""


async def initialise(path: Address, *, journal_mode: JournalMode = "delete") -> None:
    """Create the tables as :func:`reference_impl.initialise` does, with the agents in a document.

    Args:
        path: the database, as for that function.
        journal_mode: the journal mode, as for that function.
    """
    await initialise_reference(path, journal_mode=journal_mode)
    await create(path, _SCHEMA + (_POSTGRES_VIEW if is_postgres(path) else _VIEW))


class DocumentAgents(Agents):
    """Agents in a document that is loaded and saved whole."""

    async def create(self, name: str, *, caller: str, key: str) -> Created:
        """Behave as the reference, as long as only one worker adds agents, one after another."""
        slug = slug_of(name)
        async with self._database.autocommit() as connection:
            rows = await fetch(connection, "SELECT content FROM documents WHERE name = 'agents'", ())
        agents: list[dict[str, Any]] = json.loads(rows[0][0])
        if any(agent["slug"] == slug for agent in agents):
            raise SlugTaken(slug)
        agent = Agent(secrets.token_hex(8), slug, name)
        await self._save(json.dumps([*agents, {"id": agent.id, "slug": slug, "name": name}]))
        return Created(agent, False)

    @abstractmethod
    async def _save(self, document: str) -> None:
        """Replace the stored document by this one."""
