"""The search for an order of one partition's operations that its sequential specification allows.

It is the search of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993): place any operation that had begun
before the first unplaced operation returned, step the specification, continue, and turn back where nothing fits. Lowe
("Testing for linearizability", 2017) added the memory of the places reached before, Athalye's Porcupine the doubly-linked
list from which a placed operation is lifted. The following is added here; each leaves out only placements that can't
matter:

- A read is placed as soon as it fits, and nothing else is tried: it changes nothing, so placing it early does no harm.
- Of equal operations that could be placed, only the one that returns first is placed: the others can take its place later.
- An operation that never returned may be left out. So of two ways to the same place, the way that used fewer such
  operations is enough.
- A placed operation is remembered only until all operations that returned before it are placed. Until then it is the only
  operation in its slot, so the memory's keys are small however long the history is.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

from harness.checks.operations import UNKNOWN, Operation
from harness.checks.sequential import Spec
from harness.errors import BadInput
from harness.values.plain import is_plain
from harness.verdict import Verdict

__all__ = ["DeadEnd", "Search"]

DEAD_ENDS = 3


class DeadEnd(NamedTuple):
    """An order that could not be continued: the operations placed, the state after them, and the candidates for the next."""

    order: tuple[Operation, ...]
    state: Hashable
    waiting: tuple[Operation, ...]
    stuck: Operation
    """The operation in ``waiting`` that returned first; no operation invoked after its return can be placed before it."""


class _Frame(NamedTuple):
    """A node of the search: the move that led to it, and the moves still to be tried from it."""

    moves: Iterator[tuple[int, int]]
    placed: int
    state: int
    first: int
    ahead: int
    used: int


class Search:
    """A search through one partition, which can be interrupted and continued.

    Operations that returned are numbered in the order of their returns; the open operations follow in the order of their
    invocations. ``first`` is the lowest number that is not placed. ``ahead`` is the set of slots of the placed operations
    beyond it, ``used`` the set of open operations that are placed; both are sets of bits.
    """

    def __init__(self, operations: Sequence[Operation], spec: Spec) -> None:
        self.verdict = Verdict.UNKNOWN
        self.steps = 0
        self.dead_ends: list[DeadEnd] = []
        self._spec = spec
        self._reads = spec.reads or (lambda _: False)
        wanted = [o for o in operations if o.result is not UNKNOWN or not self._reads(o)]
        ended = sorted((o for o in wanted if o.returned is not None), key=lambda o: (_end(o), o.invoked))
        self._ended = len(ended)
        self._operations = ended + sorted((o for o in wanted if o.returned is None), key=lambda o: o.invoked)
        self._invoked = [o.invoked for o in self._operations]
        self._returned = [_end(o) for o in ended]
        self._pure = [o.result is not UNKNOWN and bool(self._reads(o)) for o in ended]
        self._hopeful = spec.outlook(wanted) if spec.outlook else None
        self._number_kinds()
        self._link()
        self._slot = _slots(ended)
        self._placed = bytearray(self._ended + 1)
        self._states: list[Hashable] = []
        self._numbers: dict[Hashable, int] = {}
        self._seen: dict[tuple[int, int, int], list[int]] = {}
        self._best = (-1, -1)
        self._stack = [self._frame(-1, self._number(spec.initial), 0, 0, 0)]
        if not self._ended:
            self.verdict = Verdict.VALID

    @property
    def order(self) -> tuple[Operation, ...]:
        """The operations placed, in order; a linearization once the verdict is valid."""
        return tuple(self._operations[frame.placed] for frame in self._stack[1:])

    def run(self, steps: int) -> int:
        """Try at most *steps* more placements, and return the number tried; stop when the verdict is known."""
        stack, seen, bits, count = self._stack, self._seen, self._slot, 0
        while stack and count < steps and self.verdict is Verdict.UNKNOWN:
            moves, _, _, first, ahead, used = stack[-1]
            move = next(moves, None)
            if move is None:
                self._turn_back()
                continue
            count += 1
            operation, state = move
            if operation >= self._ended:
                used |= 1 << (operation - self._ended)
            elif operation != first:
                ahead |= bits[operation]
            else:
                first += 1
                while self._placed[first]:
                    ahead ^= bits[first]
                    first += 1
            known = seen.get(key := (first, ahead, state))
            if known is None:
                seen[key] = [used]
            elif any(less & used == less for less in known):
                continue
            else:
                seen[key] = [more for more in known if used & more != used] + [used]
            self._place(operation)
            stack.append(self._frame(operation, state, first, ahead, used))
            if first == self._ended:
                self.verdict = Verdict.VALID
        if not stack:
            self.verdict = Verdict.INVALID
        self.steps += count
        return count

    # --- the next placements ----------------------------------------------------------------------

    def _frame(self, placed: int, state: int, first: int, ahead: int, used: int) -> _Frame:
        return _Frame(self._moves(state, first), placed, state, first, ahead, used)

    def _moves(self, state: int, first: int) -> Iterator[tuple[int, int]]:
        """Yield every placement worth trying in *state*: the operation, and the state after it."""
        if first == self._ended or not self._promising(state, first):
            return
        begun = self._begun(first)
        for operation in begun:
            if self._pure[operation] and self._after(operation, state):
                yield operation, state
                return
        tried = set()
        for operation in begun:
            if not self._pure[operation] and (kind := self._kind[operation]) not in tried:
                tried.add(kind)
                for after in self._after(operation, state):
                    yield operation, after
        for waiting in self._open:
            if waiting and self._invoked[waiting[-1]] <= self._returned[first]:
                operation = waiting[-1]
                for after in self._after(operation, state):
                    if after != state:
                        yield operation, after

    def _begun(self, first: int) -> list[int]:
        """Return the unplaced operations that were invoked before operation *first* returned, in the order of their returns.

        Only operations that returned are among them.
        """
        found, following, invoked, limit = [], self._following, self._invoked, self._returned[first]
        operation = following[-1]
        while operation >= 0 and invoked[operation] <= limit:
            found.append(operation)
            operation = following[operation]
        found.sort()
        return found

    def _promising(self, state: int, first: int) -> bool:
        """Return whether the next read to return can still be placed, as far as the specification can tell."""
        if self._hopeful is None:
            return True
        read = self._next_read[first]
        while self._placed[read]:
            read = self._next_read[read + 1]
        return read == self._ended or self._hopeful(self._states[state], self._operations[read])

    def _after(self, operation: int, state: int) -> tuple[int, ...]:
        """Return the numbers of the states after *operation* in *state*; the specification is asked once for each kind."""
        table = self._table[self._kind[operation]]
        if (found := table.get(state)) is None:
            it = self._operations[operation]
            after = self._spec.step(self._states[state], it.name, it.arguments, it.result)
            found = table[state] = tuple(dict.fromkeys(map(self._number, after)))
        return found

    def _number(self, state: Hashable) -> int:
        if (number := self._numbers.setdefault(state, len(self._states))) == len(self._states):
            self._states.append(state)
        return number

    # --- placing and taking back ------------------------------------------------------------------

    def _place(self, operation: int) -> None:
        if operation >= self._ended:
            self._open[self._class[operation - self._ended]].pop()
            return
        self._placed[operation] = 1
        before, after = self._preceding[operation], self._following[operation]
        self._following[before], self._preceding[after] = after, before

    def _turn_back(self) -> None:
        """Leave a place from which nothing more can be tried, and undo the placement that led to it.

        Keep the place as a dead end if no other got further.
        """
        frame = self._stack[-1]
        reached = (frame.first, len(self._stack))
        if reached > self._best or (reached == self._best and len(self.dead_ends) < DEAD_ENDS):
            self._remember(frame, reached)
        self._stack.pop()
        operation = frame.placed
        if operation >= self._ended:
            self._open[self._class[operation - self._ended]].append(operation)
        elif operation >= 0:
            self._placed[operation] = 0
            before, after = self._preceding[operation], self._following[operation]
            self._following[before] = self._preceding[after] = operation

    def _remember(self, frame: _Frame, reached: tuple[int, int]) -> None:
        if reached > self._best:
            self.dead_ends, self._best = [], reached
        state = self._states[frame.state]
        if all(end.state != state for end in self.dead_ends):
            waiting = tuple(self._operations[operation] for operation in self._begun(frame.first))
            self.dead_ends.append(DeadEnd(self.order, state, waiting, self._operations[frame.first]))

    # --- laying out -------------------------------------------------------------------------------

    def _number_kinds(self) -> None:
        """Number the kinds of operations, and stack the open operations by kind.

        Two operations are of one kind if the specification sees no difference between them.
        """
        kinds: dict[Hashable, int] = {}
        self._kind = [kinds.setdefault(_kind(it, at), len(kinds)) for at, it in enumerate(self._operations)]
        self._table: list[dict[int, tuple[int, ...]]] = [{} for _ in kinds]
        opened = self._kind[self._ended :]
        classes = {kind: number for number, kind in enumerate(dict.fromkeys(opened))}
        self._class = [classes[kind] for kind in opened]
        self._open: list[list[int]] = [[] for _ in classes]
        for number in reversed(range(len(opened))):
            self._open[self._class[number]].append(self._ended + number)

    def _link(self) -> None:
        """Link the operations that returned in the order of their invocations; index -1, the last element, is both ends."""
        by_invocation = [*sorted(range(self._ended), key=self._invoked.__getitem__), -1]
        self._following, self._preceding = [-1] * (self._ended + 1), [-1] * (self._ended + 1)
        for before, after in zip([-1, *by_invocation], by_invocation, strict=False):
            self._following[before], self._preceding[after] = after, before
        self._next_read = [self._ended] * (self._ended + 2)
        for operation in reversed(range(self._ended)):
            self._next_read[operation] = operation if self._pure[operation] else self._next_read[operation + 1]


def _end(operation: Operation) -> int:
    if operation.returned is None:
        return -1
    if operation.returned < operation.invoked:
        raise BadInput(
            f"The operation {operation} returned at {operation.returned}, before it was invoked at {operation.invoked}. "
            "Its positions are probably swapped; give each operation the places of its two events in the history."
        )
    return operation.returned


def _kind(operation: Operation, number: int) -> Hashable:
    """Return a key that operations share only if no specification can tell them apart."""
    asked = (operation.name, operation.arguments)
    if not is_plain(asked) or not (operation.result is UNKNOWN or is_plain(operation.result)):
        return number
    return (operation.open, repr(asked), repr(operation.result))


def _slots(ended: Sequence[Operation]) -> list[int]:
    """Return one bit for each operation, in the order of *ended*, such that no two operations that overlap share a bit."""
    events = [(o.invoked, 0, number) for number, o in enumerate(ended)]
    events += [(_end(o), 1, number) for number, o in enumerate(ended)]
    bits, free, slots = [0] * len(ended), list[int](), 0
    for _, returns, number in sorted(events):
        if returns:
            free.append(bits[number])
        elif free:
            bits[number] = free.pop()
        else:
            bits[number] = 1 << slots
            slots += 1
    return bits
