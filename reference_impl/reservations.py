"""Idempotency keys: of all requests with one key, one does the work and the others get its answer.

The idea is the IETF draft "The Idempotency-Key HTTP Header Field". A key belongs to one caller and one
endpoint and is bound to a fingerprint of the request. The record lives in the database, so every worker sees
it, and it is finished in the transaction that makes the effect, so neither exists without the other.

An owner holds a key for the length of a lease, which it extends while it works. The lease of an owner that dies passes,
and the next request for the key takes over. Each take-over increments the generation, which fences off the old owner
should it still be alive. A finished record is kept for a retention time counted from its completion.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ClassVar, NamedTuple
from weakref import WeakValueDictionary

from reference_impl.backend import Backend, Connection
from reference_impl.database import fetch
from reference_impl.errors import KeyReused, ReservationLost, ServiceError, StoreFull
from reference_impl.heartbeat import Heartbeat
from reference_impl.moments import FromNow
from reference_impl.scope import Scope

__all__ = ["Finished", "Proceed", "Record", "Reservation", "Reservations", "Scope", "Wait"]

LOG = logging.getLogger(__name__)

LEASE = 30.0
RETENTION = 86_400.0
CAPACITY = 100_000
FIRST_POLL = 0.05
LONGEST_POLL = 1.0


class Record(NamedTuple):
    """The database's record of a key."""

    fingerprint: str
    state: str
    generation: int
    result: str | None
    lease_until: float = 0.0
    passed: bool = False


@dataclass(frozen=True, slots=True)
class Reservation:
    """The right to do the work for a key.

    Attributes:
        scope: the key, with its caller and endpoint.
        generation: the owner's number among the key's owners; only the latest may finish or release the key.
    """

    scope: Scope
    generation: int


@dataclass(frozen=True, slots=True)
class Proceed:
    """The key is reserved for the caller: do the work under ``reservation``."""

    reservation: Reservation


@dataclass(frozen=True, slots=True)
class Finished:
    """The work was done before: answer with ``result``."""

    result: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Another request is doing the work: await :meth:`changed`, then try to reserve again."""

    generation: int
    lease_until: float
    woken: asyncio.Event
    look: Callable[[], Awaitable[Record | None]]
    told: bool = False

    async def changed(self, timeout: float) -> bool:
        """Wait until the owner has finished or has released the key, or until its lease has passed.

        An owner in this process wakes the waiter at once. For an owner in another process the database is polled: after
        ``FIRST_POLL`` seconds, then after twice as long each time, ``LONGEST_POLL`` seconds at most. Where such owners
        wake the waiter too (``told``), it is polled every ``LONGEST_POLL`` seconds, because an owner may have died and
        an announcement may get lost.

        Args:
            timeout: how long to wait at most, in seconds.

        Returns:
            True where reserving is worth another try, False where the time is over.

        Raises:
            DatabaseBusy: the database stayed locked.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout
        interval = LONGEST_POLL if self.told else FIRST_POLL
        while (left := deadline - clock()) > 0:
            try:
                async with asyncio.timeout(min(interval, left)):
                    await self.woken.wait()
                return True
            except TimeoutError:
                record = await self.look()
            if record is None or (record.state, record.generation) != ("pending", self.generation):
                return True
            if record.passed:
                return True
            interval = min(2 * interval, LONGEST_POLL)
        return False


