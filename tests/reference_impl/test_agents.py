"""Agents: one per key, slugs unique, every retry told the same."""

from __future__ import annotations

import asyncio
import pickle
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from reference_impl import errors, open_service
from reference_impl.agents import ENDPOINT, Agent, fingerprint_of, slug_of
from reference_impl.backend import Address
from reference_impl.errors import DatabaseBusy, InvalidName, KeyReused, SlugTaken, StillInProgress
from tests.reference_impl.conftest import Rows
from tests.reference_impl.stepping import closed

SLUGS = "SELECT slug FROM agents ORDER BY rowid"


def test_an_agent_is_added_once_per_key(path: Address) -> None:
    """A retry under the same key is told the first answer, in this worker and in another."""

    async def main() -> None:
        async with closed(await open_service(path)) as service, closed(await open_service(path)) as other:
            agent = await service.agents.add("Eve Smith", caller="c", key="k")
            assert agent.slug == "eve-smith"
            assert await service.agents.add("Eve Smith", caller="c", key="k") == agent
            assert await other.agents.add("Eve Smith", caller="c", key="k") == agent
            assert (await service.agents.list())[2:] == (agent,)

    asyncio.run(main())


def test_a_slug_that_is_taken_is_a_definite_answer(path: Address) -> None:
    """The error is stored: a retry is told the same, even when the slug has become free."""

    async def main() -> None:
        async with closed(await open_service(path)) as service:
            with pytest.raises(SlugTaken):
                await service.agents.add("Ada", caller="c", key="k")
            async with service.database.autocommit() as connection:
                await connection.execute("DELETE FROM agents")
            with pytest.raises(SlugTaken, match="'ada'"):
                await service.agents.add("Ada", caller="c", key="k")
            assert (await service.agents.add("Ada", caller="c", key="k2")).slug == "ada"

    asyncio.run(main())


def test_the_key_of_another_request_is_refused(path: Address) -> None:
    """One key, two names: the second is told that the key was used."""

    async def main() -> None:
        async with closed(await open_service(path)) as service:
            await service.agents.add("Eve", caller="c", key="k")
            with pytest.raises(KeyReused):
                await service.agents.add("Mallory", caller="c", key="k")
            assert (await service.agents.add("Mallory", caller="d", key="k")).slug == "mallory"

    asyncio.run(main())


def test_a_name_without_a_slug_uses_no_key(path: Address) -> None:
    """A name that no slug can be made from is refused, and the key is still free."""

    async def main() -> None:
        async with closed(await open_service(path)) as service:
            with pytest.raises(InvalidName):
                await service.agents.add("?!", caller="c", key="k")
            await service.agents.add("Eve", caller="c", key="k")

    asyncio.run(main())


def test_requests_with_one_key_make_one_agent(path: Address, rows: Rows) -> None:
    """Tasks of two workers that come at the same time are all told the same agent."""

    async def main() -> list[Agent]:
        async with closed(await open_service(path)) as service, closed(await open_service(path)) as other:
            answers = await asyncio.gather(
                *(each.agents.add("Eve", caller="c", key="k") for each in (service, other, service, other))
            )
            return answers

    assert len(set(asyncio.run(main()))) == 1
    assert rows(path, SLUGS) == [("ada",), ("bob",), ("eve",)]


def test_requests_with_different_keys_are_all_heard(path: Address, rows: Rows) -> None:
    """No agent is lost; of those that want one slug, one gets it."""

    async def main() -> list[Agent | BaseException]:
        async with closed(await open_service(path)) as service:
            names = ("Eve", "Mallory", "Trent", "Eve")
            answers = await asyncio.gather(
                *(service.agents.add(name, caller="c", key=f"k{n}") for n, name in enumerate(names)),
                return_exceptions=True,
            )
            return answers

    answers = asyncio.run(main())
    assert sum(isinstance(answer, SlugTaken) for answer in answers) == 1
    assert sorted(slug for (slug,) in rows(path, SLUGS)) == ["ada", "bob", "eve", "mallory", "trent"]


def test_waiting_for_another_request_has_a_bound(path: Address) -> None:
    """An owner that never finishes costs others their patience, not for ever."""

    async def main() -> None:
        async with closed(await open_service(path, patience=0.002)) as service:
            async with service.database.transaction() as connection:
                await connection.execute(
                    "INSERT INTO reservations (caller, endpoint, key, fingerprint, state, generation, lease_until)"
                    " VALUES ('c', ?, 'k', ?, 'pending', 1, ?)",
                    (ENDPOINT, fingerprint_of("Eve"), time.time() + 60),
                )
            with pytest.raises(StillInProgress, match="'k'"):
                await service.agents.add("Eve", caller="c", key="k")

    asyncio.run(main())


def test_a_locked_database_leaves_the_key_free(file: Path) -> None:
    """Busy at any moment means retry: once the lock is gone, the same key works."""

    async def main() -> None:
        async with closed(await open_service(file, busy_timeout=0.001)) as service:
            with closing(sqlite3.connect(file, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(DatabaseBusy):
                    await service.agents.add("Eve", caller="c", key="k")
            await service.agents.add("Eve", caller="c", key="k")

    asyncio.run(main())


@pytest.mark.parametrize(("name", "slug"), [("Ada", "ada"), ("  Ada  Lovelace!", "ada-lovelace"), ("R2-D2", "r2-d2")])
def test_slugs(name: str, slug: str) -> None:
    """A slug is lower case, with one hyphen for whatever is not a letter or digit."""
    assert slug_of(name) == slug


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidName("n"),
        errors.UnknownAgent("a"),
        errors.SlugTaken("s"),
        errors.ActiveTokenExists("a"),
        errors.NoActiveToken("a"),
        errors.DatabaseBusy(5.0),
        errors.KeyReused("k"),
        errors.StillInProgress("k", 1.0),
        errors.ReservationLost("k"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickling(error: errors.ServiceError) -> None:
    """An error keeps its type, values and text on its way to another process."""
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)
