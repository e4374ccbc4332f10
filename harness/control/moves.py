"""The moves of an execution: which can be made now, and what the others wait for (a lock, a time, a free worker)."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import attrgetter

from harness.control.lanes import SERVER, Move, WorkerState
from harness.history import Source

__all__ = ["Moves"]

_BY_ORDER = attrgetter("order")


class _InOrder(dict[str, Move]):
    """Moves by choice, and ``sorted`` by their order: to sort them for each step would cost more than the step."""

    def __init__(self) -> None:
        super().__init__()
        self.sorted: list[Move] = []

    def __setitem__(self, choice: str, move: Move) -> None:
        if choice in self:
            self.sorted[bisect_left(self.sorted, move.order, key=_BY_ORDER)] = move
        else:
            insort(self.sorted, move, key=_BY_ORDER)
        super().__setitem__(choice, move)

    def __delitem__(self, choice: str) -> None:
        del self.sorted[bisect_left(self.sorted, self[choice].order, key=_BY_ORDER)]
        super().__delitem__(choice)


class Moves:
    """``enabled`` are the moves that can be made, by choice.

    ``woken`` is what a server may have let go by itself: nobody chooses that.
    """

    def __init__(self) -> None:
        self.enabled = _InOrder()
        self.woken: dict[str, Move] = {}
        self._waiting: dict[str, Move] = {}

    def __repr__(self) -> str:
        return f"<Moves enabled={list(self.enabled)} waiting={list(self._waiting)}>"

    def offer(self, move: Move, waits: bool = False) -> None:
        """Take *move* in, among those that can be made or, if it *waits*, among the others."""
        (self._waiting if waits else self.enabled)[move.choice] = move

    def called(self, choice: str) -> Move | None:
        """Return the call that is not made yet and is named *choice*, if there is one."""
        move = self.enabled.get(choice) or self._waiting.get(choice)
        return move if move is not None and move.client is not None else None

    def hold(self, move: Move, files: tuple[str, ...]) -> None:
        """Have *move* wait until a lock on one of *files* is let go."""
        move.awaits = files
        if move.choice in self.enabled:
            del self.enabled[move.choice]
        self._waiting[move.choice] = move

    def drop(self, move: Move) -> None:
        """Take *move* out."""
        if move.choice in self.enabled:
            del self.enabled[move.choice]
        self._waiting.pop(move.choice, None)
        self.woken.pop(move.choice, None)

    def forget(self, state: WorkerState) -> None:
        """Take out what the process of *state* had parked; calls not yet made stay."""
        for moves in (self.enabled, self._waiting, self.woken):
            for gone in [move for move in moves.values() if move.state is state and move.client is None]:
                del moves[gone.choice]

    def hold_calls(self, state: WorkerState, hold: bool) -> None:
        """Hold back the calls that *state*'s worker could take, or offer them again."""
        here: dict[str, Move] = self.enabled if hold else self._waiting
        there: dict[str, Move] = self._waiting if hold else self.enabled
        for move in [move for move in here.values() if move.kind == "call" and move.state is state]:
            del here[move.choice]
            there[move.choice] = move

    def released(self, file: str | None, cause: int) -> None:
        """Step *cause* let a lock on *file* go (None: on any): whoever waits for that may try again."""
        for moves in (self._waiting, self.enabled):
            for move in [move for move in moves.values() if move.awaits and (file is None or file in move.awaits)]:
                there: dict[str, Move] = self.enabled
                if SERVER in move.awaits:
                    there, move.cause = self.woken, cause
                move.awaits = ()
                del moves[move.choice]
                there[move.choice] = move

    def waiting_for_locks(self, inside: bool) -> list[Move]:
        """Return what waits for a lock *inside* SQLite, or else what was refused one and would ask again."""
        found = [move for move in self._waiting.values() if move.awaits and move.blocked == inside]
        return sorted(found, key=_BY_ORDER)

    def asleep(self) -> Sequence[str]:
        """Return the choices of what waits for a lock inside SQLite."""
        return (
            [choice for choice, move in self._waiting.items() if move.awaits and move.blocked] if self._waiting else ()
        )

    def sleeper(self, choice: str) -> Move:
        """Return that one of them."""
        return self._waiting[choice]

    def key(self, name: Callable[[int], object], ran: Mapping[str, int]) -> object:
        """Return what tells these moves from others, causes by their *name*.

        *ran* says when each choice was made last, which decides whose turn it is to ask again.
        """
        refused = sorted(self.waiting_for_locks(inside=False), key=lambda move: ran.get(move.choice, -1))
        every = [
            sorted(
                (move.choice, move.awaits, move.blocked, repr(move.due), repr(name(move.cause)))
                for move in moves.values()
            )
            for moves in (self.enabled, self._waiting, self.woken)
        ]
        return repr(every), tuple([move.choice for move in refused])

    def waiting_for(self) -> frozenset[tuple[str, str, Source | None]]:
        """Return what waits, by choice, and at which line."""
        return frozenset((move.choice, move.kind, move.source) for move in self._waiting.values())

    def deadlines(self) -> list[float]:
        """Return the virtual times at which something that waits would go on."""
        return [due for move in self._waiting.values() if (due := move.due) is not None]

    @property
    def anything_waits(self) -> bool:
        """Whether any move is waiting."""
        return bool(self._waiting)

    def passable(self, held: Collection[tuple[str, str]]) -> list[float] | None:
        """Return those of other calls than *held*, by worker and lane; None while something waits inside a library."""
        found: list[float] = []
        for move in self._waiting.values():
            if (due := move.due) is not None:
                if move.in_library:
                    return None
                if (move.state.name, move.family) not in held:
                    found.append(due)
        return found

    def due(self, now: float) -> None:
        """It is *now*: offer what has waited long enough."""
        for move in list(self._waiting.values()):
            if move.due is not None and move.due <= now:
                self.enabled[move.choice] = self._waiting.pop(move.choice)