class Reservations:
    """Reserves, finishes and releases keys. Safe for several tasks and several workers.

    Args:
        database: this worker's database.
        lease: how long an owner keeps a key without extending the lease, in seconds.
        retention: how long an answer is remembered after it was made, in seconds.
        capacity: how many keys are remembered at most. A key within its retention is never dropped for another: when all
        places are taken, new keys are refused.
    """

    # Only the latest owner of a pending record may change it.
    FENCE: ClassVar[str] = "WHERE caller = ? AND endpoint = ? AND key = ? AND state = 'pending' AND generation = ?"
    # A key that exists may be taken again where its owner gave up or died (by the same request), or its time is over.
    FREE: ClassVar[str] = (
        "(reservations.fingerprint = excluded.fingerprint AND (reservations.state = 'released'"
        " OR (reservations.state = 'pending' AND reservations.lease_until <= :now))) OR reservations.expires_at <= :now"
    )

    def __init__(
        self, database: Backend, *, lease: float = LEASE, retention: float = RETENTION, capacity: int = CAPACITY
    ) -> None:
        self.lease, self.retention, self.capacity = lease, retention, capacity
        self._database = database
        # Weak: an event lives exactly as long as someone waits for it.
        self._events: WeakValueDictionary[Scope, asyncio.Event] = WeakValueDictionary()

    async def try_reserve(self, key: str, *, caller: str, endpoint: str, fingerprint: str) -> Proceed | Wait | Finished:
        """Reserve the key where it is free, in one atomic statement.

        Args:
            key: the idempotency key that the client chose.
            caller: the authenticated caller's name.
            endpoint: the operation, e.g. ``"POST /agents"``.
            fingerprint: a digest of the request: a text that differs where the request differs.

        Returns:
            ``Proceed`` with the reservation, ``Wait`` for another owner, or ``Finished`` with the stored
            result.

        Raises:
            KeyReused: the key was used for a request with another fingerprint.
            StoreFull: the key is new and there is no room for it.
            DatabaseBusy: the database stayed locked; nothing is reserved.
            StorageFailed: the disk is full or failed.
        """
        scope = self.scope_of(caller, endpoint, key)
        swept = False
        while True:
            generation = await self._claim_or_abandon(scope, fingerprint)
            if generation is not None:
                return Proceed(Reservation(scope, generation))
            # Registered, and heard of by others, before the look: an owner that finishes in between finds the event, no
            # wake-up is lost.
            await self._database.listen(self._heard)
            woken = self._events.setdefault(scope, asyncio.Event())
            record = await self.look(scope)
            if record is None:
                # The record is gone since the claim, or the store is full.
                if swept:
                    raise StoreFull(self.capacity)
                swept = True
                await self.sweep()
                continue
            if record.fingerprint != fingerprint:
                raise KeyReused(key)
            if record.state == "released":
                continue  # since the claim
            if record.result is not None:
                return Finished(record.result)
            return Wait(
                record.generation, record.lease_until, woken, lambda: self.look(scope), self._database.wakes_others
            )

    async def set(self, connection: Connection, reservation: Reservation, result: str) -> None:
        """Finish the key, inside the transaction that makes the effect. Use it within :meth:`holding`.

        Args:
            connection: the connection of that transaction.
            reservation: the reservation owned.
            result: the answer for every retry.

        Raises:
            ReservationLost: the reservation is no longer this owner's; let the error leave the transaction's block, which
                undoes it.
        """
        cursor = await connection.execute(
            f"UPDATE reservations SET state = 'finished', result = ?, expires_at = ? {self.FENCE}",
            (result, self._expiry(), *reservation.scope, reservation.generation),
        )
        if cursor.rowcount != 1:
            raise ReservationLost(reservation.scope.key)

    async def release(self, reservation: Reservation) -> None:
        """Release the key without a result and wake the waiters, so that they try again.

        A record that is finished or has a later owner is left alone. Where the effect's transaction was cancelled in
        the middle of its commit, it still holds its lock, so the UPDATE here waits and sees how the commit ended.
        The record stays, bound to its fingerprint, so that the generation never goes back.

        Args:
            reservation: the reservation owned.

        Raises:
            DatabaseBusy: the database stayed locked; the key is still reserved.
        """
        try:
            async with self._database.autocommit() as connection:
                await connection.execute(
                    f"UPDATE reservations SET state = 'released', expires_at = ? {self.FENCE}",
                    (self._expiry(), *reservation.scope, reservation.generation),
                )
        finally:
            self._wake(reservation.scope)
        await self._announce(reservation.scope)

    @asynccontextmanager
    async def holding(self, reservation: Reservation) -> AsyncIterator[None]:
        """Own a reservation for a block: release it where the block fails, and wake the waiters at the end.

        While the block runs, the lease is extended whenever a third of it has passed.

        Args:
            reservation: the reservation owned; the block should finish it with :meth:`set`.
        """
        heartbeat = Heartbeat(self, self._database.background, reservation)
        try:
            yield
        except BaseException:
            heartbeat.stop()
            # A task of its own: the release goes on if we are cancelled (again) while it waits for the lock.
            await asyncio.shield(self._database.background.start(self._give_up(reservation)))
            raise
        heartbeat.stop()
        self._wake(reservation.scope)
        await self._announce(reservation.scope)

    async def extend(self, reservation: Reservation) -> bool:
        """Begin the lease anew, if the reservation is still this owner's.

        Args:
            reservation: the reservation owned.

        Returns:
            Whether it is still the owner's.

        Raises:
            DatabaseBusy: the database stayed locked.
        """
        async with self._database.autocommit() as connection:
            return await self.hold(connection, reservation)

    async def hold(self, connection: Connection, reservation: Reservation) -> bool:
        """Begin the lease anew inside a transaction, if the reservation is still this owner's.

        Args:
            connection: the connection of that transaction.
            reservation: the reservation owned.

        Returns:
            Whether it is still the owner's.
        """
        cursor = await connection.execute(
            f"UPDATE reservations SET lease_until = ? {self.FENCE}",
            (self._deadline(), *reservation.scope, reservation.generation),
        )
        return cursor.rowcount == 1

    async def sweep(self) -> None:
        """Delete the records after their retention, and pending ones a retention after the end of their lease.

        Raises:
            DatabaseBusy: the database stayed locked.
        """
        async with self._database.autocommit() as connection:
            await connection.execute(
                "DELETE FROM reservations WHERE expires_at <= ? OR (state = 'pending' AND lease_until <= ?)",
                (FromNow(), FromNow(-self.retention)),
            )

    def scope_of(self, caller: str, endpoint: str, key: str) -> Scope:
        """Return the scope that makes a key unique.

        Args:
            caller: who calls, as authenticated.
            endpoint: the operation.
            key: the idempotency key.

        Returns:
            The scope of the key.
        """
        return Scope(caller, endpoint, key)

    def _deadline(self) -> float:
        """Return the moment at which a lease that begins now has passed."""
        return FromNow(self.lease)

    def _expiry(self) -> float:
        """Return the moment from which a record that is finished or released now may be deleted."""
        return FromNow(self.retention)

    async def _claim_or_abandon(self, scope: Scope, fingerprint: str) -> int | None:
        """Claim the key; if cancelled, release it again: the claim goes on running, and nobody would use it."""
        claim = self._database.background.start(self._claim(scope, fingerprint))
        try:
            return await asyncio.shield(claim)
        except asyncio.CancelledError:
            self._database.background.start(self._abandon(scope, claim))
            raise

    async def _claim(self, scope: Scope, fingerprint: str) -> int | None:
        """Reserve the key; return the new owner's generation, or None where the key is not free or the store is full."""
        rows = await self._database.insert_within(
            "reservations",
            self.capacity,
            "INSERT INTO reservations (caller, endpoint, key, fingerprint, state, generation, lease_until)"
            " SELECT :caller, :endpoint, :key, :fingerprint, 'pending', 1, :lease_until"
            " WHERE (SELECT count(*) FROM reservations) < :capacity OR EXISTS (SELECT 1 FROM reservations"
            " WHERE caller = :caller AND endpoint = :endpoint AND key = :key)"
            " ON CONFLICT (caller, endpoint, key) DO UPDATE SET state = 'pending',"
            " generation = reservations.generation + 1, fingerprint = excluded.fingerprint,"
            " lease_until = excluded.lease_until, expires_at = NULL, result = NULL"
            f" WHERE {self.FREE} RETURNING generation",
            scope._asdict() | {"fingerprint": fingerprint, "now": FromNow(), "lease_until": self._deadline()},
        )
        return rows[0][0] if rows else None

    async def look(self, scope: Scope) -> Record | None:
        """Return the database's record of a key.

        Args:
            scope: the key, with its caller and endpoint.

        Returns:
            The record, or None where there is none.

        Raises:
            DatabaseBusy: the database stayed locked.
        """
        async with self._database.autocommit() as connection:
            rows = await fetch(
                connection,
                "SELECT fingerprint, state, generation, result, lease_until, lease_until <= ? FROM reservations"
                " WHERE caller = ? AND endpoint = ? AND key = ?",
                (FromNow(), *scope),
            )
        return Record(*rows[0]) if rows else None

    async def _abandon(self, scope: Scope, claim: asyncio.Task[int | None]) -> None:
        try:
            generation = await claim
        except ServiceError:
            return  # nothing was claimed
        if generation is not None:
            await self._give_up(Reservation(scope, generation))

    async def _give_up(self, reservation: Reservation) -> None:
        """Release the reservation; log an error of that, so that it does not hide the error that led here."""
        try:
            await self.release(reservation)
        except ServiceError:
            LOG.warning("could not release %s", reservation, exc_info=True)

    async def _announce(self, scope: Scope) -> None:
        """Wake waiters in other workers; only log an error, since the work is done and waiters also poll."""
        try:
            await self._database.announce(scope.topic)
        except ServiceError:
            LOG.warning("could not announce a change of %s", scope, exc_info=True)

    def _heard(self, topic: str) -> None:
        for scope in list(self._events):
            if scope.topic == topic:
                self._wake(scope)

    def _wake(self, scope: Scope) -> None:
        woken = self._events.pop(scope, None)
        if woken is not None:
            woken.set()
