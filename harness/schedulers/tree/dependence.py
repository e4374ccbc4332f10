"""Dependence, happens-before and races among the steps of an execution.

The vocabulary and the use of races to find schedules worth trying are those of dynamic partial-order reduction:
Flanagan and Godefroid, "Dynamic partial-order reduction for model checking software" (POPL 2005); Abdulla, Aronis,
Jonsson and Sagonas, "Optimal dynamic partial order reduction" (POPL 2014), whose source sets ``Race.initials`` are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from harness.values.history import Access, Step

__all__ = ["PROBE", "Race", "Seen", "bits", "depend", "initials_of", "is_event", "races", "unit_of"]

_CONFLICTING = {
    ("r", "w"), ("w", "r"), ("w", "w"), ("i", "o"), ("o", "i"), ("a", "r"), ("r", "a"), ("a", "w"), ("w", "a")
}  # fmt: skip
_CONFLICTS = {mode: tuple(other for first, other in _CONFLICTING if first == mode) for mode, _ in _CONFLICTING}
_EVERYTHING = "*"
_CLOCKED = ("timer", "sleep")
PROBE = "probe"
"""The kind of the probe's first step. It comes after every other step, by definition."""


class Race(NamedTuple):
    """Two dependent steps of which the later could have come first.

    ``position`` is the number of the earlier step, ``later`` that of the later one. ``initials`` are choices: each of
    them, made in place of the earlier step, leads to executions in which the later step comes first. ``delayed`` is
    true if time passes between the two: then the earlier step must be delayed.
    """

    position: int
    initials: tuple[str, ...]
    later: int
    delayed: bool = False


def unit_of(step: Step) -> str:
    """Return the name of the unit that a delay of *step* holds up: its process, or the message on its way."""
    return step.lane if step.kind in ("request", "answer", "disconnect") else f"w{step.worker}"


def is_event(step: Step) -> bool:
    """Return whether *step* had an effect: an attempt that only found a lock held by another task had none."""
    if not step.waited or step.is_fault:
        return True
    return any(access.mode in "wa" and not access.what.is_memory for access in step.accesses)


def depend(first: Sequence[Access], second: Sequence[Access]) -> bool:
    """Return whether steps with these footprints are dependent: exchanging them may change the outcome."""
    for resource, mode in first:
        for other, other_mode in second:
            if resource == other:
                if (mode, other_mode) in _CONFLICTING:
                    return True
            elif _EVERYTHING in (resource, other):
                return True
    return False


def races(steps: Sequence[Step], causes: Sequence[int] = ()) -> Iterator[Race]:
    """Yield every race among *steps* (events only), each with the choices that would reverse it.

    *causes* has for each step the number of the step that brought it about (-1 for none); if it is empty, this is the
    last step of the same task. The two differ where a task has continued while one of its operations still waits (past
    a time-out).

    Two dependent steps are a race unless the later step's cause happens after the earlier step, whatever lies
    between them. So two acquisitions of a lock are a race, not only a release and the acquisition after it.
    """
    before: list[int] = []
    last_of_lane: dict[str, int] = {}
    seen = Seen()
    for number, step in enumerate(steps):
        previous = causes[number] if causes else last_of_lane.get(step.lane, -1)
        known = before[previous] if previous >= 0 else 0
        dependent = seen.ordered_before(step)
        past = 1 << number | known
        left = dependent & ~past
        while left:
            past |= before[left.bit_length() - 1]
            left &= ~past
        before.append(past)
        last_of_lane[step.lane] = number
        seen.add(step, number)
        for earlier in bits(dependent & ~known):
            if _reversible(steps[earlier], step):
                yield Race(earlier, initials_of(steps, before, earlier, number), number)


class Seen:
    """The steps so far, as sets of step numbers (bits of an integer): by task, by access, by time."""

    def __init__(self) -> None:
        self._all = self._older = self._accessing = self._everything = 0
        self._now = 0.0
        self._lanes: dict[str, int] = {}
        self._accesses: dict[tuple[str, str], int] = {}

    def add(self, step: Step, number: int) -> None:
        """Add *step* under its *number*."""
        bit = 1 << number
        if step.now > self._now:
            self._now, self._older = step.now, self._all
        self._all |= bit
        self._lanes[step.lane] = self._lanes.get(step.lane, 0) | bit
        for access in step.accesses:
            self._accessing |= bit
            self._everything |= bit if access.resource == _EVERYTHING else 0
            self._accesses[access] = self._accesses.get(access, 0) | bit

    def ordered_before(self, step: Step, timed: bool = True) -> int:
        """Return the set of earlier steps that *step*, the next one, depends on.

        If *timed* is true, time is taken to pass only when nothing else can run: a step that waited for its time then
        depends on all steps before that time.
        """
        if step.kind == PROBE:
            return self._all
        found = self._lanes.get(step.lane, 0)
        if timed and _by_clock(step):
            # Time passes only when nothing else can run, so all earlier steps had to come first.
            found |= self._all if step.now > self._now else self._older
        for resource, mode in step.accesses:
            if resource == _EVERYTHING:
                found |= self._accessing
                continue
            found |= self._everything
            for other in _CONFLICTS[mode]:
                found |= self._accesses.get((resource, other), 0)
        return found


def bits(numbers: int) -> Iterator[int]:
    """Yield the numbers in the set *numbers*, in ascending order."""
    while numbers:
        lowest = numbers & -numbers
        yield lowest.bit_length() - 1
        numbers ^= lowest


def _by_clock(step: Step) -> bool:
    return step.kind in _CLOCKED or step.gave_up


def _reversible(earlier: Step, later: Step) -> bool:
    if earlier.lane == later.lane or later.kind == PROBE:
        return False
    if later.is_fault:
        # Faults are tried at every decision anyway, so no race need ask for one. Plain steps are not: a race whose
        # earlier step is a fault counts.
        return False
    if earlier.now < later.now and _by_clock(later):
        # A timer could not have fired earlier. But a task that gave up waiting for a lock could have asked first and
        # got it.
        return later.gave_up and depend(earlier.accesses, later.accesses)
    return True


def initials_of(steps: Sequence[Step], before: Sequence[int], earlier: int, later: int) -> tuple[str, ...]:
    """Return the choices that can come first among the steps after *earlier*, up to *later*, independent of it."""
    free = [number for number in range(earlier + 1, later) if not before[number] >> earlier & 1]
    free.append(later)
    found: list[str] = []
    mask = 0
    for number in free:
        past = before[number] & ~(1 << number)
        if not past & mask:
            found.append(steps[number].choice)
        mask |= 1 << number
    return tuple(found)
