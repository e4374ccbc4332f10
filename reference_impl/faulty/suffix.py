"""Slugs made unique by appending ``-2``, ``-3`` ...: harmless by itself, but it hides that an agent was made twice."""

import secrets
from itertools import chain, count

from reference_impl.agents import Agent, Agents, insert
from reference_impl.backend import Connection
from reference_impl.database import fetch


async def insert_with_suffix(connection: Connection, slug: str, name: str) -> Agent:
    """Insert an agent under the first free slug among ``slug``, ``slug-2``, ``slug-3`` ...

    Args:
        connection: a connection in a transaction.
        slug: the slug to try first.
        name: the agent's name.

    Returns:
        The agent, under the slug it got.
    """
    taken = [row[0] for row in await fetch(connection, "SELECT slug FROM agents", ())]
    candidates = chain([slug], (f"{slug}-{number}" for number in count(2)))
    slug = next(each for each in candidates if each not in taken)
    return await insert(connection, Agent(secrets.token_hex(8), slug, name))


class SuffixedAgents(Agents):
    """Agents that get the next free slug with a suffix where the reference refuses a slug that is taken."""

    async def _effect(self, connection: Connection, slug: str, name: str) -> Agent:
        return await insert_with_suffix(connection, slug, name)
