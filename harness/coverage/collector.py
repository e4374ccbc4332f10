"""Collects the coverage of a run while it goes on, in a few microseconds per step."""

from __future__ import annotations

from collections.abc import Mapping

from harness.coverage.call_sites import unreached
from harness.coverage.pairs import operation
from harness.coverage.totals import NAMED, Coverage
from harness.result import Execution
from harness.schedulers.pct import survival
from harness.schedulers.tree.dependence import is_event
from harness.values.history import Access, Event, Step

__all__ = ["DEPTHS", "Survey"]

DEPTHS = (1, 2, 3)
"""Of the bugs whose chance to survive is given."""

_HALF = 32
_LOW, _WORD = (1 << _HALF) - 1, (1 << 64) - 1
_EVERYTHING, _NOBODY = "*", ""
_PROBE = "probe"
"""The kind of the step with which the probe begins, and the client that it is: after everything else, by definition."""
_WORDS = 30
"""Characters of a statement that are enough to tell it by."""


class Survey:
    """The coverage so far. ``since_new`` counts the executions since the last one that showed something new."""

    def __init__(self) -> None:
        self.since_new = 0
        self.bounded = self.tasks = self.steps = 0
        self._numbers: dict[tuple[object, ...], int] = {}
        self._operations: list[Step] = []
        self._pairs: dict[int, None] = {}
        self._interleavings: set[int] = set()
        self._answers: set[int] = set()
        self._states: set[int] = set()
        self._outcomes: set[str] = set()
        self._possible: dict[tuple[str, str], None] = {}
        self._injected: set[tuple[str, str]] = set()
        self._workload: object = None
        self._called: set[tuple[str, int, str]] = set()
        self._uncalled: dict[tuple[str, int, str], None] = {}

    def __repr__(self) -> str:
        return f"<Survey interleavings={len(self._interleavings)} pairs={len(self._pairs)} since_new={self.since_new}>"

    def count(self, execution: Execution) -> None:
        """Take *execution* into account."""
        before = self._known
        digest = self._follow(execution.steps)
        self._states.update(execution.states)
        self._possible.update(dict.fromkeys(execution.chances))
        self._note_calls(execution)
        self.bounded += execution.bounded
        if not (execution.abandoned or execution.stuck):
            self._interleavings.add(digest)
        if not (execution.abandoned or execution.stuck or execution.failure):
            self._answers.add(hash(tuple(sorted(map(_told, execution.history)))))
        if execution.outcome:
            self._outcomes.add(execution.outcome)
        self.since_new = 0 if self._known > before else self.since_new + 1

    @property
    def _known(self) -> int:
        return len(self._pairs) + len(self._answers) + len(self._states) + len(self._outcomes)

    def _follow(self, steps: tuple[Step, ...]) -> int:
        """Record the conflicts among *steps*; return a digest of the order in which dependent steps happened.

        The hash of a step is made of its operation and the hashes of the steps that it depends on. So the sum over all
        steps is the same for two executions that differ only in the order of independent steps, and otherwise equal
        only by accident.
        """
        lanes: dict[str, int] = {}
        places: dict[str, _Place] = {}
        total = everything = 0
        for position, step in enumerate(steps):
            number = self._number(step)
            past = lanes.get(step.lane, 0) + (total if step.kind == _PROBE else everything)
            for access in step.accesses:
                place = places.get(access.resource)
                if place is None:
                    place = places[access.resource] = _Place()
                past += place.before(access.mode)
                if (access.what.is_data or access.what.is_lock) and step.lane and access.mode != "a":
                    self._meet(place, access, step.task.family, number=number)
                elif access.resource == _EVERYTHING:
                    past += total
            if step.waited and not is_event(step):
                continue
            digest = hash((number, past & _WORD))
            lanes[step.lane] = digest
            total += digest
            for access in step.accesses:
                places[access.resource].after(access.mode, digest)
                if access.resource == _EVERYTHING:
                    everything = digest
            if step.is_fault:
                self._injected.add((step.kind, operation(steps[position - 1]) if position else ""))
        self.tasks = max(self.tasks, len(lanes) - (_NOBODY in lanes))
        self.steps = max(self.steps, len(steps))
        return total & _WORD

    def _number(self, step: Step) -> int:
        key = step.lane, step.kind, step.text, step.source
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._operations)
            self._operations.append(step)
        return number

    def _meet(self, place: _Place, access: Access, client: str, *, number: int) -> None:
        """Note the pairs that this *access* makes with those that it conflicts with."""
        if client.startswith(_PROBE):
            return
        if place.client and place.client != client:
            self._pairs[place.writer << _HALF | number] = None
        if access.mode == "w":
            for other, reader in place.readers:
                if other != client:
                    self._pairs[reader << _HALF | number] = None
            place.writer, place.client = number, client
            place.readers.clear()
        else:
            place.readers.append((client, number))

    def _note_calls(self, execution: Execution) -> None:
        if execution.workload is not self._workload:
            self._workload = execution.workload
            for number, client in enumerate(execution.workload.clients):
                for place, call in enumerate(client.calls):
                    if (key := (f"c{number}", place, str(call))) not in self._called:
                        self._uncalled[key] = None
        for key in [key for key in self._uncalled if _invoked(key, execution)]:
            del self._uncalled[key]
            self._called.add(key)

    # The result

    def coverage(
        self, seen: float | None = None, pct: Mapping[int, int] | None = None, *, whole: bool = False
    ) -> Coverage:
        """Return the coverage so far.

        *seen* is the part of the tree that the search saw, *pct* the number of PCT's executions by depth; *whole* says
        that the run was complete.
        """
        made = dict(pct or {})
        one = [pair for pair in self._pairs if not self._turned(pair)]
        untried = [place for place in self._possible if place not in self._injected]
        seen_at = [step.source for step in self._operations if step.source]
        return Coverage(
            interleavings=len(self._interleavings),
            answers=len(self._answers),
            outcomes=len(self._outcomes) if self._outcomes else None,
            states=len(self._states),
            both_orders=(len(self._pairs) - len(one)) // 2,
            one_order=len(one),
            only=tuple(self._named(pair) for pair in one[:NAMED]),
            since_new=self.since_new,
            unreached=tuple(unreached(seen_at)),
            uncalled=tuple(f"{client}: {call}" for client, _, call in self._uncalled),
            fault_places=len(self._possible),
            faults_tried=len(self._possible) - len(untried),
            untried=tuple(f"{kind} after {after or 'nothing'}" for kind, after in untried[:NAMED]),
            bounded=self.bounded,
            seen=seen,
            tasks=self.tasks,
            steps=self.steps,
            pct=made,
            residual={depth: 0.0 if whole else survival(self.tasks, self.steps, depth, made=made) for depth in DEPTHS},
        )

    def _turned(self, pair: int) -> bool:
        return ((pair & _LOW) << _HALF | pair >> _HALF) in self._pairs

    def _named(self, pair: int) -> tuple[str, str]:
        return _shown(self._operations[pair >> _HALF]), _shown(self._operations[pair & _LOW])


