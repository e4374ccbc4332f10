"""Checks a scenario's rules on the state and history of an uncontrolled run: turn by turn, and as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.control.rules.evaluation import ask, breaks
from harness.control.rules.observer import asks_state
from harness.scenario import Scenario
from harness.stress.result import Violation
from harness.values.history import Event, History

__all__ = ["happened", "outcomes", "violations"]


def violations(scenario: Scenario, turns: Sequence[Sequence[Event]], db: Path) -> tuple[Violation, ...]:
    """Return every rule that the answers of a turn in *turns*, or the final state of the database *db*, break.

    Rules about a change of the state (``transitions``) can't be checked, because the single changes were not observed.
    """
    found: dict[str, Violation] = {}
    for check in (*scenario.invariants, *scenario.at_end):
        if (broken := breaks(check, db)) is not None:
            found[broken[0]] = Violation(broken[0], 0, broken[1])
    for turn in turns:
        for rule, message in _broken_in(scenario, History(tuple(turn)), db):
            known = found.setdefault(rule, Violation(rule, 0, message))
            found[rule] = Violation(rule, known.turns + 1, known.message)
    return tuple(found.values())


def _broken_in(scenario: Scenario, history: History, db: Path) -> Iterable[tuple[str, str]]:
    for check in scenario.postconditions:
        if (broken := breaks(check, history, db)) is not None:
            yield broken
    for outcome in history.outcomes():
        if outcome.kind == "fail" and scenario.raising_fails and outcome.error not in scenario.expected_errors:
            said = f"{outcome.client}: {outcome.operation} raised {outcome.error}: {outcome.value}"
            yield "no unexpected exception", said


def happened(scenario: Scenario, turns: Sequence[Sequence[Event]], db: Path) -> dict[str, int]:
    """Return the number of turns in which each required event occurred; for events seen in the state, 1 if there at the end."""
    counts: Counter[str] = Counter({check.name: 0 for check in scenario.must_happen})
    for check in scenario.must_happen:
        if asks_state(check):
            counts[check.name] = int(bool(ask(check, db)))
        else:
            counts[check.name] = sum(bool(ask(check, History(tuple(turn)), ())) for turn in turns)
    return dict(counts)


def outcomes(turns: Sequence[Sequence[Event]]) -> dict[str, int]:
    """Return the number of calls that ended in each way: by the ``status`` in the call's value, or by its error."""
    ends = (event for turn in turns for event in turn if event.kind != "invoke")
    return dict(Counter(_ended(event) for event in ends).most_common())


def _ended(event: Event) -> str:
    if event.kind == "ok":
        status = event.value.get("status") if isinstance(event.value, dict) else None
        return f"status {status}" if isinstance(status, int) else "returned"
    return "client went away" if event.kind == "info" else event.error
