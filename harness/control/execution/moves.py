"""The moves of an execution: those that can be made now, and those that wait for a lock, a time or a free worker."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import attrgetter

from harness.control.execution.actors import SERVER, Move, WorkerState
from harness.values.history import Source

__all__ = ["Moves"]

_BY_ORDER = attrgetter("order")


class _InOrder(dict[str, Move]):
    """Moves by choice. ``sorted`` is kept in order, because sorting for each step would cost more than the step."""

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
    """The moves of one execution. ``enabled`` are those that can be made, by choice.

    ``woken`` are those that a database server may have unblocked by itself: no scheduler chooses them.
    """

    def __init__(self) -> None:
        self.enabled = _InOrder()
        self.woken: dict[str, Move] = {}
        self._waiting: dict[str, Move] = {}

    def __repr__(self) -> str:
        return f"<Moves enabled={list(self.enabled)} waiting={list(self._waiting)}>"

    def offer(self, move: Move, waits: bool = False) -> None:
        """Add *move* to the enabled moves or, if it *waits*, to the waiting ones."""
        (self._waiting if waits else self.enabled)[move.choice] = move

    def called(self, choice: str) -> Move | None:
        """Return the call that is named *choice* and has not been made yet, None if there is none."""
        move = self.enabled.get(choice) or self._waiting.get(choice)
        return move if move is not None and move.client is not None else None

    def hold(self, move: Move, files: tuple[str, ...]) -> None:
        """Have *move* wait until one of *files*, the resources that it waits for, is released."""
        move.awaits = files
        if move.choice in self.enabled:
            del self.enabled[move.choice]
        self._waiting[move.choice] = move

    def drop(self, move: Move) -> None:
        """Remove *move*."""
        if move.choice in self.enabled:
            del self.enabled[move.choice]
        self._waiting.pop(move.choice, None)
        self.woken.pop(move.choice, None)

    def forget(self, state: WorkerState) -> None:
        """Remove all moves of the process of *state* except calls that are not made yet."""
        for moves in (self.enabled, self._waiting, self.woken):
            for gone in [move for move in moves.values() if move.state is state and move.client is None]:
                del moves[gone.choice]

    def hold_calls(self, state: WorkerState, hold: bool) -> None:
        """Hold back the calls to the worker of *state* if *hold*, else offer them again."""
        here: dict[str, Move] = self.enabled if hold else self._waiting
        there: dict[str, Move] = self._waiting if hold else self.enabled
        for move in [move for move in here.values() if move.kind == "call" and move.state is state]:
            del here[move.choice]
            there[move.choice] = move

    def released(self, file: str | None, cause: int) -> None:
        """Let the moves that wait for *file* (None: for anything) try again, because step *cause* released it."""
        for moves in (self._waiting, self.enabled):
            for move in [move for move in moves.values() if move.awaits and (file is None or file in move.awaits)]:
                there: dict[str, Move] = self.enabled
                if SERVER in move.awaits:
                    there, move.cause = self.woken, cause
                move.awaits = ()
                del moves[move.choice]
                there[move.choice] = move

    def waiting_for_locks(self, inside: bool) -> list[Move]:
        """Return the blocked moves, if *inside* (a library, or memory), or else the moves that were refused a lock."""
        found = [move for move in self._waiting.values() if move.awaits and move.blocked == inside]
        return sorted(found, key=_BY_ORDER)

    def asleep(self) -> Sequence[str]:
        """Return the choices of the blocked moves, which wait inside a library or in memory."""
        return (
            [choice for choice, move in self._waiting.items() if move.awaits and move.blocked] if self._waiting else ()
        )

    def blocked_move(self, choice: str) -> Move:
        """Return the blocked move named *choice*."""
        return self._waiting[choice]

    def key(self, name: Callable[[int], object], ran: Mapping[str, int]) -> object:
        """Return the part of a state fingerprint that stands for these moves, with the *name* of each cause.

        *ran* says after how many steps each choice was made last, which decides which refused move asks again
        first.
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
        """Return the choice, kind and source line of each waiting move."""
        return frozenset((move.choice, move.kind, move.source) for move in self._waiting.values())

    def deadlines(self) -> list[float]:
        """Return the virtual times at which waiting moves would go on."""
        return [due for move in self._waiting.values() if (due := move.due) is not None]

    @property
    def anything_waits(self) -> bool:
        """Whether any move is waiting."""
        return bool(self._waiting)

    def passable(self, held: Collection[tuple[str, str]]) -> list[float] | None:
        """Return the deadlines of calls not in *held* (worker, lane); None if a move inside a library has one."""
        found: list[float] = []
        for move in self._waiting.values():
            if (due := move.due) is not None:
                if move.in_library:
                    return None
                if (move.state.name, move.family) not in held:
                    found.append(due)
        return found

    def due(self, now: float) -> None:
        """Enable the waiting moves that are due at virtual time *now*."""
        for move in list(self._waiting.values()):
            if move.due is not None and move.due <= now:
                self.enabled[move.choice] = self._waiting.pop(move.choice)
