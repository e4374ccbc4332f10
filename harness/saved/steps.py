"""Steps and events as plain data in a file, and back; read back, every field is checked."""

from __future__ import annotations

import re
from typing import Any

from harness.saved.untrusted import Part
from harness.values.history import Access, Event, Source, Step
from harness.values.names import Choice

__all__ = ["event_as_data", "event_of", "step_as_data", "step_of"]

_CHOICE = re.compile(r"w[0-9]{1,3}:[^\s*!]+|![^\s*!:]+:[^\s*!]+")
_EXTRA = 2
"""Processes beside the workers: that of the clients, and the one that is probed."""
_EVENTS = ("invoke", "ok", "fail", "info")
_FLAGS = ("waited", "resumed", "gave_up", "preempts")


def step_as_data(step: Step) -> dict[str, Any]:
    """Return *step* with its digest, without the flags it does not have."""
    source = step.source
    return {
        "digest": step.digest,
        "choice": step.choice,
        "worker": step.worker,
        "lane": step.lane,
        "kind": step.kind,
        "text": step.text,
        "detail": step.detail,
        "source": source._asdict() if source else None,
        "now": step.now,
        "accesses": [f"{access.mode} {access.resource}" for access in step.accesses],
        **{flag: True for flag in _FLAGS if getattr(step, flag)},
        **({"error": step.error} if step.error else {}),
    }


def event_as_data(event: Event) -> dict[str, Any]:
    """Return *event* as plain data."""
    return {
        "kind": event.kind,
        "client": event.client,
        "call": event.call,
        "worker": event.worker,
        "operation": event.operation,
        "arguments": list(event.arguments),
        "step": event.step,
        "now": event.now,
        "value": event.value,
        "error": event.error,
    }


def step_of(part: Part, workers: int) -> Step:
    """Return the step in *part*, one of *workers* workers; raises ``Unsound``."""
    choice = part["choice"].text()
    worker = part["worker"].integer(-1, workers - 1 + _EXTRA)
    if _CHOICE.fullmatch(choice) is None or Choice(choice).worker != worker:
        part["choice"].wrong(f"a choice of worker {worker}, such as w{worker}:c0")
    step = Step(
        choice=choice,
        worker=worker,
        lane=part["lane"].text(),
        kind=part["kind"].text(),
        text=part["text"].text(),
        detail=part["detail"].text(),
        source=_source(part["source"]),
        now=part["now"].number(),
        accesses=part["accesses"].each(_access),
        **{flag: part.get(flag, False).flag() for flag in _FLAGS},
        error=part.get("error", "").text(),
    )
    if part["digest"].text() != step.digest:
        part["digest"].wrong("what the step says")
    return step


def _source(part: Part) -> Source | None:
    if part.value is None:
        return None
    return Source(part["file"].text(), part["line"].integer(0), part["function"].text(), part.get("caller", "").text())


def _access(part: Part) -> Access:
    mode, _, resource = part.text().partition(" ")
    if mode not in ("r", "w", "a", "i", "o"):
        part.wrong("a mode (r, w, a, i or o) and a resource")
    return Access(resource, mode)


def event_of(part: Part, workers: int, steps: int) -> Event:
    """Return the event in *part*, of *workers* workers and so many *steps*; raises ``Unsound``."""
    return Event(
        kind=part["kind"].text(*_EVENTS),
        client=part["client"].text(),
        call=part["call"].integer(0),
        worker=part["worker"].integer(0, workers - 1 + _EXTRA),
        operation=part["operation"].text(),
        arguments=part["arguments"].each(Part.plain),
        step=part["step"].integer(0, steps),
        now=part["now"].number(),
        value=part["value"].plain(),
        error=part["error"].text(),
    )
