"""Reservations: who may work, who waits, what wakes them, and what a stale owner can't do."""

from __future__ import annotations

import asyncio

import pytest

from reference_impl.backend import Address, Backend, open_backend
from reference_impl.errors import KeyReused, ReservationLost
from reference_impl.reservations import Finished, Proceed, Reservation, Reservations, Wait
from tests.reference_impl.stepping import closed


async def reserve(
    reservations: Reservations, *, caller: str = "c", endpoint: str = "e", fingerprint: str = "f"
) -> Proceed | Wait | Finished:
    """Try the key ``k``."""
    return await reservations.try_reserve("k", caller=caller, endpoint=endpoint, fingerprint=fingerprint)


async def own(reservations: Reservations) -> Reservation:
    """Reserve the key ``k``, which must be free."""
    outcome = await reserve(reservations)
    assert isinstance(outcome, Proceed)
    return outcome.reservation


async def finish(database: Backend, reservations: Reservations, reservation: Reservation) -> None:
    """Finish a reservation as an owner does."""
    async with reservations.holding(reservation), database.transaction() as connection:
        await reservations.set(connection, reservation, "done")


def test_the_first_proceeds_the_second_waits_later_ones_are_told(path: Address) -> None:
    """A key has one owner; once it has finished, its result is everybody's."""

    async def main() -> None:
        async with closed(open_backend(path)) as database:
            reservations = Reservations(database)
            reservation = await own(reservations)
            assert isinstance(await reserve(reservations), Wait)
            await finish(database, reservations, reservation)
            assert await reserve(reservations) == Finished("done")

    asyncio.run(main())


def test_a_key_belongs_to_caller_and_endpoint(path: Address) -> None:
    """The same key of another caller, or for another endpoint, is another key."""

    async def main() -> None:
        async with closed(open_backend(path)) as database:
            reservations = Reservations(database)
            await own(reservations)
            assert isinstance(await reserve(reservations, caller="other"), Proceed)
            assert isinstance(await reserve(reservations, endpoint="other"), Proceed)

    asyncio.run(main())


def test_a_key_is_bound_to_its_request(path: Address) -> None:
    """Another request under the key is refused, whether the first is pending, released or finished."""

    async def main() -> None:
        async with closed(open_backend(path)) as database:
            reservations = Reservations(database)
            reservation = await own(reservations)
            for _ in range(2):
                with pytest.raises(KeyReused):
                    await reserve(reservations, fingerprint="other")
                await reservations.release(reservation)
            await finish(database, reservations, await own(reservations))
            with pytest.raises(KeyReused):
                await reserve(reservations, fingerprint="other")

    asyncio.run(main())


def test_a_waiter_in_this_process_is_woken_at_once(path: Address) -> None:
    """Finishing wakes a waiting task without any polling."""

    async def main() -> None:
        async with closed(open_backend(path)) as database:
            reservations = Reservations(database)
            reservation = await own(reservations)
            wait = await reserve(reservations)
            assert isinstance(wait, Wait)
            await finish(database, reservations, reservation)
            assert wait.woken.is_set()
            assert await wait.changed(1)

    asyncio.run(main())


def test_an_owner_that_fails_wakes_the_waiter_to_try_again(path: Address) -> None:
    """A failed block releases the key, and the waiter owns it next, with a later generation."""

    async def main() -> None:
        async with closed(open_backend(path)) as database:
            reservations = Reservations(database)
            reservation = await own(reservations)
            wait = await reserve(reservations)
            assert isinstance(wait, Wait)
            with pytest.raises(ZeroDivisionError):
                async with reservations.holding(reservation):
                    raise ZeroDivisionError
            assert wait.woken.is_set()
            assert (await own(reservations)).generation == reservation.generation + 1

    asyncio.run(main())


def test_a_waiter_elsewhere_polls_or_is_told(path: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    """A waiter in another worker sees from the database, or hears, that the owner has finished, or given up."""
    monkeypatch.setattr("reference_impl.reservations.FIRST_POLL", 0.001)

    async def main() -> None:
        async with closed(open_backend(path)) as database:
            here, elsewhere = Reservations(database), Reservations(database)
            reservation = await own(here)
            wait = await reserve(elsewhere)
            assert isinstance(wait, Wait)
            assert not await wait.changed(0.005)
            await here.release(reservation)
            assert await wait.changed(1)
            assert wait.woken.is_set() is database.wakes_others
            await finish(database, here, await own(here))
            assert await wait.changed(1)

    asyncio.run(main())


def test_a_change_of_owner_between_two_polls_is_seen(path: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    """Released and reserved again looks pending as before, but it is another generation."""
    monkeypatch.setattr("reference_impl.reservations.FIRST_POLL", 0.001)

    async def main() -> None:
        async with closed(open_backend(path)) as database:
            here, elsewhere = Reservations(database), Reservations(database)
            reservation = await own(here)
            wait = await reserve(elsewhere)
            assert isinstance(wait, Wait)
            await here.release(reservation)
            await own(here)
            assert await wait.changed(1)

    asyncio.run(main())


def test_waiting_has_a_bound(path: Address) -> None:
    """A wait whose time is over says so, even with no time at all."""

    async def main() -> None:
        async with closed(open_backend(path)) as database:
            reservations = Reservations(database)
            await own(reservations)
            wait = await reserve(reservations)
            assert isinstance(wait, Wait)
            assert not await wait.changed(0.002)
            assert not await wait.changed(0)

    asyncio.run(main())


def test_a_lost_reservation_has_no_effect(path: Address) -> None:
    """Whoever finishes under a reservation given up meanwhile is told so, and its transaction is undone."""

    async def main() -> None:
        async with closed(open_backend(path)) as database:
            reservations = Reservations(database)
            stale = await own(reservations)
            await reservations.release(stale)
            latest = await own(reservations)
            with pytest.raises(ReservationLost):
                await finish(database, reservations, stale)
            await finish(database, reservations, latest)
            assert await reserve(reservations) == Finished("done")

    asyncio.run(main())


def test_a_stale_release_does_nothing(path: Address) -> None:
    """Neither a later owner's reservation nor a finished key can be released."""

    async def main() -> None:
        async with closed(open_backend(path)) as database:
            reservations = Reservations(database)
            stale = await own(reservations)
            await reservations.release(stale)
            latest = await own(reservations)
            await reservations.release(stale)
            assert isinstance(await reserve(reservations), Wait)
            await finish(database, reservations, latest)
            await reservations.release(latest)
            assert await reserve(reservations) == Finished("done")

    asyncio.run(main())


def test_nothing_is_remembered_of_waits_that_are_over(path: Address) -> None:
    """The events of keys nobody waits for are gone."""

    async def main() -> None:
        async with closed(open_backend(path)) as database:
            reservations = Reservations(database)
            await own(reservations)
            wait = await reserve(reservations)
            assert len(reservations._events) == 1
            del wait
            assert len(reservations._events) == 0

    asyncio.run(main())
