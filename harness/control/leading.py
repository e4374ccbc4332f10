"""Leads virtual time on where all that happens is waiting, so that what a time ends is seen to end.

A program may look for something every millisecond and find it after ten seconds. That is ten thousand looks, all alike. A
sleep lasts at least as long as it was asked to, and may last longer: so after some looks that found nothing changed, sleeps
last longer and longer, each twice as long as the one before, but never past the time of anybody who has not looked meanwhile.
What goes on for ever even so, goes on for ever.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.control.scene import Scene
from harness.control.world import World
from harness.history import Step

__all__ = ["Leading"]

_LOOKS = 16
"""So many times in a row time passes as asked for, with nothing changed, before sleeps last longer."""

_BLIND = 100
"""The same for who looks at nothing that workers share, and may be counting seconds."""

_HELD_UP, _FASTER = 1, 8
"""The same, for both, while a process is held up; and how much longer each wait then lasts, or a spin, than the one before."""

_TIRED = 86_400.0
"""When sleeps last so many seconds in vain, nobody is held up any longer."""

_CHEAP = 3
"""So many times in a row it is not asked whether the shared state is the same, for that takes a look at all of it."""

_SPINS = 30
"""So often, until there are twice as many steps as there may be, time passes although nobody sleeps."""

_FIRST, _LONGEST = 0.001, 30 * 86_400.0
"""Seconds: what a spin is given first, and what no single wait exceeds unless it was asked for."""

_PRIVATE = ("process:", "client:", "history", "clock", "dated", "dates")


class Leading:
    """Says when it is next, for one execution: asked whenever time is about to pass."""

    def __init__(self, scene: Scene, world: World, steps: Sequence[Step]) -> None:
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
        return f"<Leading jumps={self._jumps} stride={self._stride}>"

    def next(self, later: Sequence[float], endless: bool = False, held_up: bool = False) -> float:
        """Return the virtual time to pass to: the first of *later*, the deadlines in order, or a time after it.

        *endless*: the execution has too many steps already, so it does not matter whether anything changes. *held_up*: a
        process is kept from running meanwhile.
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
        """Whether sleeps have become so long in vain that nothing more is to be expected of time."""
        return self._stride >= _TIRED

    def key(self) -> object:
        """Return what tells how time will pass from here."""
        now = self._scene.now
        known = frozenset(time for time in self._known if time > now)
        return self._jumps, self._stride, known, self._looked, self._state, frozenset(self._waits)

    def spins(self, most: int) -> float:
        """Return the time to pass to although somebody can run, where turns have been taken long enough, else 0.

        *most* is how many steps an execution may have, after which turns are taken for as many again.
        """
        if len(self._steps) - self._spun < max(most // _SPINS, 2):
            return 0.0
        self._spun = len(self._steps)
        self._stride = min(_FASTER * max(self._stride, _FIRST), _LONGEST)
        return self._scene.now + self._stride

    def _fruitless(self) -> bool:
        """Return whether nothing but time has changed since this was asked last, as far as can be seen."""
        new = self._steps[self._seen :]
        self._seen = len(self._steps)
        waits = self._scene.waiting_for()
        if self._told != len(self._scene.events):
            self._told = len(self._scene.events)
            self._waits.clear()
        if waits not in self._waits:
            # One who looks in two ways in turns waits at two places in turns.
            self._waits.add(waits)
            self._state, self._looked = None, False
            return False
        self._looked = any(not access.resource.startswith(_PRIVATE) for step in new for access in step.accesses)
        if self._jumps < _CHEAP:
            return True
        state: object = self._world.likeness()
        if state is None:
            accesses = [access for step in new for access in step.accesses]
            state = not any(access.mode == "w" and access.resource.startswith("data:") for access in accesses)
        before, self._state = self._state, state
        return before is None or (before == state and state is not False)