class _Place:
    """A resource in an execution: the hashes of the last write, of the reads since, and of commuting writes (mode ``a``)."""

    __slots__ = ("added", "client", "read", "readers", "writer", "written")

    def __init__(self) -> None:
        self.written = self.read = self.writer = self.added = 0
        self.client = ""
        self.readers: list[tuple[str, int]] = []

    def before(self, mode: str) -> int:
        """Return the hashes of the accesses that an access in *mode* depends on."""
        if mode == "a":
            return self.written + self.read
        return (self.written if mode in "ri" else self.read if mode == "o" else self.written + self.read) + self.added

    def after(self, mode: str, digest: int) -> None:
        """Note that the step with this *digest* made an access of that *mode*."""
        if mode in "ri":
            self.read += digest
        elif mode == "o":
            self.written += digest
        elif mode == "a":
            self.added += digest
        else:
            self.written, self.read, self.added = digest, 0, 0


def _shown(step: Step) -> str:
    """Return *step* in a few words: its task, its operation, and its source line."""
    text = " ".join(step.text.split())
    text = text if len(text) <= _WORDS else f"{text[:_WORDS]}..."
    return f"{step.lane} {text}{f' at {step.source}' if step.source else ''}"


def _told(event: Event) -> tuple[str, int, str, str, str]:
    return event.client, event.call, event.kind, repr(event.value), event.error


def _invoked(key: tuple[str, int, str], execution: Execution) -> bool:
    return any(event.client == key[0] and event.call == key[1] for event in execution.history)
