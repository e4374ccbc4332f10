"""Hashes the execution state at each decision, so that equal states of different executions are recognised.

From equal states the same choices lead to the same steps. The memory of a process can't be looked into, but it follows
from when and how the process began, what it has done since, and what it found in the shared state each time it looked.
So a chain of digests stands for it: of its steps, each with the message that it delivered and, if it touched anything
shared, a digest of the shared state before it. The rest can be seen: the shared state itself, virtual time, messages on
their way, what waits for what, and what the clients were told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.control.execution.actors import Move
from harness.control.execution.transitions import Transitions
from harness.control.rules.observer import Observer
from harness.control.testbed.shared_files import SharedState
from harness.schedulers.tree.visited import Names
from harness.values.history import Access, Event, Step

__all__ = ["StateFingerprint"]

_EVERYTHING = Access("*", "w")


class StateFingerprint:
    """The state fingerprint of one execution. ``lost`` says that it can no longer be had for this execution."""

    def __init__(self, stage: Transitions, world: SharedState, observer: Observer, ordered: bool) -> None:
        self._stage, self._world, self._observer, self._ordered = stage, world, observer, ordered
        self._chains: dict[int, int] = {}
        self._told: dict[str, int] = {}
        self._read = self._retracted = 0
        self._names = Names()
        self._shared: int | None = 0
        self._stale = True
        self.lost = False

    def __repr__(self) -> str:
        return f"<StateFingerprint lost={self.lost} chains={self._chains}>"

    def before(self) -> None:
        """Prepare for a move: hash the shared state that it will find, if that may have changed."""
        if self._stale and not self.lost:
            self._stale = False
            self._shared = self._world.fingerprint()
            self.lost = self._shared is None

    def stepped(self, move: Move, steps: Sequence[Step]) -> None:
        """Add *steps*, which came of *move*, to the chains of their processes."""
        for step in steps:
            self._names.add(step)
            worker = step.worker
            if step.kind == "delay":
                # The process that is held up does not notice; virtual time itself is part of the fingerprint.
                continue
            if step.kind in ("kill", "restart"):
                # The process in its place may have read the shared state as it began: the step then touches everything.
                began = self._shared if step.kind == "restart" or _EVERYTHING in step.accesses else None
                self._chains[worker] = hash((self._stage.lives(worker), worker, step.now, began))
                self._stale = True
                continue
            looked, lives = False, []
            for access in step.accesses:
                if (what := access.what).is_shared:
                    looked = True
                    self._stale = self._stale or access.mode in "wa"
                if what.names_another(worker):
                    lives.append(self._alive(int(what.name)))
            came = step.waited, step.resumed, step.gave_up, step.error
            found = repr(move.message), self._shared if looked else None, tuple(lives)
            self._chains[worker] = hash((self._chains.get(worker), step.digest, step.now, came, found))

    def _alive(self, worker: int) -> object:
        """Return what another process can see of *worker*: whether it lives, since when, and what it has done."""
        return self._stage.lives(worker), self._stage.is_down(worker), self._chains.get(worker)

    def state(self, ran: Mapping[str, int], time_jumps: object) -> int:
        """Return a fingerprint of everything that decides how the execution can go on, 0 if it can't be had.

        *ran* says after how many steps each choice was made last, which decides which refused move asks again
        first when nothing else can be done. *time_jumps* stands for how time will pass.
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
                time_jumps,
            )
        )
        return key or 1

    def _hear(self, event: Event) -> None:
        """Add *event* to the digest of all clients if the order of their events matters, else to that of its client."""
        whose = "" if self._ordered else event.client
        at_once = self._ordered and self._read > 0 and self._stage.events[self._read - 1].step == event.step
        heard = event[:6], event.now, repr(event.value), event.error, at_once
        self._told[whose] = hash((self._told.get(whose), repr(heard)))
        self._read += 1
