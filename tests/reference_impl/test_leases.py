"""Leases, fences, retention and bounds, and deployments that go on where a crash left them."""

from __future__ import annotations

import asyncio

import pytest

import reference_impl
from reference_impl import moments
from reference_impl.backend import Address, is_postgres, open_backend
from reference_impl.containers import RecordedContainers
from reference_impl.database import fetch
from reference_impl.errors import ContainerFailed, KeyReused, ReservationLost, StoreFull
from reference_impl.reservations import Finished, Reservations, Wait
from tests import postgres
from tests.reference_impl.stepping import closed
from tests.reference_impl.test_reservations import finish, own, reserve

SHIFT = "UPDATE reservations SET lease_until = lease_until - %s, expires_at = expires_at - %s"


class Clock:
    """A clock that is set: ours, or where the server's counts all that was written with it."""

    def __init__(self, path: Address) -> None:
        self._now, self._path = 1_000.0, path

    def time(self) -> float:
        """Return what it shows."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
        if is_postgres(self._path):
            postgres.execute(str(self._path), SHIFT, (seconds, seconds))


@pytest.fixture
def clock(path: Address, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What the reservations take for the time."""
    made = Clock(path)
    monkeypatch.setattr(moments, "time", made)
    return made


def test_a_key_passes_on_when_its_lease_has_passed_and_not_before(path: Address, clock: Clock) -> None:
    """To the same request only; and the owner before can no longer finish or release it."""

    async def main() -> None:
        async with closed(open_backend(path)) as database:
            reservations = Reservations(database, lease=5.0)
            stale = await own(reservations)
            clock.advance(4.9)
            assert isinstance(await reserve(reservations), Wait)
            clock.advance(0.1)
            with pytest.raises(KeyReused):
                await reserve(reservations, fingerprint="another request")
            successor = await own(reservations)
            assert successor.generation == stale.generation + 1
            with pytest.raises(ReservationLost):
                await finish(database, reservations, stale)
            await reservations.release(stale)
            await finish(database, reservations, successor)
            assert await reserve(reservations) == Finished("done")

    asyncio.run(main())


def test_an_owner_at_work_keeps_its_lease(path: Address) -> None:
    """The heartbeat extends it while the block runs, and leaves a successor's alone."""

    async def main() -> None:
        async with closed(open_backend(path)) as database:
            reservations = Reservations(database, lease=0.06)
            reservation = await own(reservations)
            before = await reservations.look(reservation.scope)
            async with reservations.holding(reservation):
                for _ in range(100):
                    await asyncio.sleep(0.01)
                    now = await reservations.look(reservation.scope)
                    assert before is not None
                    assert now is not None
                    if now.lease_until > before.lease_until:
                        break
                assert now.lease_until > before.lease_until
                async with database.transaction() as connection:
                    await connection.execute("UPDATE reservations SET generation = generation + 1")
                assert not await reservations.extend(reservation)

    asyncio.run(main())


def test_an_answer_is_kept_from_its_completion(path: Address, clock: Clock) -> None:
    """However long the work took; afterwards the key is free, for another request too."""

    async def main() -> None:
        async with closed(open_backend(path)) as database:
            reservations = Reservations(database, lease=100.0, retention=10.0)
            reservation = await own(reservations)
            clock.advance(50.0)
            await finish(database, reservations, reservation)
            clock.advance(9.9)
            assert await reserve(reservations) == Finished("done")
            clock.advance(0.2)
            assert not isinstance(await reserve(reservations, fingerprint="another request"), Finished | Wait)

    asyncio.run(main())


def test_a_full_store_refuses_new_keys_and_drops_none(path: Address, clock: Clock) -> None:
    """Until something it promised to keep has expired."""

    async def main() -> None:
        async with closed(open_backend(path)) as database:
            reservations = Reservations(database, retention=10.0, capacity=1)
            await finish(database, reservations, await own(reservations))
            with pytest.raises(StoreFull):
                await reserve(reservations, endpoint="another")
            assert await reserve(reservations) == Finished("done")
            clock.advance(10.1)
            await reserve(reservations, endpoint="another")

    asyncio.run(main())


class Unreliable(RecordedContainers):
    """Containers that fail the first time, before or after the start."""

    def __init__(self, path: Address, after: bool) -> None:
        super().__init__(path)
        self.after, self.failed = after, False

    async def start(self, key: str, agent_id: str, image: str) -> str:
        """Start, and fail once."""
        if self.after or self.failed:
            container = await super().start(key, agent_id, image)
        if not self.failed:
            self.failed = True
            raise ContainerFailed("no answer")
        return container


@pytest.mark.parametrize("after", [False, True])
def test_a_deployment_goes_on_where_it_was_left(path: Address, beside: Address, after: bool) -> None:
    """Whether the container was started or not: in the end there is one, and one agent, and the answer is kept."""

    async def main() -> None:
        await RecordedContainers.initialise(beside)
        containers = Unreliable(beside, after)
        async with closed(await reference_impl.open_service(path, containers=containers)) as service:
            assert service.deployments is not None
            with pytest.raises(ContainerFailed):
                await service.deployments.deploy("Eve", "image", caller="c", key="k")
            await service.deployments.recover()
            made = await service.deployments.deploy("Eve", "image", caller="c", key="k")
            assert made.replayed
            async with service.database.autocommit() as connection:
                assert len(await fetch(connection, "SELECT 1 FROM agents WHERE slug = 'eve'", ())) == 1
                assert await fetch(connection, "SELECT 1 FROM deployments", ()) == []
        async with closed(open_backend(beside)) as outside, outside.autocommit() as connection:
            assert await fetch(connection, "SELECT agent_id FROM containers", ()) == [(made.agent.id,)]
        await containers.close()

    asyncio.run(main())


def test_a_token_that_comes_late_does_not_replace_a_newer_one(beside: Address) -> None:
    """The order of the database wins over the order of delivery."""

    async def main() -> None:
        await RecordedContainers.initialise(beside)
        async with closed(RecordedContainers(beside)) as containers:
            await containers.deliver("agent", "second", 2)
            await containers.deliver("agent", "first", 1)
        async with closed(open_backend(beside)) as outside, outside.autocommit() as connection:
            assert await fetch(connection, "SELECT token_id FROM delivered", ()) == [("second",)]

    asyncio.run(main())


def test_a_deleted_agent_leaves_no_token(path: Address) -> None:
    """Its token is revoked with it."""

    async def main() -> None:
        async with closed(await reference_impl.open_service(path)) as service:
            token = await service.tokens.issue("ada")
            assert await service.tokens.verify(token.secret) == "ada"
            await service.agents.delete("ada")
            assert await service.tokens.verify(token.secret) is None
            assert [agent.slug for agent in await service.agents.list()] == ["bob"]

    asyncio.run(main())
