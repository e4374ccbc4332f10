"""The faulty variants: right one call at a time, wrong under some overlap of two, unlike the reference."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import reference_impl
from reference_impl import Service
from reference_impl.agents import Agent
from reference_impl.backend import Address
from reference_impl.errors import ActiveTokenExists, KeyReused, NoActiveToken, ServiceError, StillInProgress
from reference_impl.faulty import SQLITE_ONLY, VARIANTS, Variant, load
from reference_impl.reservations import Scope
from reference_impl.schema import initialise
from reference_impl.tokens import IssuedToken
from tests.reference_impl.conftest import Make, Rows
from tests.reference_impl.stepping import Paused, awaiting, closed

Call = Callable[[Service], Coroutine[Any, Any, Any]]
Answers = list[Any]
Wrong = Callable[[Answers, Path, Rows], bool]

ACTIVE = "SELECT agent_id, id FROM tokens WHERE revoked_at IS NULL ORDER BY rowid"


# --- one after another ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_has_the_name_it_is_known_by(name: str) -> None:
    """Name, module and story agree on the number of the fault."""
    module = load(name)
    assert name == module.NAME
    assert (module.__doc__ or "").startswith(name.split("-")[0].upper() + ": ")


def test_an_unknown_variant_is_an_error() -> None:
    """The error lists what there is."""
    with pytest.raises(KeyError, match="r01-get-then-set"):
        load("r99-made-up")


NEEDS_NO_OVERLAP = (
    "r17-fingerprint-after-change",
    "c01-whole-file-rewrite",
    "c02-fixed-temporary-name",
    "c03-check-then-append",
    "t14-insert-or-ignore",
)
"""A retry shows these, or they keep agents elsewhere than the databases made here have them."""


@pytest.mark.parametrize("name", [name for name in VARIANTS if name not in NEEDS_NO_OVERLAP])
def test_a_variant_is_right_one_call_at_a_time(make: Make, rows: Rows, name: str) -> None:
    """In one worker and with no overlap, a variant does what the reference does."""
    right_one_call_at_a_time(name, make(name), rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in VARIANTS if name not in {*NEEDS_NO_OVERLAP, *SQLITE_ONLY}])
def test_most_variants_run_over_postgres_too(make_postgres: Callable[..., str], rows: Rows, name: str) -> None:
    """As they do over SQLite."""
    module, url = load(name), make_postgres()
    if module.initialise is not initialise:
        asyncio.run(module.initialise(url))
    right_one_call_at_a_time(name, url, rows)


@pytest.mark.parametrize("name", ["c01-whole-file-rewrite", "c03-check-then-append"])
def test_variants_with_tables_of_their_own_run_over_postgres_too(postgres_url: str, rows: Rows, name: str) -> None:
    """They make the tables, and an agent."""

    async def main() -> None:
        await load(name).initialise(postgres_url)
        async with closed(await load(name).open_service(postgres_url)) as service:
            eve = await service.agents.add("Eve", caller="c", key="k")
            assert await service.agents.list() == (eve,)

    asyncio.run(main())
    assert rows(postgres_url, "SELECT slug FROM agents") == [("eve",)]


def right_one_call_at_a_time(name: str, path: Address, rows: Rows) -> None:
    """Hold a variant against what the reference answers."""

    async def main() -> None:
        async with closed(await load(name).open_service(path)) as service:
            eve = await service.agents.add("Eve", caller="c", key="k")
            assert await service.agents.add("Eve", caller="c", key="k") == eve
            assert (await service.agents.add("Eve Two", caller="c", key="k2")).slug == "eve-two"
            if name != "r16-no-fingerprint":
                with pytest.raises(KeyReused):
                    await service.agents.add("Mallory", caller="c", key="k")
            old = await service.tokens.issue("eve")
            with pytest.raises(ActiveTokenExists):
                await service.tokens.issue("eve")
            new = await service.tokens.rotate("eve")
            assert [await service.tokens.verify(each.secret) for each in (old, new)] == [None, "eve"]
            with pytest.raises(NoActiveToken):
                await service.tokens.revoke("eve", old.id)
            await service.tokens.revoke("eve", new.id)
            assert await service.tokens.get_active("eve") is None
            with pytest.raises(NoActiveToken):
                await service.tokens.rotate("eve")

    asyncio.run(main())
    assert rows(path, "SELECT slug FROM agents ORDER BY rowid") == [("ada",), ("bob",), ("eve",), ("eve-two",)]
    assert rows(path, ACTIVE) == []


# --- overlapping ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Race:
    """Two calls of which the first is interrupted by the second, and how to tell that it went wrong."""

    first: Call
    second: Call
    wrong: Wrong
    workers: int = 2
    token: bool = False


def add(name: str = "Eve") -> Call:
    """Add an agent under one and the same key."""
    return lambda service: service.agents.add(name, caller="c", key="k")


def issue(agent: str) -> Call:
    """Issue a token."""
    return lambda service: service.tokens.issue(agent)


def rotate(service: Service) -> Coroutine[Any, Any, Any]:
    """Rotate the token of ``ada``."""
    return service.tokens.rotate("ada")


def revoke(service: Service) -> Coroutine[Any, Any, Any]:
    """Revoke the token ``t`` of ``ada``."""
    return service.tokens.revoke("ada", "t")


def claim(service: Service) -> Coroutine[Any, Any, Any]:
    """Reserve a key; not through ``add``, which does this in a task of its own that can't be paused here."""
    return service.agents._reservations._claim(Scope("c", "e", "k"), "f")


