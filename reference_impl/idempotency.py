"""The loop that every keyed request goes through: reserve the key, then work, wait, or replay the stored answer."""

import asyncio
from collections.abc import Awaitable, Callable

from reference_impl.errors import ReservationLost, StillInProgress
from reference_impl.reservations import Finished, Proceed, Reservation, Wait


async def once(
    reserve: Callable[[], Awaitable[Proceed | Wait | Finished]],
    work: Callable[[Reservation], Awaitable[str]],
    *,
    key: str,
    patience: float,
) -> tuple[str, bool]:
    """Do the work of a key if it is neither done nor being done, else wait for the answer.

    Args:
        reserve: tries to reserve the key; called again whenever the record may have changed.
        work: makes the effect and finishes the reservation in one transaction; returns the stored answer.
        key: the idempotency key, for the error.
        patience: how long to wait for another owner, in seconds.

    Returns:
        The stored answer, and whether another request made it.

    Raises:
        StillInProgress: another request with the key did not finish in time.
        ServiceError: the errors of ``reserve`` and ``work``.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + patience
    while True:
        match await reserve():
            case Proceed(reservation):
                try:
                    return await work(reservation), False
                except ReservationLost:
                    continue  # our lease passed, and someone else took over: that answer counts
            case Finished(result):
                return result, True
            case Wait() as wait:
                if not await wait.changed(deadline - clock()):
                    raise StillInProgress(key, patience)
