"""Programs about time that hold on any machine: each asserts what is true of Python's clocks, and nobody may be accused."""

from __future__ import annotations

import asyncio
import copy
import email.utils
import functools
import logging
import pickle
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from http import cookies
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Column, DateTime, Integer, MetaData, Table, create_engine, select

from harness.boundary.epoch import EPOCH

_DAY = datetime.fromtimestamp(EPOCH, UTC).date()


class Stamp(datetime):
    """A class of datetimes as programs derive them."""

    def day(self) -> str:
        """Return the day in words."""
        return f"{self:%Y-%m-%d}"


@dataclass
class Kept:
    """Clocks kept when the module was imported."""

    wall: float = field(default_factory=time.time)
    monotonic: int = field(default_factory=time.monotonic_ns)
    aware: datetime = field(default_factory=functools.partial(datetime.now, UTC))
    naive: datetime = field(default_factory=datetime.utcnow)
    stamp: Stamp = field(default_factory=Stamp.now)
    day: date = field(default_factory=date.today)
    parts: time.struct_time = field(default_factory=time.gmtime)


_KEPT: tuple[Callable[[], Any], ...] = (time.time, datetime.now, Stamp.utcnow)
_TABLE = Table(
    "kept", MetaData(), Column("id", Integer, primary_key=True), Column("at", DateTime, default=datetime.utcnow)
)


def keeps(db: Path) -> None:
    """Clocks kept before tell virtual time."""
    kept = Kept()
    assert abs(kept.wall - EPOCH) < 1
    assert kept.monotonic < 1e9
    assert abs(kept.aware.timestamp() - EPOCH) < 1
    assert kept.naive.date() == kept.stamp.date() == kept.day == _DAY
    assert type(kept.stamp) is Stamp
    assert kept.parts[:3] == (_DAY.year, _DAY.month, _DAY.day)
    assert all(str(clock())[:2] in ("20", "17") for clock in _KEPT)
    assert logging.Formatter("%(asctime)s").format(logging.makeLogRecord({})).startswith(f"{_DAY}")


def keeps_in_columns(db: Path) -> None:
    """So does the default of a column."""
    engine = create_engine(f"sqlite:///{db}.own{uuid.uuid4()}")
    with engine.begin() as connection:
        _TABLE.create(connection)
        connection.execute(_TABLE.insert())
        (at,) = connection.execute(select(_TABLE.c.at)).one()
    engine.dispose()
    assert type(at) is datetime
    assert at.date() == _DAY


def has_its_types(db: Path) -> None:
    """No type is another one than without the harness."""
    for made in (datetime.now(), datetime.utcnow(), datetime.today(), datetime.now(UTC), datetime.strptime("1", "%d")):
        assert type(made) is datetime
        assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == made
    for made in (Stamp.now(), Stamp.now(tz=UTC), Stamp.utcnow(), Stamp.today()):
        assert type(made) is Stamp
        assert made.day() == str(_DAY)
    assert type(date.today()) is date
    assert not isinstance(date.today(), datetime)
    assert pickle.loads(pickle.dumps(time.time)) is time.time
    assert pickle.loads(pickle.dumps(datetime.now)) == datetime.now
    assert repr(time.time) == "<built-in function time>"
    assert functools.singledispatch(lambda value: "other").dispatch(datetime)(1) == "other"
    match datetime.now():
        case datetime(year=year):
            assert year == _DAY.year
        case _:
            raise AssertionError("it is a datetime")


def tells_in_every_way(db: Path) -> None:
    """All that is built on the clocks agrees."""
    berlin, east = datetime.now(ZoneInfo("Europe/Berlin")), datetime.now(tz=timezone(timedelta(hours=9)))
    assert abs(berlin - east) < timedelta(seconds=1)
    assert berlin.utcoffset() == timedelta(hours=1)
    assert email.utils.parsedate_to_datetime(email.utils.formatdate()).date() == _DAY
    assert str(_DAY.year) in cookies._getdate()  # type: ignore[attr-defined]
    assert time.strftime("%Y-%m-%d") == str(_DAY)
    assert time.strftime("%Y", time.gmtime(0)) == "1970"
    assert time.ctime() == time.asctime()
    assert time.localtime()[:5] == time.localtime(time.time())[:5]
    assert abs(time.clock_gettime(time.CLOCK_REALTIME) - time.time_ns() / 1e9) < 1
    assert time.process_time() < 1_000
    identifiers = [uuid.uuid1() for _ in range(3)]
    assert identifiers == sorted(identifiers, key=lambda made: made.time)


def refuses_what_python_refuses(db: Path) -> None:
    """Wrong arguments end as they do in CPython."""
    wrong: tuple[Callable[[], Any], ...] = (
        lambda: datetime.now(5),  # type: ignore[arg-type]
        lambda: datetime.now(zone=UTC),  # type: ignore[call-arg]
        lambda: datetime.utcnow(1),  # type: ignore[call-arg]
        lambda: time.time(1),  # type: ignore[call-arg]
        lambda: time.gmtime("now"),  # type: ignore[arg-type]
        lambda: time.asctime(None),  # type: ignore[arg-type]
        lambda: time.sleep("long"),  # type: ignore[arg-type]
    )
    for call in wrong:
        try:
            call()
        except TypeError:
            continue
        raise AssertionError("it was taken")
    with suppress(ValueError):
        time.sleep(-1)
        raise AssertionError("it was taken")


def differs_by_reading(db: Path) -> None:
    """A later reading is a later time, by each clock and to the microsecond."""
    readings: tuple[Callable[[], Any], ...] = (
        time.time, time.time_ns, time.monotonic, time.perf_counter, datetime.now, datetime.utcnow, datetime.today,
        lambda: time.clock_gettime(time.CLOCK_MONOTONIC), lambda: datetime.now(UTC).isoformat(timespec="microseconds"),
    )  # fmt: skip
    for reading in readings:
        told = [reading() for _ in range(5)]
        assert told == sorted(set(told)), told
    for since in (time.time, time.monotonic):
        before = since()
        time.sleep(0.05)
        assert 0.05 <= round(since() - before, 6) < 0.06


async def has_time_limits(db: Path) -> None:
    """Time-outs of asyncio come, and by the clock they were not early."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(2):
            await asyncio.Event().wait()
    except TimeoutError:
        pass
    assert 2 <= time.monotonic() - began < 2.1


PROGRAMS: tuple[Callable[[Path], Any], ...] = (
    keeps, keeps_in_columns, has_its_types, tells_in_every_way, refuses_what_python_refuses, differs_by_reading,
    has_time_limits,
)  # fmt: skip
