"""Offers delays: a process or a message is held up while virtual time passes to a deadline that others wait for.

Virtual time passes by itself only when nothing can run. A real process that could run may still be slow, and so may a
message on its way. So the schedule can choose to let time pass to the next deadline while such a process or message is
held up; it can go on from then. Each further deadline for which it is held up costs another delay.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import cast

from harness.control.execution.actors import Move, WorkerState
from harness.control.testbed.processes import Worker
from harness.schedulers.tree.dependence import unit_of
from harness.values.history import Step
from harness.values.names import DELAY, Choice

__all__ = ["DelayOffers"]


class _Nobody:
    number = -1


class DelayOffers:
    """The delays of one execution.

    ``left`` is how many it may still have. ``held`` names the processes (by worker) and messages on their way (by
    request) that were held up last and have not gone on since. ``until`` is the virtual time, in seconds, to which the
    next delay lasts. ``tired`` says that others have waited in vain for so long that there is no point in another
    delay.
    """

    def __init__(self, most: int) -> None:
        self.left = most
        self.held: tuple[str, ...] = ()
        self.until = 0.0
        self.tired = False
        self._world = WorkerState(cast(Worker, _Nobody()), "", False)

    def __repr__(self) -> str:
        return f"<DelayOffers left={self.left} held={self.held}>"

    def move(self, enabled: Sequence[Move], until: float) -> Move | None:
        """Return the move that delays all the *enabled* moves to the deadline *until*.

        None if that takes more delays than are left (one for each process or message), or others are ``tired``.
        """
        units = {_unit(move) for move in enabled}
        if self.tired or len(units) > self.left:
            return None
        state = enabled[0].state if len(units) == 1 and units == {enabled[0].state.name} else self._world
        return Move(state, f"{DELAY}{'+'.join(sorted(units))}", "", "delay", f"until {until!r}")

    def begin(self, move: Move) -> str:
        """Make the delay *move*, and return its description."""
        units = Choice(move.choice).held_up
        self.left -= len(units)
        self.held = tuple(units)
        whose = " and ".join(f"request {unit}" if "#" in unit else unit for unit in units)
        return f"time passes to {self.until:g} s while {whose} {'are' if len(units) > 1 else 'is'} held up"

    def stepped(self, steps: Sequence[Step]) -> None:
        """Note *steps*: a process or message that took one of them is held up no longer."""
        self.held = tuple([unit for unit in self.held if all(unit_of(step) != unit for step in steps)])

    def key(self) -> object:
        """Return the part of a state fingerprint that stands for delays."""
        return self.left, self.held, self.tired

    def last(self, moves: Collection[Move]) -> list[Move]:
        """Return *moves*, those of held-up processes and messages at the end."""
        return sorted(moves, key=lambda move: _unit(move) in self.held)


def _unit(move: Move) -> str:
    return move.lane if move.kind in ("request", "answer", "disconnect") else move.state.name
