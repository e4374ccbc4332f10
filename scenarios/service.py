"""The reference service and its faulty variants as systems for scenarios: operations, setup, opening and closing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import reference_impl
from harness.scenario import Scenario
from reference_impl import faulty
from reference_impl.errors import KeyReused
from reference_impl.schema import JournalMode
from reference_impl.service import Service

__all__ = ["KEY_REUSED", "OPERATIONS", "in_wal", "with_variants"]


async def issue(service: Service, agent: str) -> object:
    """Issue a token."""
    return await service.tokens.issue(agent)


async def rotate(service: Service, agent: str) -> object:
    """Replace the agent's token."""
    return await service.tokens.rotate(agent)


async def revoke(service: Service, agent: str, token: str) -> None:
    """Revoke one token."""
    await service.tokens.revoke(agent, token)


async def verify(service: Service, secret: str) -> object:
    """Authenticate with a token."""
    return await service.tokens.verify(secret)


async def get_active(service: Service, agent: str) -> object:
    """Ask for the id of the agent's active token."""
    return await service.tokens.get_active(agent)


async def add(service: Service, name: str, caller: str, key: str) -> object:
    """Add an agent under an idempotency key."""
    return await service.agents.add(name, caller=caller, key=key)


async def create(service: Service, name: str, caller: str, key: str) -> object:
    """Add an agent under an idempotency key, and return whether the answer is an earlier request's."""
    return await service.agents.create(name, caller=caller, key=key)


async def hold(service: Service, seconds: float) -> None:
    """Keep others from writing for *seconds*: in SQLite a transaction holds the write lock."""
    async with service.database.transaction():
        await asyncio.sleep(seconds)


async def pause(_: Service, seconds: float) -> None:
    """Let *seconds* pass."""
    await asyncio.sleep(seconds)


async def close(service: Service) -> None:
    """Close the service."""
    await service.close()


OPERATIONS: Mapping[str, Callable[..., Any]] = {
    operation.__name__: operation for operation in (issue, rotate, revoke, verify, get_active, add, create, hold, pause)
}
"""Operations on the service by name."""

KEY_REUSED = KeyReused.__name__


@dataclass(frozen=True)
class Prepared:
    """A setup that creates *implementation*'s database in *journal_mode* and lets *prepare* fill it."""

    implementation: Any
    prepare: Callable[[Service, Path], Awaitable[None]]
    journal_mode: JournalMode = "delete"

    async def __call__(self, db: Path) -> None:
        """Make and fill the database *db*; the reference implementation fills it, for variants too."""
        await self.implementation.initialise(db, journal_mode=self.journal_mode)
        service = await reference_impl.open_service(db)
        await self.prepare(service, db)
        await service.close()


def with_variants(
    scenario: Scenario, prepare: Callable[[Service, Path], Awaitable[None]], names: tuple[str, ...], **options: Any
) -> Scenario:
    """Return *scenario* over the reference implementation, with the faulty variants *names*.

    *options* are the options that their services are opened with.
    """

    def over(implementation: Any, name: str) -> Scenario:
        setup = Prepared(implementation, prepare)
        return replace(
            scenario, variant=name, setup=setup, open=partial(implementation.open_service, **options), close=close
        )

    return replace(over(reference_impl, ""), variants={name: over(faulty.load(name), name) for name in names})


def in_wal(scenario: Scenario) -> Scenario:
    """Return *scenario* and its variants over a database in write-ahead-log mode, with ``-wal`` added to its name."""
    assert isinstance(scenario.setup, Prepared)
    return replace(
        scenario,
        name=f"{scenario.name}-wal",
        setup=replace(scenario.setup, journal_mode="wal"),
        variants={name: in_wal(variant) for name, variant in scenario.variants.items()},
    )
