"""Chooses how far virtual time jumps, so that an execution that only polls and sleeps soon reaches its time-outs.

A program may poll every millisecond for something that comes after ten seconds. That is ten thousand looks, all alike.
A sleep lasts at least as long as it was asked to, and may last longer. So after some looks that found nothing changed,
each sleep lasts twice as long as the one before, but never past a deadline that was set before these looks began. A
program that still does not end is taken for endless.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.control.execution.state import ExecutionState
from harness.control.testbed.shared_files import SharedState
from harness.values.history import Step

__all__ = ["TimeJumps"]

_LOOKS = 16
"""After so many jumps of the clock in a row with nothing changed, sleeps last longer than asked for."""

_BLIND = 100
"""The same for programs that look at nothing shared between their sleeps, and so may be counting seconds."""

_HELD_UP, _FASTER = 1, 8
"""The same for both while a process is held up; and the factor by which jumps then grow, as they do while spinning."""

_TIRED = 86_400.0
"""Once sleeps last so many seconds and nothing changes, no process is held up any longer."""

_CHEAP = 3
"""In the first so many jumps in a row the shared state is not compared, because that takes reading all of it."""

_SPINS = 30
"""How often time passes although something can run, on the way from the limit of steps to twice that."""

_FIRST, _LONGEST = 0.001, 30 * 86_400.0
"""Seconds: the first jump while spinning is ``_FASTER`` times this; and the longest jump that was not asked for."""


class TimeJumps:
    """Chooses the next virtual time of one execution, whenever time is about to pass."""

    def __init__(self, scene: ExecutionState, world: SharedState, steps: Sequence[Step]) -> None:
        self._scene, self._world, self._steps = scene, world, steps
        self._known: frozenset[float] = frozenset()
        self._told = -1
        self._waits: set[object] = set()
        self._state: object = None
        self._jumps = 0
        self._seen = 0
        self._stride = 0.0
        self._looked = False
        self._spun = 0

    def __repr__(self) -> str:
        return f"<TimeJumps jumps={self._jumps} stride={self._stride}>"

    def next(self, later: Sequence[float], endless: bool = False, held_up: bool = False) -> float:
        """Return the virtual time to pass to, in seconds: the first of *later* or a time after it.

        *later* are the deadlines in order. *endless* says that the execution has too many steps already, so that it
        does not matter whether anything changes; *held_up* that a process is kept from running meanwhile.
        """
        if endless or self._fruitless():
            self._jumps += 1
        else:
            self._jumps, self._stride, self._known = 0, 0.0, frozenset(later)
        looks = _HELD_UP if held_up else _LOOKS if self._looked else _BLIND
        first = later[0]
        if self._jumps < looks and not endless:
            return first
        now = self._scene.now
        self._stride = min((_FASTER if held_up else 2) * max(self._stride, first - now), _LONGEST)
        return max(first, min([now + self._stride, *(time for time in later if time in self._known)]))

    @property
    def tired(self) -> bool:
        """Whether sleeps have become so long, with nothing changed, that no longer one is expected to help."""
        return self._stride >= _TIRED

    def key(self) -> object:
        """Return the part of a state fingerprint that decides how time will pass from here."""
        now = self._scene.now
        known = frozenset(time for time in self._known if time > now)
        return self._jumps, self._stride, known, self._looked, self._state, frozenset(self._waits)

    def spins(self, most: int) -> float:
        """Return the virtual time to pass to although something can run, or 0 if turns have not been taken long enough.

        *most* is the number of steps that an execution may have; after them turns are taken for as many again. Without
        this, a program that spins until some time comes would use up its steps first.
        """
        if len(self._steps) - self._spun < max(most // _SPINS, 2):
            return 0.0
        self._spun = len(self._steps)
        self._stride = min(_FASTER * max(self._stride, _FIRST), _LONGEST)
        return self._scene.now + self._stride

    def _fruitless(self) -> bool:
        """Return whether only time has changed since the last call, as far as can be seen."""
        new = self._steps[self._seen :]
        self._seen = len(self._steps)
        waits = self._scene.waiting_for()
        if self._told != len(self._scene.events):
            self._told = len(self._scene.events)
            self._waits.clear()
        if waits not in self._waits:
            # All places are kept, because a program that looks in two ways in turns waits at two places in turns.
            self._waits.add(waits)
            self._state, self._looked = None, False
            return False
        self._looked = any(access.what.is_shared for step in new for access in step.accesses)
        if self._jumps < _CHEAP:
            return True
        state: object = self._world.fingerprint()
        if state is None:
            accesses = [access for step in new for access in step.accesses]
            state = not any(access.writes_data for access in accesses)
        before, self._state = self._state, state
        return before is None or (before == state and state is not False)
