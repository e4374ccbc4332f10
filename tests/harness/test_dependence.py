"""Which steps may be exchanged, and which pairs of an execution are worth trying the other way round."""

from __future__ import annotations

import pytest

from harness.schedulers.tree.dependence import Race, depend, is_event, races
from harness.values.history import Access, Step
from tests.harness.made_steps import step


def accesses(*texts: str) -> list[Access]:
    """Return accesses from texts such as ``"w data"``."""
    return list(step("w0:c0", "", *texts).accesses)


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        (["r a"], ["r a"], False),
        (["r a"], ["w a"], True),
        (["w a"], ["r a"], True),
        (["w a"], ["w a"], True),
        (["w a"], ["w b"], False),
        (["i h"], ["i h"], False),
        (["o h"], ["o h"], False),
        (["i h"], ["o h"], True),
        (["o h"], ["i h"], True),
        (["w *"], ["r a"], True),
        (["r a"], ["w *"], True),
        (["w *"], ["w *"], True),
        (["w *"], [], False),
        ([], ["w a"], False),
        (["r a", "w b"], ["r a", "r b"], True),
        (["r a", "w b"], ["r a", "w c"], False),
    ],
)
def test_steps_depend_where_their_accesses_conflict(first: list[str], second: list[str], found: bool) -> None:
    """A write conflicts with all on its resource, an invocation with an outcome, a fault with everything."""
    assert depend(accesses(*first), accesses(*second)) is found
    assert depend(accesses(*second), accesses(*first)) is found


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (step("w0:c0", "", "r process:w0"), True),
        (step("w0:c0", "", "w process:w0", waited=True), False),
        (step("w0:c0", "", "r data", waited=True), False),
        (step("w0:c0", "", "w lock", waited=True), True),
        (step("w0:c0", "", "r data", resumed=True), True),
    ],
)
def test_a_wait_that_changed_nothing_is_no_event(made: Step, found: bool) -> None:
    """An attempt that met a lock counts only if it left something that others can see."""
    assert is_event(made) is found


def test_a_read_and_a_write_are_a_race() -> None:
    """The other task's write could have come first."""
    made = [step("w0:c0", "", "r a"), step("w1:c1", "", "w a")]
    assert list(races(made)) == [Race(0, ("w1:c1",), 1)]


def test_two_reads_are_no_race() -> None:
    """Nobody could tell which came first."""
    assert list(races([step("w0:c0", "", "r a"), step("w1:c1", "", "r a")])) == []


def test_the_steps_of_one_task_are_no_race() -> None:
    """They have their order from the program."""
    assert list(races([step("w0:c0", "", "w a"), step("w0:c0", "", "w a")])) == []


def test_what_comes_before_the_later_step_comes_first() -> None:
    """To have the later one first, its own task's independent step has to be made first."""
    made = [step("w0:c0", "", "w a"), step("w1:c1", "", "w b"), step("w1:c1", "", "w a")]
    assert list(races(made)) == [Race(0, ("w1:c1",), 2)]


def test_other_tasks_that_need_not_wait_are_initials_too() -> None:
    """Any independent step between the two may stand in front."""
    made = [step("w0:c0", "", "w a"), step("w2:c2", "", "w b"), step("w1:c1", "", "w a")]
    assert list(races(made)) == [Race(0, ("w2:c2", "w1:c1"), 2)]


def test_what_the_later_step_needs_comes_before_it() -> None:
    """A step that is ordered before the later one is an initial; the later one, which waits for it, is none."""
    made = [step("w0:c0", "", "w a"), step("w2:c2", "", "w b"), step("w1:c1", "", "w a", "r b")]
    assert Race(0, ("w2:c2",), 2) in list(races(made))


def test_two_acquisitions_of_a_lock_are_a_race() -> None:
    """Not only the release and what came after it: the second could have had the lock first."""
    made = [step("w0:c0", "BEGIN", "w lock"), step("w0:c0", "COMMIT", "w lock"), step("w1:c1", "BEGIN", "w lock")]
    assert {race.position for race in races(made)} == {0, 1}


def test_what_is_already_known_to_come_before_is_no_race() -> None:
    """The later task had seen an earlier step of its own that is ordered after the first."""
    made = [step("w0:c0", "", "w a"), step("w1:c1", "", "r a"), step("w1:c1", "", "w a")]
    assert [race.position for race in races(made)] == [0]


def test_what_a_fault_conflicts_with_is_tried_before_it() -> None:
    """What follows it could have come first, and seen what was there before."""
    kill = step("!kill:w0", "", "w *", kind="kill")
    assert list(races([kill, step("w1:c1", "", "r a")])) == [Race(0, ("w1:c1",), 1)]


def test_no_race_leads_to_a_fault() -> None:
    """Every fault is tried at every decision anyway, after another one too."""
    kill = step("!kill:w0", "", "w *", kind="kill")
    assert list(races([step("w1:c1", "", "r a"), kill])) == []
    assert list(races([kill, step("!kill:w1", "", "w *", kind="kill")])) == []


@pytest.mark.parametrize("kind", ["timer", "sleep"])
def test_a_timer_cannot_come_before_its_time(kind: str) -> None:
    """Time passes only when nothing else can run, so what came at an earlier time had to."""
    made = [step("w0:c0", "", "w a", now=0.0), step("w1:c1", "", "w a", kind=kind, now=1.0)]
    assert list(races(made)) == []


def test_timers_of_one_moment_are_a_race() -> None:
    """Either may fire first."""
    made = [step("w0:c0", "", "w a", kind="timer", now=1.0), step("w1:c1", "", "w a", kind="timer", now=1.0)]
    assert [race.position for race in races(made)] == [0]


def test_who_gave_up_could_have_come_first() -> None:
    """A lock whose time-out passed could have been had before the one that held it."""
    made = [step("w0:c0", "", "w lock", now=0.0), step("w1:c1", "", "w lock", now=5.0, gave_up=True)]
    assert list(races(made)) == [Race(0, ("w1:c1",), 1)]
