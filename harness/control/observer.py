"""Asks the scenario's checks about the shared state, on a copy of it, and remembers the answers by content."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.control.world import World
from harness.epoch import EPOCH
from harness.history import History, Step
from harness.scenario import Change, Check, Scenario

__all__ = ["Broken", "Observer"]

Broken = tuple[str, str]
"""The name of a broken rule and what it says."""

_REMEMBERED = 20_000


class Observer:
    """Checks invariants and postconditions from outside the workers.

    A check looks at a copy of the files, so it takes no lock that the code under test could meet. Equal content
    gives the equal answer, so each content is asked about once.
    """

    def __init__(self, world: World, scenario: Scenario) -> None:
        self._world, self._scenario = world, scenario
        self.states: list[int] = []
        self._known: dict[object, Broken | None] = {}
        self._seen: dict[object, bool] = {}
        self._before: dict[str, bytes] = {}
        self._notes: dict[str, str] = {}
        self._changes: dict[object, tuple[Broken | None, dict[str, str]]] = {}

    @property
    def memory(self) -> tuple[tuple[str, str], ...]:
        """What rules about changes have noted so far."""
        return tuple(sorted(self._notes.items()))

    def begin(self) -> None:
        """Take the state as it is for the one from which an execution begins; ``states`` are what rules look at from now on."""
        self.states = []
        if self._scenario.transitions:
            self._before = self._world.snapshot()
            self._notes = {}

    def invariants(self, now: float, lane: str) -> Broken | None:
        """Return the first invariant that the shared state breaks, or rule that its last change did.

        *now* is virtual time, *lane* whose step it was.
        """
        broken = self._ask("invariants", self._scenario.invariants, None)
        return self._changed(now, lane) if broken is None and self._scenario.transitions else broken

    def _changed(self, now: float, lane: str) -> Broken | None:
        before, files = self._before, self._world.snapshot()
        if files == before:
            return None
        self._before = files
        known = tuple(sorted(self._notes.items()))
        self.states.append(hash(tuple(files.items())))
        key = hash(tuple(before.items())), self.states[-1], now, lane, known
        if key not in self._changes:
            if len(self._changes) > _REMEMBERED:
                self._changes.clear()
            change = Change(EPOCH + now, lane, dict(self._notes))
            places = self._world.observe(before, earlier=True), self._world.observe(files)
            self._changes[key] = first_broken(self._scenario.transitions, *places, change), change.notes
        broken, notes = self._changes[key]
        self._notes = dict(notes)
        return broken

    def _forget_some(self) -> None:
        if len(self._known) > _REMEMBERED:
            self._known.clear()

    def at_end(self) -> Broken | None:
        """Return the first rule for the end that the shared state breaks."""
        return self._ask("at end", self._scenario.at_end, None)

    def told(self, history: History) -> Broken | None:
        """Return the first rule that is broken by what the clients were told, given the shared state."""
        return self._ask("postconditions", self._scenario.postconditions, history)

    def happened(self, history: History, steps: Sequence[Step], whole: bool) -> tuple[str, ...]:
        """Return the names of the things that must happen in a run and did in this execution.

        Where that was not *whole* but given up as redundant, the state at its end is nobody's.
        """
        return tuple(check.name for check in self._scenario.must_happen if self._holds(check, history, steps, whole))

    def _holds(self, check: Check, history: History, steps: Sequence[Step], whole: bool) -> bool:
        if not asks_state(check):
            return bool(check.holds(history, steps))
        if not whole:
            return False
        files = self._world.snapshot()
        key = check.name, hash(tuple(files.items()))
        if key not in self._seen:
            self._seen[key] = bool(check.holds(self._world.observe(files)))
        return self._seen[key]

    def outcome(self, history: History) -> str:
        """Return a digest of the content of the database and of what the clients were told."""
        told = sorted((event.client, event.call, event.kind, repr(event.value), event.error) for event in history)
        digest = hashlib.sha256(repr(told).encode())
        for part in self._world.content(self._world.snapshot()):
            digest.update(part)
        return digest.hexdigest()[:16]

    def _ask(self, group: str, checks: Sequence[Check], history: History | None) -> Broken | None:
        if not checks:
            return None
        files = self._world.snapshot()
        told = _told(history, self._scenario.ordered) if history is not None else None
        self.states.append(hash(tuple(files.items())))
        key = group, self.states[-1], told
        if key not in self._known:
            self._forget_some()
            db = self._world.observe(files)
            self._known[key] = first_broken(checks, *((db,) if history is None else (history, db)))
        return self._known[key]


def _told(history: History, ordered: bool) -> object:
    """Return what a postcondition can see of *history*, in a form to compare."""
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
    """Return whether *check*, of what must happen, looks at the shared state: then it takes one argument."""
    return len(inspect.signature(check.holds).parameters) == 1


def first_broken(checks: Sequence[Check], *arguments: History | Path | Change) -> Broken | None:
    """Return the first of *checks* that is broken, and how."""
    return next((broken for check in checks if (broken := breaks(check, *arguments)) is not None), None)


def breaks(check: Check, *arguments: History | Path | Change) -> Broken | None:
    """Ask *check*; return its name and message where it is broken, None where it holds.

    A check that raises anything but ``AssertionError`` has not held: its error is the message.
    """
    holds: Callable[..., object] = check.holds
    try:
        answer = holds(*arguments)
    except AssertionError as error:
        message = str(error) or "the assertion failed"
        for folder in {argument.parent for argument in arguments if isinstance(argument, Path)}:
            # Where the copy lies says nothing, and is somewhere else in each run.
            message = message.replace(f"{folder}/", "")
        return check.name, message
    except (Exception, SystemExit) as error:
        return check.name, f"the check itself raised {type(error).__name__}: {error}"
    if answer is False:
        return check.name, "it returned False"
    return None
