"""Evaluates the scenario's checks on a copy of the shared state, and remembers their answers by its content."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from harness.boundary.epoch import EPOCH
from harness.control.rules.answers import Answers
from harness.control.rules.evaluation import Broken, ask, breaks, first_broken
from harness.control.rules.virtual_view import Window
from harness.control.testbed.shared_files import SharedState
from harness.scenario import Change, Check, Scenario
from harness.values.history import History, Step

_MOMENT_NS = 1_000_000

__all__ = ["Broken", "Observer", "asks_state", "breaks", "first_broken"]


class Observer:
    """Checks invariants and postconditions from outside the workers.

    A check looks at a copy of the files, so it takes no lock that the code under test could meet. It sees the virtual
    time set by the last ``at``. Its answer is remembered if everything that it looked at can be compared (``Answers``).
    Every method that evaluates checks raises ``RuleFailed`` if one raises something else than ``AssertionError``.
    """

    def __init__(self, world: SharedState, scenario: Scenario) -> None:
        self._world, self._scenario = world, scenario
        self.states: list[int] = []
        self._answers = Answers()
        self._now = 0.0
        self._before: dict[str, bytes] = {}
        self._notes: dict[str, str] = {}

    @property
    def memory(self) -> tuple[tuple[str, str], ...]:
        """The notes that rules about changes have made so far, sorted by name."""
        return tuple(sorted(self._notes.items()))

    @property
    def looks_elsewhere(self) -> bool:
        """Whether some rule depends on more than the shared state, the time and the answers that clients were given."""
        return self._answers.look_elsewhere

    def forget(self) -> None:
        """Forget the remembered answers, so that every check is evaluated anew."""
        self._answers.forget()

    def begin(self) -> None:
        """Take the present state for the one in which an execution begins.

        ``states`` collects the hashes of the states that rules look at from now on.
        """
        self.states = []
        self._now = 0.0
        if self._scenario.transitions:
            self._before = self._world.snapshot()
            self._notes = {}

    def at(self, now: float, readings: int) -> None:
        """Set the time that checks see: *now* (virtual seconds) plus the *readings* (ns) of clocks by the code."""
        # Rounded up to a millisecond, so that remembered answers still serve after one reading more.
        self._now = now + -(-readings // _MOMENT_NS) * _MOMENT_NS / 1e9
        self._world.set_time(now)

    def invariants(self, lane: str) -> Broken | None:
        """Return the first invariant that the shared state breaks, or else the first rule that its last change breaks.

        *lane* is the task that made the step.
        """
        broken = self._ask("invariants", self._scenario.invariants, None)
        return self._changed(lane) if broken is None and self._scenario.transitions else broken

    def _changed(self, lane: str) -> Broken | None:
        before, files = self._before, self._world.snapshot()
        if files == before and not self.looks_elsewhere:
            return None
        self._before = files
        self.states.append(hash(tuple(files.items())))

        def first() -> tuple[Broken | None, dict[str, str]]:
            change = Change(EPOCH + self._now, lane, dict(self._notes))
            places = self._world.observe(before, earlier=True), self._world.observe(files)
            return first_broken(self._scenario.transitions, *places, change), change.notes

        key = hash(tuple(before.items())), self.states[-1], self._now, lane, self.memory
        broken, notes = self._answer("transitions", self._scenario.transitions, key, asks=first)
        self._notes = dict(notes)
        return broken  # type: ignore[no-any-return]

    def at_end(self) -> Broken | None:
        """Return the first rule for the end of an execution that the shared state breaks."""
        return self._ask("at end", self._scenario.at_end, None)

    def told(self, history: History) -> Broken | None:
        """Return the first postcondition that the clients' answers break, given the shared state."""
        return self._ask("postconditions", self._scenario.postconditions, history)

    def happened(self, history: History, steps: Sequence[Step], *, whole: bool) -> tuple[str, ...]:
        """Return the names of the required events (``must_happen``) that occurred in this execution.

        If it is not *whole* but was given up as redundant, events that look at the state at the end are left out: the
        state at which it was given up is not one in which an execution ends.
        """
        every = self._scenario.must_happen
        found = {check.name for check in every if not asks_state(check) and _happened(check, history, steps)}
        if whole:
            found |= {check.name for check in every if asks_state(check) and self._happened_in_state(check)}
        return tuple(check.name for check in every if check.name in found)

    def _happened_in_state(self, check: Check) -> bool:
        files = self._world.snapshot()
        group = f"must happen: {check.name}"
        key = hash(tuple(files.items()))
        return bool(self._answer(group, [check], key, asks=lambda: _happened(check, self._world.observe(files))))

    def outcome(self, history: History) -> str:
        """Return a digest of the content of the database and of the answers that clients were given."""
        told = sorted((event.client, event.call, event.kind, repr(event.value), event.error) for event in history)
        digest = hashlib.sha256(repr(told).encode())
        for part in self._world.content(self._world.snapshot()):
            digest.update(part)
        return digest.hexdigest()[:16]

    def _ask(self, group: str, checks: Sequence[Check], history: History | None) -> Broken | None:
        if not checks:
            return None
        files = self._world.snapshot()
        told = _told(history, ordered=self._scenario.ordered) if history is not None else None
        self.states.append(hash(tuple(files.items())))

        def first() -> Broken | None:
            db = self._world.observe(files)
            return first_broken(checks, *((db,) if history is None else (history, db)))

        return self._answer(group, checks, (self.states[-1], told), asks=first)  # type: ignore[no-any-return]

    def _answer(self, group: str, checks: Sequence[Check], key: object, *, asks: Callable[[], Any]) -> Any:
        if self._world.tells_time:
            # A rule may ask the server for the time, and the window does not see that: no answer outlives its moment.
            key = key, self._now
        return self._answers.get(group, checks, key, window=self._window, ask=asks, moment=self._now)

    def _window(self) -> Window:
        return Window.at(self._now, self._world.seen)


def _told(history: History, *, ordered: bool) -> object:
    """Return everything that a postcondition can see of *history*, as a value to compare."""
    return history.left_open, tuple(
        (
            event.kind,
            event.client,
            event.call,
            event.worker,
            event.now,
            event.operation,
            repr(event.arguments),
            repr(event.value),
            event.error,
            event.step if ordered else 0,
        )
        for event in history.events
    )


def asks_state(check: Check) -> bool:
    """Return whether *check*, a required event, looks at the shared state: such a check takes one argument."""
    return len(inspect.signature(check.holds).parameters) == 1


def _happened(check: Check, *arguments: Any) -> bool:
    try:
        return bool(ask(check, *arguments))
    except AssertionError:
        return False
