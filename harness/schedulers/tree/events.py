"""The events of an execution: its steps without vain attempts, and the operations that still wait at its end."""

from __future__ import annotations

from collections.abc import Sequence

from harness.coverage.pairs import operation
from harness.schedulers.tree.dependence import Race, is_event
from harness.values.history import Step

__all__ = ["causes_among_events", "pending_events", "shown"]


def causes_among_events(steps: Sequence[Step], causes: Sequence[int]) -> list[int]:
    """Return for each event among *steps* the number of the event that caused it, or -1."""
    events = (place for place, step in enumerate(steps) if is_event(step))
    numbers = {place: number for number, place in enumerate(events)}
    return [numbers.get(causes[place], -1) for place in numbers]


def pending_events(steps: Sequence[Step], causes: Sequence[int]) -> list[tuple[Step, int]]:
    """Return the operations that still wait at the end of *steps*, each with the number of the event that caused it, or -1."""
    last = {step.lane: place for place, step in enumerate(steps)}
    waiting = [place for place in sorted(last.values()) if steps[place].waited and not is_event(steps[place])]
    if not waiting:
        return []
    events = (place for place, step in enumerate(steps) if is_event(step))
    numbers = {place: number for number, place in enumerate(events)}
    return [(steps[place], numbers.get(causes[place], -1)) for place in waiting]


def shown(events: Sequence[Step], race: Race) -> tuple[str, str]:
    """Return the two operations in reversed order: a pair for which many choices were tried already can wait."""
    return operation(events[race.later]), operation(events[race.position])
