"""Which process can be held up now: kept from running until a time that others wait for has come.

Virtual time passes by itself only where nothing can run. A process that could run, or a message on its way, may all the same be
slow: the schedule can choose to let time pass to the next deadline while it is held up. It can go on from then. To hold it up
for one deadline more is one delay more.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import cast

from harness.control.lanes import Move, WorkerState
from harness.control.processes import Worker
from harness.history import Step
from harness.schedule import DELAY
from harness.schedulers.dependence import unit_of

__all__ = ["Delaying"]


class _Nobody:
    number = -1


class Delaying:
    """``left`` is how many delays this execution may still have, ``held`` what was held up last and has not gone on since.

    What is held up is a process, by the name of its worker, or a message on its way, by the name of the request. ``until``
    is the time to which the next delay lasts; when others have waited in vain for so long that they are ``tired`` there is no
    point in another.
    """

    def __init__(self, most: int) -> None:
        self.left = most
        self.held: tuple[str, ...] = ()
        self.until = 0.0
        self.tired = False
        self._world = WorkerState(cast(Worker, _Nobody()), "", False)

    def __repr__(self) -> str:
        return f"<Delaying left={self.left} held={self.held}>"

    def move(self, enabled: Sequence[Move], until: float) -> Move | None:
        """Return the delay of all that is *enabled* to the deadline *until*, if so many may be held up."""
        units = {_unit(move) for move in enabled}
        if self.tired or len(units) > self.left:
            return None
        state = enabled[0].state if len(units) == 1 and units == {enabled[0].state.name} else self._world
        return Move(state, f"{DELAY}{'+'.join(sorted(units))}", "", "delay", f"until {until!r}")

    def begin(self, move: Move) -> str:
        """The delay *move* is made: return it in words."""
        units = move.choice.removeprefix(DELAY).split("+")
        self.left -= len(units)
        self.held = tuple(units)
        whose = " and ".join(f"request {unit}" if "#" in unit else unit for unit in units)
        return f"time passes to {self.until:g} s while {whose} {'are' if len(units) > 1 else 'is'} held up"

    def stepped(self, steps: Sequence[Step]) -> None:
        """*steps* were taken: what has gone on is held up no longer."""
        self.held = tuple([unit for unit in self.held if all(unit_of(step) != unit for step in steps)])

    def key(self) -> object:
        """Return what tells this from another moment."""
        return self.left, self.held, self.tired

    def last(self, moves: Collection[Move]) -> list[Move]:
        """Return *moves* with those of what is held up last."""
        return sorted(moves, key=lambda move: _unit(move) in self.held)


def _unit(move: Move) -> str:
    return move.lane if move.kind in ("request", "answer", "disconnect") else move.state.name
