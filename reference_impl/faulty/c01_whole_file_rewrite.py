"""C01: the list of agents is one document, which each request loads, changes and rewrites as a whole.

Each request adds to its own copy and saves that. An agent that another request saved in between is gone, though its
client was told that the agent is there.

Rule broken: CFG, every acknowledged agent is there. Needs two requests and one preemption, or a copy loaded before.
"""

from functools import partial

from reference_impl import service
from reference_impl.faulty.document import DocumentAgents, initialise

__all__ = ["NAME", "initialise", "open_service"]

NAME = "c01-whole-file-rewrite"


class RewritesWhole(DocumentAgents):
    """Agents in a document that is overwritten with the request's copy."""

    async def _save(self, document: str) -> None:
        async with self._database.autocommit() as connection:
            await connection.execute("UPDATE documents SET content = ? WHERE name = 'agents'", (document,))


open_service = partial(service.open_service, agents=RewritesWhole)
