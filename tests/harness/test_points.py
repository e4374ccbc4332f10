"""Schedule points declared around a library that the harness does not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import BadInput, Check, Scenario, Verdict, Workload
from harness.control.run import run
from harness.points import Point
from tests.harness import shelf
from tests.harness.counter import reduced_and_brute
from tests.harness.shelf import Shelf

HERE = shelf.__name__
METHODS = (Point(f"{HERE}:Shelf.get", "shelf", reads=True), Point(f"{HERE}:Shelf.put", "shelf"))


def set_up(db: Path) -> None:
    """A number of nothing."""
    (db.parent / "number").write_bytes(b"\0")


def bumps(db: Path) -> None:
    """Read, and write back."""
    numbers = Shelf(db.parent / "number")
    numbers.put(numbers.get() + 1)


def bumps_by_function(db: Path) -> None:
    """The same, writing by a function."""
    numbers = Shelf(db.parent / "number")
    shelf.put(numbers, numbers.get() + 1)


def adds(db: Path) -> None:
    """In one call."""
    Shelf.add(Shelf(db.parent / "number"), 1)


async def bumps_later(db: Path) -> None:
    """Read, waiting, and write back."""
    numbers = Shelf(db.parent / "number")
    numbers.put(await numbers.get_later() + 1)


def scenario(worker: object, *points: Point) -> Scenario:
    """Return two workers that shall count to two."""
    return Scenario(
        name="shelf",
        setup=set_up,
        operations={"work": worker},  # type: ignore[dict-item]
        workload=lambda workers: Workload.each("work", workers=workers),
        at_end=(Check("counts to two", lambda db: (db.parent / "number").read_bytes() == b"\2"),),
        points=points,
        allows=("mmap:number",) if points else (),
    )


@pytest.mark.forks
@pytest.mark.parametrize(
    ("worker", "points"),
    [
        (bumps, METHODS),
        (bumps_by_function, (METHODS[0], Point(f"{HERE}:put", "shelf"))),
        (bumps_later, (Point(f"{HERE}:Shelf.get_later", "shelf", reads=True), METHODS[1])),
    ],
)
def test_a_race_between_declared_calls_is_found(worker: object, points: tuple[Point, ...]) -> None:
    """Methods, functions, coroutines; without the points the calls are not seen, and nothing can be said."""
    result = run(scenario(worker, *points))
    assert result.verdict is Verdict.INVALID
    assert result.counterexample is not None
    assert any(step.kind == "point" and step.source is not None for step in result.counterexample.steps)
    assert run(scenario(worker)).verdict is Verdict.UNKNOWN


@pytest.mark.forks
def test_what_is_one_call_is_one_step() -> None:
    """A static method that does it in one go is right, and it stays a static method."""
    result = run(scenario(adds, Point(f"{HERE}:Shelf.add", "shelf")))
    assert (result.verdict, result.complete) == (Verdict.VALID, True)


@pytest.mark.forks
def test_nothing_is_lost_by_pruning() -> None:
    """The reduced search finds what trying everything finds."""
    reduced, brute = reduced_and_brute(scenario(bumps, *METHODS))
    assert reduced == brute


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("shelf", "names no call"),
        ("no.such.module:f", "importing 'no.such.module' failed"),
        (f"{HERE}:Shelf.take", "has no function or method 'Shelf.take'"),
        (f"{HERE}:Nothing.get", "has no function or method 'Nothing.get'"),
    ],
)
def test_a_target_that_there_is_not_is_refused(target: str, why: str) -> None:
    """Before anything is started."""
    with pytest.raises(BadInput, match=why):
        run(scenario(bumps, Point(target, "shelf")))
