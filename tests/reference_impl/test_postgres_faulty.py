"""The variants of PostgreSQL: right one call at a time, wrong under some overlap of two, unlike the reference."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

import pytest

import reference_impl
from reference_impl import Service
from reference_impl.agents import ENDPOINT, fingerprint_of
from reference_impl.errors import ActiveTokenExists, DatabaseBusy, KeyReused, NoActiveToken, StillInProgress
from reference_impl.faulty.postgres import VARIANTS, load, p10_client_clock
from reference_impl.faulty.registry import Variant
from reference_impl.reservations import Proceed, Wait
from tests import postgres
from tests.reference_impl.conftest import Rows
from tests.reference_impl.held import Held, ended_or_blocked
from tests.reference_impl.stepping import closed
from tests.reference_impl.test_faulty import (
    ACTIVE,
    Answers,
    Race,
    add,
    bad_tokens,
    issue,
    revoke,
    rotate,
    rotation_lost,
    told_apart,
    undocumented,
)

pytestmark = pytest.mark.slow

MakePostgres = Callable[..., str]

TOKEN = "INSERT INTO tokens (id, agent_id, secret_hash, issued_at) VALUES ('t', '1', '', 0)"
LEASE_PASSES = (
    "UPDATE reservations SET lease_until = 0"
    " WHERE ctid IN (SELECT ctid FROM reservations FOR UPDATE SKIP LOCKED)"  # not while its owner commits
)


def told_of_none(answers: Answers, path: Any, rows: Rows) -> bool:
    """A client was told of an agent that is not there."""
    there = [slug for (slug,) in rows(path, "SELECT slug FROM agents")]
    return any(getattr(answer, "slug", "ada") not in there for answer in answers)


def raw(answers: Answers, path: Any, rows: Rows) -> bool:
    """A client was told what is none of its business."""
    return undocumented(answers)


RACES = {
    "p01-check-then-insert": Race(issue("ada"), issue("ada"), bad_tokens),
    "p02-write-skew": Race(issue("ada"), issue("ada"), bad_tokens),
    "p04-locks-no-row": Race(add(), add(), told_apart),
    "p06-retry-keeps-effects": Race(
        lambda service: service.agents.add("Eve", caller="c", key="k"),
        lambda service: service.agents.add("Mallory", caller="c", key="other"),
        told_of_none,
    ),
    "p07-failure-not-retried": Race(rotate, rotate, raw, token=True),
    "p08-stale-rotation": Race(rotate, rotate, rotation_lost, token=True),
    "p09-conflict-taken-for-insert": Race(issue("ada"), issue("ada"), bad_tokens),
    "p11-unfenced-completion": Race(add(), add(), told_apart),
    "p12-lock-order": Race(revoke, rotate, raw, token=True),
    "p14-join-under-lock": Race(rotate, rotate, rotation_lost, token=True),
}
TOLD_OTHERWISE = {"p03-lost-notify", "p05-advisory-lock-leaks", "p10-client-clock", "p13-notify-before-commit"}
"""Those have tests of their own below."""


async def run(variant: Variant, url: str, race: Race, at: int, lease_passes: bool) -> tuple[Answers, bool]:
    """The second call interrupts the first after its statement *at*; True where there was such a statement."""
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(closed(await variant.open_service(url))) for _ in range(2)]
        held = Held(one)
        first = asyncio.create_task(race.first(one))
        interrupted = await held.run_to(at, first)
        if lease_passes:
            postgres.execute(url, LEASE_PASSES)
        second = asyncio.create_task(race.second(two))
        await ended_or_blocked(url, second)
        await held.release()
        return await asyncio.gather(first, second, return_exceptions=True), interrupted


def wrong_at(module: str, name: str, make: MakePostgres, rows: Rows, *, all_of: bool) -> list[int]:
    """At which statements of the first call the second one must come for it all to go wrong; the first one at least."""
    race, found = RACES[name], []
    variant = reference_impl if module == "reference" else load(module)
    for at in range(1, 20):
        url = make(module)
        if race.token:
            postgres.execute(url, TOKEN)
        answers, interrupted = asyncio.run(run(variant, url, race, at, name.startswith("p11")))
        if race.wrong(answers, url, rows):
            found.append(at)
        if not interrupted or (found and not all_of):
            break
    assert at > 1
    return found


def test_every_variant_is_raced() -> None:
    """None is left out."""
    assert set(RACES) | TOLD_OTHERWISE == set(VARIANTS)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_right_one_call_at_a_time(make_postgres: MakePostgres, rows: Rows, name: str) -> None:
    """With no overlap, a variant does what the reference does; it has the name and the number that it is known by."""
    module, url = load(name), make_postgres(name)
    assert name == module.NAME
    assert (module.__doc__ or "").startswith(name.split("-")[0].upper() + ": ")

    async def main() -> None:
        async with closed(await module.open_service(url)) as service:
            eve = await service.agents.add("Eve", caller="c", key="k")
            assert await service.agents.add("Eve", caller="c", key="k") == eve
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
            with pytest.raises(NoActiveToken):
                await service.tokens.rotate("eve")

    asyncio.run(main())
    assert rows(url, "SELECT slug FROM agents ORDER BY rowid") == [("ada",), ("bob",), ("eve",)]
    assert rows(url, ACTIVE) == []


@pytest.mark.parametrize("name", RACES)
def test_one_overlap_shows_the_fault(make_postgres: MakePostgres, rows: Rows, name: str) -> None:
    """Some overlap of two calls breaks the variant's rule."""
    assert wrong_at(name, name, make_postgres, rows, all_of=False)


