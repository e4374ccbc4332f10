"""Virtual time: one clock for all workers, moved only by the controller; to each the time of day may be another.

Installed over ``time`` and ``datetime`` in a worker, so that the code under test reads it unmodified.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from harness.epoch import EPOCH
from harness.worker.rebind import Replacement

__all__ = ["Clock", "replacements"]

_RealDatetime: TypeAlias = datetime.datetime
_RealDate: TypeAlias = datetime.date


class Clock:
    """Virtual seconds since the execution began; ``read`` says that somebody has asked since that was last cleared.

    ``skew`` is by how many seconds what tells the time of day is ahead on this machine.
    """

    __slots__ = ("now", "read", "skew")

    def __init__(self) -> None:
        self.now = 0.0
        self.read = False
        self.skew = 0.0

    def tell(self) -> float:
        """Return the time to code that acts on it."""
        self.read = True
        return self.now

    def of_day(self) -> float:
        """Return what this machine takes for the seconds since 1970, to code that acts on it."""
        return EPOCH + self.skew + self.tell()

    def __repr__(self) -> str:
        return f"<Clock now={self.now}>"


def replacements(clock: Clock, sleep: Callable[[float], None]) -> list[Replacement]:
    """Return what puts *clock* in the place of the machine's clocks, and *sleep* in the place of ``time.sleep``."""

    wall = clock.of_day

    def wall_ns() -> int:
        return int(EPOCH) * 1_000_000_000 + int((clock.skew + clock.tell()) * 1e9)

    def since() -> float:
        return clock.tell()

    def since_ns() -> int:
        return int(clock.tell() * 1e9)

    broken_down: dict[str, Callable[..., Any]] = {
        name: _of_now(getattr(time, name), wall) for name in ("gmtime", "localtime", "ctime")
    }
    functions: dict[str, Callable[..., Any]] = {
        "time": wall,
        "time_ns": wall_ns,
        "monotonic": since,
        "monotonic_ns": since_ns,
        "perf_counter": since,
        "perf_counter_ns": since_ns,
        "sleep": sleep,
        **broken_down,
    }
    functions["strftime"] = _formatted(time.strftime, broken_down["localtime"])
    for name, at in (("clock_gettime", since), ("clock_gettime_ns", since_ns)):
        functions[name] = _of_clock(getattr(time, name), wall_ns if name.endswith("_ns") else wall, at)
    found = [Replacement(getattr(time, name), function, time, name) for name, function in functions.items()]
    return found + _of_datetime(wall)


def _formatted(original: Callable[..., str], now: Callable[[], Any]) -> Callable[..., str]:
    def strftime(form: str, at: Any = None, /) -> str:
        return original(form, now() if at is None else at)

    return strftime


def _of_clock(
    original: Callable[[int], Any], wall: Callable[[], Any], since: Callable[[], Any]
) -> Callable[[int], Any]:
    """Return ``clock_gettime`` with virtual time for the clocks that show time; processor time stays real."""

    def read(clock: int, /) -> Any:
        if clock == time.CLOCK_REALTIME:
            return wall()
        return original(clock) if clock in (time.CLOCK_PROCESS_CPUTIME_ID, time.CLOCK_THREAD_CPUTIME_ID) else since()

    return read


def _of_now(original: Callable[..., Any], wall: Callable[[], float]) -> Callable[..., Any]:
    def at(seconds: float | None = None) -> Any:
        return original(wall() if seconds is None else seconds)

    return at


def _of_datetime(wall: Callable[[], float]) -> list[Replacement]:

    class _Either(type):
        """Makes ``isinstance`` and ``issubclass`` take the real classes for their replacements."""

        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, cls.__mro__[1])

        def __subclasscheck__(cls, other: type) -> bool:
            return issubclass(other, cls.__mro__[1])

    class VirtualDatetime(_RealDatetime, metaclass=_Either):
        def __new__(cls, *args: Any, **options: Any) -> Any:
            # What is made is of the real class, so that adapters, pickles and C code know it.
            return _RealDatetime.__new__(_RealDatetime if cls is VirtualDatetime else cls, *args, **options)

        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return _RealDatetime.fromtimestamp(wall(), tz)

        @classmethod
        def utcnow(cls) -> Any:
            return _RealDatetime.fromtimestamp(wall(), datetime.UTC).replace(tzinfo=None)

        @classmethod
        def today(cls) -> Any:
            return _RealDatetime.fromtimestamp(wall())

    class VirtualDate(_RealDate, metaclass=_Either):
        def __new__(cls, *args: Any, **options: Any) -> Any:
            # What is made is of the real class, so that adapters, pickles and C code know it.
            return _RealDate.__new__(_RealDate if cls is VirtualDate else cls, *args, **options)

        @classmethod
        def today(cls) -> Any:
            return _RealDatetime.fromtimestamp(wall()).date()

    found = []
    for virtual, real, name in (
        (VirtualDatetime, _RealDatetime, "datetime"),
        (VirtualDate, _RealDate, "date"),
    ):
        virtual.__name__ = virtual.__qualname__ = name
        virtual.__module__ = "datetime"
        found.append(Replacement(real, virtual, datetime, name))
    return found
