"""Patches Python's clocks, ``time`` and ``datetime``, in place: a function of ours tells the time, in workers and in rules."""

from __future__ import annotations

import datetime
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, Protocol

from harness.boundary.patching import InPlace, method_of_class

__all__ = ["Teller", "clocks", "tell_datetimes", "with_change_of_status"]

_PROCESSOR_TIME = (time.CLOCK_PROCESS_CPUTIME_ID, time.CLOCK_THREAD_CPUTIME_ID)
_SECOND = 1_000_000_000
_datetime, _timezone_utc, _tzinfo = datetime.datetime, datetime.UTC, datetime.tzinfo
_UTCNOW = (
    "datetime.datetime.utcnow() is deprecated and scheduled for removal in a future version. Use timezone-aware "
    "objects to represent datetimes in UTC: datetime.datetime.now(datetime.UTC)."
)


class Teller(Protocol):
    """Tells the time, in nanoseconds; a reading is never below the one before it."""

    def wall_ns(self) -> int:
        """Return the nanoseconds since 1970 by the clock on this machine's wall."""

    def since_ns(self) -> int:
        """Return the nanoseconds on the monotonic clock."""


def clocks(teller: Teller) -> list[InPlace]:
    """Return the functions of ``time`` that show the time, ready to be put in place with that of *teller*."""
    wall, since = teller.wall_ns, teller.since_ns
    instead: dict[str, Callable[..., Any]] = {
        "time": lambda: wall() / _SECOND,
        "time_ns": lambda: wall(),
        "monotonic": lambda: since() / _SECOND,
        "monotonic_ns": lambda: since(),
        "perf_counter": lambda: since() / _SECOND,
        "perf_counter_ns": lambda: since(),
    }
    found = [InPlace(getattr(time, name), function) for name, function in instead.items()]
    found += [_broken_down(name, wall) for name in ("gmtime", "localtime", "ctime")]
    found += [_formatted(name, given, wall) for name, given in (("asctime", 0), ("strftime", 1))]
    return found + [_by_number(name, wall, since) for name in ("clock_gettime", "clock_gettime_ns")]


def _broken_down(name: str, wall: Callable[[], int]) -> InPlace:
    def of_now(*args: Any) -> Any:
        if not args or args == (None,):
            return made.real(wall() // _SECOND)
        return made.real(*args)

    made = InPlace(getattr(time, name), of_now)
    return made


def _formatted(name: str, given: int, wall: Callable[[], int]) -> InPlace:
    """Return a patch for a function that takes a broken-down time after *given* other arguments, by default the local time."""
    local = _real_localtime()

    def of_now(*args: Any) -> Any:
        return made.real(*args, local(wall() // _SECOND)) if len(args) == given else made.real(*args)

    made = InPlace(getattr(time, name), of_now)
    return made


def _real_localtime() -> Callable[[int], Any]:
    real: Callable[[int], Any] = InPlace(time.localtime, lambda: None).real
    return real


def _by_number(name: str, wall: Callable[[], int], since: Callable[[], int]) -> InPlace:
    """Make ``clock_gettime`` with virtual time for the clocks that show time; processor time stays real."""
    of_second = 1 if name.endswith("_ns") else _SECOND

    def of_clock(*args: Any) -> Any:
        real = made.real(*args)
        if args[0] in _PROCESSOR_TIME:
            return real
        told = wall() if args[0] == time.CLOCK_REALTIME else since()
        return told if of_second == 1 else told / of_second

    made = InPlace(getattr(time, name), of_clock)
    return made


class _Told:
    """The function that tells ``datetime`` the time in this process; None for the machine's clock."""

    by: Teller | None = None
    installed = False


def tell_datetimes(teller: Teller | None) -> None:
    """Have ``datetime.now`` and ``utcnow`` show the time of *teller*, or with None that of the machine again.

    ``datetime.today`` and ``date.today`` ask ``time.time``.
    """
    _Told.by = teller
    if teller is not None and not _Told.installed:
        _Told.installed = True
        _install()


def _install() -> None:
    def now(cls: type[datetime.datetime], tz: datetime.tzinfo | None = None) -> datetime.datetime:
        teller = _Told.by
        if teller is None or not (tz is None or isinstance(tz, _tzinfo)):
            return real_now(cls, tz)  # type: ignore[no-any-return]
        seconds, rest = divmod(teller.wall_ns() // 1000, 1_000_000)
        if tz is None:
            found = _datetime.fromtimestamp(seconds).replace(microsecond=rest)
            return found if cls is _datetime else _as(cls, found)
        found = _datetime.fromtimestamp(seconds, _timezone_utc).replace(microsecond=rest, tzinfo=tz)
        return tz.fromutc(found if cls is _datetime else _as(cls, found))

    def utcnow(cls: type[datetime.datetime]) -> datetime.datetime:
        teller = _Told.by
        if teller is None:
            return real_utcnow(cls)  # type: ignore[no-any-return]
        if sys.version_info >= (3, 12):
            warnings.warn(_UTCNOW, DeprecationWarning, stacklevel=2)
        seconds, rest = divmod(teller.wall_ns() // 1000, 1_000_000)
        found = _datetime.fromtimestamp(seconds, _timezone_utc).replace(microsecond=rest, tzinfo=None)
        return found if cls is _datetime else _as(cls, found)

    for function in (now, utcnow):
        like = getattr(_datetime, function.__name__)
        function.__qualname__, function.__doc__, function.__module__ = like.__qualname__, like.__doc__, "datetime"
    real_now = method_of_class(_datetime, "now", now)
    real_utcnow = method_of_class(_datetime, "utcnow", utcnow)


def _as(cls: type[datetime.datetime], found: datetime.datetime) -> datetime.datetime:
    """Return *found* as an object of the subclass *cls*, made as ``datetime`` itself makes one: by calling it."""
    made = cls(
        found.year, found.month, found.day, found.hour, found.minute, found.second, found.microsecond, found.tzinfo
    )
    return made.replace(fold=1) if found.fold else made


def with_change_of_status(found: os.stat_result) -> os.stat_result:
    """Return *found* with the one time that can't be set, that of the last change of status, as that of its content is."""
    fields = list(found)
    fields[9] = fields[8]
    names = ("st_atime", "st_mtime", "st_atime_ns", "st_mtime_ns", "st_blksize", "st_blocks", "st_rdev")
    more = {name: getattr(found, name) for name in names}
    return os.stat_result(fields, {**more, "st_ctime": found.st_mtime, "st_ctime_ns": found.st_mtime_ns})
