"""Tells when an execution stands where another one has stood: what can still come is then the same, choice for choice.

What a process has in its memory follows from when and how it began, from what it has done since, and from what it found in
the shared state each time it looked. So a chain of digests stands for it: of its steps, each with a digest of the shared state
before it if the step touched anything shared, and of the message that it delivered. The rest is plain to see: the shared
state itself, virtual time, messages on their way, what waits for what, what the clients were told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.control.lanes import Move
from harness.control.observer import Observer
from harness.control.stage import Stage
from harness.control.world import World
from harness.history import Access, Event, Step
from harness.schedulers.visited import Names

__all__ = ["Likeness"]

_EVERYTHING = Access("*", "w")
_SHARED = ("data:", "lock:", "*")


class Likeness:
    """Follows one execution. ``lost`` says that it can no longer be told from others, so nothing is like it."""

    def __init__(self, stage: Stage, world: World, observer: Observer, ordered: bool) -> None:
        self._stage, self._world, self._observer, self._ordered = stage, world, observer, ordered
        self._chains: dict[int, int] = {}
        self._told: dict[str, int] = {}
        self._read = self._retracted = 0
        self._names = Names()
        self._shared: int | None = 0
        self._stale = True
        self.lost = False

    def __repr__(self) -> str:
        return f"<Likeness lost={self.lost} chains={self._chains}>"

    def before(self) -> None:
        """Something is about to be done: know the shared state that it will find."""
        if self._stale and not self.lost:
            self._stale = False
            self._shared = self._world.likeness()
            self.lost = self._shared is None

    def stepped(self, move: Move, steps: Sequence[Step]) -> None:
        """*move* was made, and came to *steps*."""
        for step in steps:
            self._names.add(step)
            worker = step.worker
            if step.kind == "delay":
                # Who is held up does not notice; what time it is now is plain to see.
                continue
            if step.kind in ("kill", "restart"):
                # What takes its place may have looked at the shared state as it began, and then touched everything.
                began = self._shared if step.kind == "restart" or _EVERYTHING in step.accesses else None
                self._chains[worker] = hash((self._stage.lives(worker), worker, step.now, began))
                self._stale = True
                continue
            looked = False
            for resource, mode in step.accesses:
                if resource.startswith(_SHARED):
                    looked = True
                    self._stale = self._stale or mode in "wa"
            came = step.waited, step.resumed, step.gave_up, step.error
            found = repr(move.message), self._shared if looked else None
            self._chains[worker] = hash((self._chains.get(worker), step.digest, step.now, came, found))

    def state(self, ran: Mapping[str, int], leading: object) -> int:
        """Return a digest of all that decides what can still come, 0 where it can't be told.

        *ran* says when each choice was made last, which decides who asks again first where nobody can do anything else;
        *leading* how time will pass.
        """
        self.before()
        if self.lost or self._observer.looks_elsewhere:
            return 0
        if self._stage.retracted != self._retracted:
            self._retracted, self._read = self._stage.retracted, 0
            self._told.clear()
        for event in self._stage.events[self._read :]:
            self._hear(event)
        key = hash(
            (
                self._shared,
                self._stage.key(self._names.of, ran),
                tuple(sorted(self._chains.items())),
                tuple(sorted(self._told.items())),
                self._observer.memory,
                leading,
            )
        )
        return key or 1

    def _hear(self, event: Event) -> None:
        """Take in *event*: in the order of all where that matters, else of those of its client."""
        whose = "" if self._ordered else event.client
        at_once = self._ordered and self._read > 0 and self._stage.events[self._read - 1].step == event.step
        heard = event[:6], event.now, repr(event.value), event.error, at_once
        self._told[whose] = hash((self._told.get(whose), repr(heard)))
        self._read += 1
