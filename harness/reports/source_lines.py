"""Source lines of a race: the lines of its window, each with its role."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from harness.reports.text.why import sentences
from harness.saved.counterexample import Counterexample
from harness.values.explanation import Named

__all__ = ["Mark", "marks", "message_of", "relative"]

_ROLES = {"opens": "the window opens", "intruding": "what came between", "closes": "the window closes"}


@dataclass(frozen=True, slots=True)
class Mark:
    """A line of the code under test. ``role`` is its role in the race, ``step`` the number of the step on that line."""

    file: str
    line: int
    role: str
    text: str
    step: int | None = None


def marks(found: Counterexample) -> tuple[Mark, ...]:
    """Return the source lines of the race windows of *found*, the intruding step first; each line once.

    If there is no explanation, or it names no line, return the line of the step after which the rule was broken, or of
    the last step before it that has a line.
    """
    unique: dict[tuple[str, int], Mark] = {}
    for mark in _of_windows(found):
        unique.setdefault((mark.file, mark.line), mark)
    if not unique:
        last = found.failure.step if 0 <= found.failure.step < len(found.steps) else len(found.steps) - 1
        for number in range(last, -1, -1):
            end = _mark(Named(found.steps[number], number), "after this step the rule is broken")
            if end is not None:
                return (end,)
    return tuple(unique.values())


def _of_windows(found: Counterexample) -> Iterator[Mark]:
    if found.explanation is None:
        return
    for window in found.explanation.windows:
        for role in ("intruding", "opens", "closes"):
            if (mark := _mark(getattr(window, role), _ROLES[role])) is not None:
                yield mark
    for fault in found.explanation.faults:
        for named, role in ((fault.after, "the fault comes after this"), (fault.before, "the fault comes before this")):
            if (mark := _mark(named, role)) is not None:
                yield mark


def _mark(named: Named | None, role: str) -> Mark | None:
    if named is None or named.number is None or named.step.source is None:
        return None
    source, step = named.step.source, named.step
    return Mark(source.file, source.line, role, " ".join(f"{step.kind} {step.text}".split()), named.number)


def message_of(found: Counterexample) -> str:
    """Return a sentence or two: the rule that broke, its message, and the first sentence of the explanation."""
    failure = found.failure
    rule = f"{failure.kind} '{failure.rule}'" if failure.rule else failure.kind
    first = sentences(found.explanation, found)[:1] if found.explanation is not None else []
    said = f"Broken: {rule}: {failure.message}"
    return " ".join([said if said.endswith((".", "!")) else f"{said}.", *first])


def relative(file: str, root: str) -> str:
    """Return *file* relative to the folder *root*, with slashes; unchanged if it is not below *root*."""
    path = os.path.relpath(file, root)
    return file if path.startswith("..") else path.replace(os.sep, "/")