@pytest.mark.parametrize(
    "name",
    [
        "p01-check-then-insert",
        "p06-retry-keeps-effects",
        "p08-stale-rotation",
        "p11-unfenced-completion",
        "p12-lock-order",
    ],
)
def test_no_overlap_breaks_the_reference(make_postgres: MakePostgres, rows: Rows, name: str) -> None:
    """Wherever the second call comes, the reference does right: one race of each kind."""
    assert wrong_at("reference", name, make_postgres, rows, all_of=True) == []


def opened(name: str) -> Any:
    """The variant, or the reference."""
    return reference_impl if name == "reference" else load(name)


async def own(service: Service) -> Proceed:
    """Reserve the key that ``add`` uses."""
    owner = await service.reservations.try_reserve(
        "k", caller="c", endpoint=ENDPOINT, fingerprint=fingerprint_of("Eve")
    )
    assert isinstance(owner, Proceed)
    return owner


@pytest.mark.parametrize("name", ["reference", "p03-lost-notify"])
def test_an_announcement_between_look_and_listen_is_lost(make_postgres: MakePostgres, name: str) -> None:
    """The owner finishes when the waiter has looked: the reference listens by then."""

    url = make_postgres(name)

    async def main() -> Any:
        module, patience = opened(name), 10.0 if name == "reference" else 0.2
        async with (
            closed(await module.open_service(url)) as here,
            closed(await module.open_service(url, patience=patience)) as there,
        ):
            owner = await own(here)
            held = Held(there)
            waiter = asyncio.create_task(add()(there))
            assert await held.run_to(3, waiter)  # most connections, claim, look
            async with here.reservations.holding(owner.reservation), here.database.transaction() as connection:
                await here.reservations.set(
                    connection, owner.reservation, '{"agent": {"id": "3", "slug": "eve", "name": "Eve"}}'
                )
            await held.release()
            (answer,) = await asyncio.gather(waiter, return_exceptions=True)
            return answer

    assert isinstance(asyncio.run(main()), StillInProgress) == (name != "reference")


@pytest.mark.parametrize("name", ["reference", "p13-notify-before-commit"])
def test_an_announcement_before_the_commit_is_wasted(make_postgres: MakePostgres, name: str) -> None:
    """The waiter has looked again before the owner commits: the reference announces afterwards."""

    url = make_postgres(name)

    async def main() -> Any:
        module, patience = opened(name), 10.0 if name == "reference" else 0.3
        async with (
            closed(await module.open_service(url)) as here,
            closed(await module.open_service(url, patience=patience)) as there,
        ):
            held, watched = Held(here), Held(there)
            owner = asyncio.create_task(add()(here))
            assert await held.run_to(4, owner)  # most connections, claim, BEGIN, INSERT
            waiter = asyncio.create_task(add()(there))
            assert await watched.run_to(3, waiter)
            await watched.release()
            if name != "reference":
                assert await held.run_to(5, owner)
                while watched.ended < 5 and not waiter.done():
                    await asyncio.sleep(0.001)
            await held.release()
            return (await asyncio.gather(owner, waiter, return_exceptions=True))[1]

    assert isinstance(asyncio.run(main()), StillInProgress) == (name != "reference")


@pytest.mark.parametrize("name", ["reference", "p05-advisory-lock-leaks"])
def test_a_lock_left_in_the_pool_is_never_had_again(make_postgres: MakePostgres, name: str) -> None:
    """Two tasks of one worker mix their connections up; another worker then waits in vain."""

    url = make_postgres(name)

    async def main() -> Any:
        module = opened(name)
        async with (
            closed(await module.open_service(url)) as here,
            closed(await module.open_service(url, busy_timeout=0.05)) as there,
        ):
            held = Held(here, one_task=True)
            first = asyncio.create_task(here.tokens.issue("ada"))
            assert await held.run_to(3, first)
            await here.tokens.issue("bob")
            await held.release()
            await first
            (answer,) = await asyncio.gather(there.tokens.issue("ada"), return_exceptions=True)
            return answer

    assert type(asyncio.run(main())) is (ActiveTokenExists if name == "reference" else DatabaseBusy)


@pytest.mark.parametrize("name", ["reference", "p10-client-clock"])
def test_a_clock_that_is_ahead_takes_over_from_the_living(
    make_postgres: MakePostgres, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The reference asks the server what time it is."""

    url = make_postgres(name)

    async def main() -> Any:
        module = opened(name)
        async with closed(await module.open_service(url)) as here, closed(await module.open_service(url)) as there:
            await own(here)
            ahead = SimpleNamespace(time=lambda: time.time() + 60.0)
            monkeypatch.setattr(p10_client_clock, "time", ahead)
            monkeypatch.setattr("reference_impl.moments.time", ahead)
            return await there.reservations.try_reserve(
                "k", caller="c", endpoint=ENDPOINT, fingerprint=fingerprint_of("Eve")
            )

    assert type(asyncio.run(main())) is (Wait if name == "reference" else Proceed)