def undocumented(answers: Answers) -> bool:
    """Someone was told something that is neither a value nor an error of the service."""
    return any(isinstance(a, BaseException) and not isinstance(a, ServiceError) for a in answers)


def told_apart(answers: Answers, path: Path, rows: Rows) -> bool:
    """Clients of one key were told different things, or it made more than one agent."""
    told = [str(answer) for answer in answers]
    return told[0] != told[1] or None in answers or len(rows(path, "SELECT 1 FROM agents")) > 3


def both_own(answers: Answers, path: Path, rows: Rows) -> bool:
    """Both were given the reservation."""
    return None not in answers


def other_name(answers: Answers, path: Path, rows: Rows) -> bool:
    """A client was told of an agent it did not ask for."""
    return any(isinstance(a, Agent) and a.name != asked for a, asked in zip(answers, ("Eve", "Mallory"), strict=True))


def bad_tokens(answers: Answers, path: Path, rows: Rows) -> bool:
    """Too many are active, or one told is not in the database or not this call's, or a raw error was told."""
    active = [agent for agent, _ in rows(path, ACTIVE)]
    made = [id for (id,) in rows(path, "SELECT id FROM tokens")]
    tokens = [answer for answer in answers if isinstance(answer, IssuedToken)]
    return (
        undocumented(answers)
        or len(set(active)) < len(active)
        or any(token.id not in made or not token.secret.startswith(token.id) for token in tokens)
    )


def rotation_lost(answers: Answers, path: Path, rows: Rows) -> bool:
    """A rotation found nothing to rotate, though there always was a token, or left none."""
    return any(isinstance(answer, ServiceError) for answer in answers) or len(rows(path, ACTIVE)) != 1


def rotated_token_dead(answers: Answers, path: Path, rows: Rows) -> bool:
    """The rotation succeeded last, and yet its token is not active."""
    _, rotated = answers
    return isinstance(rotated, IssuedToken) and [id for _, id in rows(path, ACTIVE)] != [rotated.id]


