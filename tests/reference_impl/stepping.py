"""Runs a coroutine and does something at one of its suspensions: cancels it, or lets others go first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import asynccontextmanager
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class Closable(Protocol):
    """A service or a database."""

    async def close(self) -> None:
        """Close it."""


C = TypeVar("C", bound=Closable)


@asynccontextmanager
async def closed(thing: C) -> AsyncIterator[C]:
    """Close it even where the test fails: the thread of an open connection would keep Python from exiting."""
    try:
        yield thing
    finally:
        await thing.close()


class Stepped(Generic[T]):
    """Awaits *work* as usual, but for what a subclass does at its suspension number *at* (0 is the first).

    A suspension is where the coroutine hands a future to the event loop, so their number is the same in every
    run, however fast the threads are.
    """

    def __init__(self, work: Coroutine[Any, Any, T], at: int) -> None:
        self.work = work
        self.at = at
        self.suspensions = 0

    def __await__(self) -> Generator[Any, None, T]:
        """Drive the coroutine to its end."""
        error: BaseException | None = None
        while True:
            try:
                awaited = self.work.send(None) if error is None else self.work.throw(error)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            act = self.act if self.suspensions == self.at else self.wait
            self.suspensions += 1
            error = yield from act(awaited)

    def wait(self, awaited: Any) -> Generator[Any, None, BaseException | None]:
        """Wait as the event loop does; return what it throws, if anything."""
        try:
            yield awaited
        except BaseException as error:
            return error
        return None

    def act(self, awaited: Any) -> Generator[Any, None, BaseException | None]:
        """Do as told at the chosen suspension; return what to throw into the coroutine, if anything."""
        return (yield from self.wait(awaited))


class CancelledBefore(Stepped[T]):
    """Cancels the coroutine while what it awaits has yet to happen; a statement then runs all the same."""

    def act(self, awaited: Any) -> Generator[Any, None, BaseException | None]:
        """Cancel the future, as a cancelled task does."""
        awaited.cancel()
        yield from ()
        return asyncio.CancelledError()


class CancelledOften(CancelledBefore[T]):
    """Cancels the coroutine there, and again at whatever it awaits after that."""

    def act(self, awaited: Any) -> Generator[Any, None, BaseException | None]:
        """Cancel, and do so next time as well."""
        self.at += 1
        return (yield from super().act(awaited))


class CancelledAfter(Stepped[T]):
    """Cancels the coroutine when what it awaits has happened, so that the result is lost."""

    def act(self, awaited: Any) -> Generator[Any, None, BaseException | None]:
        """Wait, then throw the result away."""
        yield from self.wait(awaited)
        return asyncio.CancelledError()


class Paused(Stepped[T]):
    """Waits for *gate* after one of its steps, having set *reached*."""

    def __init__(self, work: Coroutine[Any, Any, T], at: int) -> None:
        super().__init__(work, at)
        self.reached = asyncio.Event()
        self.gate = asyncio.Event()

    def act(self, awaited: Any) -> Generator[Any, None, BaseException | None]:
        """Let others go."""
        error = yield from self.wait(awaited)
        self.reached.set()
        yield from self.gate.wait().__await__()
        return error


async def awaiting(stepped: Stepped[T]) -> T:
    """The coroutine that makes a task of it."""
    return await stepped
