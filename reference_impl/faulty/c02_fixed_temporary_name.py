"""C02: the document is saved under a temporary name, which is always the same, and then renamed.

Two workers save at once. The second overwrites the first one's temporary document, the first renames the second one's
document, and the second then finds nothing to rename.

Rule broken: CLEAN, only documented errors; CFG. Needs two requests and two preemptions.
"""

from functools import partial

from reference_impl import service
from reference_impl.faulty.document import DocumentAgents, initialise

__all__ = ["NAME", "initialise", "open_service"]

NAME = "c02-fixed-temporary-name"


class RenamesIntoPlace(DocumentAgents):
    """Agents in a document that is replaced by renaming another one."""

    async def _save(self, document: str) -> None:
        async with self._database.autocommit() as connection:
            await connection.execute("INSERT OR REPLACE INTO documents VALUES ('agents.tmp', ?)", (document,))
            cursor = await connection.execute(
                "UPDATE OR REPLACE documents SET name = 'agents' WHERE name = 'agents.tmp'"
            )
            if cursor.rowcount != 1:
                raise FileNotFoundError("agents.tmp")


open_service = partial(service.open_service, agents=RenamesIntoPlace)