RACES = {
    "r01-get-then-set": Race(add(), add(), told_apart, workers=1),
    "r02-select-then-put": Race(claim, claim, both_own),
    "r03-in-memory-reservation": Race(add(), add(), told_apart),
    "r16-no-fingerprint": Race(add("Eve"), add("Mallory"), other_name),
    "r20-exception-leaves-reservation": Race(add("Ada"), add("Ada"), told_apart),
    "r34-waiter-returns-none": Race(add("Ada"), add("Ada"), told_apart, workers=1),
    "c04-conflict-suffix": Race(add(), add(), told_apart),
    "t01-check-then-insert": Race(issue("ada"), issue("ada"), bad_tokens),
    "t03-deferred-transaction": Race(issue("ada"), issue("ada"), bad_tokens),
    "t09-shared-connection": Race(issue("ada"), issue("bob"), bad_tokens, workers=1),
    "t11-read-after-commit": Race(rotate, rotate, bad_tokens, token=True),
    "t12-two-transactions": Race(rotate, rotate, rotation_lost, token=True),
    "t13-non-partial-unique": Race(issue("ada"), issue("ada"), bad_tokens, workers=1),
    "t16-revoke-by-agent": Race(revoke, rotate, rotated_token_dead, token=True),
}


async def run(variant: Variant, path: Path, race: Race, at: int, wait: float) -> tuple[Answers, bool]:
    """The second call interrupts the first after its step *at*; True where there was such a step."""
    patience = 0.05 if variant.NAME.startswith("r20") else 10.0
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(closed(await variant.open_service(path, patience=patience)))
            for _ in range(race.workers)
        ]
        first = Paused(race.first(services[0]), at)
        one = asyncio.create_task(awaiting(first))
        reached = asyncio.create_task(first.reached.wait())
        await asyncio.wait((one, reached), return_when=asyncio.FIRST_COMPLETED)
        two = asyncio.create_task(race.second(services[-1]))
        await asyncio.wait((two,), timeout=wait)  # it may have to wait for the first
        first.gate.set()
        answers = await asyncio.gather(one, two, return_exceptions=True)
        reached.cancel()
    return list(answers), first.reached.is_set()


def wrong_at(variant: Variant, make: Make, rows: Rows, name: str, wait: float = 0.005) -> list[int]:
    """At which steps of the first call the second one must come for it all to go wrong."""
    race, found = RACES[name], []
    for at in range(100):
        path = make(variant.NAME)
        if race.token:
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute("INSERT INTO tokens (id, agent_id, secret_hash, issued_at) VALUES ('t', '1', '', 0)")
        answers, interrupted = asyncio.run(run(variant, path, race, at, wait))
        if race.wrong(answers, path, rows):
            found.append(at)
        if not interrupted:
            break
    assert at > 1
    return found


def test_every_variant_is_raced_by_a_scenario() -> None:
    """No variant is left out there; those that two calls of one process can show are raced below too."""
    from scenarios import ALL

    assert {name for scenario in ALL for name in scenario.variants} == set(VARIANTS)
    assert set(RACES) <= set(VARIANTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", RACES)
def test_one_overlap_shows_the_fault(make: Make, rows: Rows, name: str) -> None:
    """Some overlap of two calls breaks the variant's rule."""
    # The second call is given little time, as it may be locked out; more if the machine is that busy.
    assert any(wrong_at(load(name), make, rows, name, wait) for wait in (0.005, 0.05, 0.5))


@pytest.mark.slow
@pytest.mark.parametrize("name", RACES)
def test_no_overlap_breaks_the_reference(make: Make, rows: Rows, name: str) -> None:
    """Wherever the second call comes, the reference does right."""
    assert wrong_at(reference_impl, make, rows, name) == []


def test_an_exception_leaves_the_reservation(make: Make) -> None:
    """Without any overlap, the retry of a failed request waits for nobody."""

    name = "r20-exception-leaves-reservation"
    path = make(name)

    async def main() -> None:
        async with closed(await load(name).open_service(path, patience=0.002)) as service:
            with pytest.raises(ServiceError, match="slug"):
                await service.agents.add("Ada", caller="c", key="k")
            with pytest.raises(StillInProgress):
                await service.agents.add("Ada", caller="c", key="k")

    asyncio.run(main())
