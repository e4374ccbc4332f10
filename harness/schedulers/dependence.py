"""Which steps depend on each other, which happen before which, and which pairs of an execution are races.

The vocabulary and the use of races to find schedules worth trying are those of dynamic partial-order reduction:
Flanagan and Godefroid, "Dynamic partial-order reduction for model checking software" (POPL 2005); Abdulla, Aronis,
Jonsson and Sagonas, "Optimal dynamic partial order reduction" (POPL 2014), whose source sets ``Race.initials`` are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from harness.history import Access, Step
from harness.schedule import FAULT_MARK

__all__ = ["PROBE", "Race", "Seen", "bits", "depend", "initials_of", "is_event", "races", "unit_of"]

_CONFLICTING = {
    ("r", "w"), ("w", "r"), ("w", "w"), ("i", "o"), ("o", "i"), ("a", "r"), ("r", "a"), ("a", "w"), ("w", "a")
}  # fmt: skip
_CONFLICTS = {mode: tuple(other for first, other in _CONFLICTING if first == mode) for mode, _ in _CONFLICTING}
_EVERYTHING = "*"
_CLOCKED = ("timer", "sleep")
PROBE = "probe"
"""The kind of the step with which the probe begins: after everything else, by definition."""


class Race(NamedTuple):
    """Two dependent steps of which the later could have come first.

    ``position`` is the number of the earlier one, ``later`` that of the other; ``initials`` are the choices any of which,
    made there instead, leads to executions in which the later comes first. It is ``delayed`` where time passes between them:
    then it takes a delay of the earlier one.
    """

    position: int
    initials: tuple[str, ...]
    later: int
    delayed: bool = False


def unit_of(step: Step) -> str:
    """Return what is held up if *step* is: its process, or the message on its way."""
    return step.lane if step.kind in ("request", "answer", "disconnect") else f"w{step.worker}"


def is_event(step: Step) -> bool:
    """Return whether *step* did anything at all: an attempt that only met somebody else's lock did not."""
    if not step.waited or step.choice.startswith(FAULT_MARK):
        return True
    return any(access.mode in "wa" and not access.resource.startswith("process:") for access in step.accesses)


def depend(first: Sequence[Access], second: Sequence[Access]) -> bool:
    """Return whether steps with these accesses may not be exchanged."""
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

    *causes* gives for each the number of the one that brought it about (-1 for none); without, that is the last one of
    its task. The two differ where a task has gone on while an operation of its still waits: past a time-out, say.

    A pair counts when nothing the later task had done before it is ordered after the earlier step, whatever lies
    between them: so the two acquisitions of a lock are a pair, not only a release and the acquisition after it.
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
    """The steps so far, as sets of numbers (bits of an integer): by lane, by access, by time."""

    def __init__(self) -> None:
        self._all = self._older = self._accessing = self._everything = 0
        self._now = 0.0
        self._lanes: dict[str, int] = {}
        self._accesses: dict[tuple[str, str], int] = {}

    def add(self, step: Step, number: int) -> None:
        """Take in *step* as the one of that *number*."""
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
        """Return those of the steps so far that *step*, which comes now, may not be exchanged with.

        *timed*: time is taken to pass only when nothing else can run.
        """
        if step.kind == PROBE:
            return self._all
        found = self._lanes.get(step.lane, 0)
        if timed and _by_clock(step):
            # Time passes only when nothing else can run, so all that came before had to.
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
    """Yield the numbers in a set, in order."""
    while numbers:
        lowest = numbers & -numbers
        yield lowest.bit_length() - 1
        numbers ^= lowest


def _by_clock(step: Step) -> bool:
    return step.kind in _CLOCKED or step.gave_up


def _reversible(earlier: Step, later: Step) -> bool:
    if earlier.lane == later.lane or later.kind == PROBE:
        return False
    if later.choice.startswith(FAULT_MARK):
        # Every fault is tried at every decision anyway. But what could have come before it is not.
        return False
    if earlier.now < later.now and _by_clock(later):
        # A timer could not have fired before. Who gave up waiting for a lock could have come first and had it.
        return later.gave_up and depend(earlier.accesses, later.accesses)
    return True


def initials_of(steps: Sequence[Step], before: Sequence[int], earlier: int, later: int) -> tuple[str, ...]:
    """Return the choices that can come first among what need not wait for *earlier*, up to *later* (which counts)."""
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
