"""Steps made by hand."""

from __future__ import annotations

from typing import Any

from harness.values.history import Access, Step
from harness.values.names import Choice

__all__ = ["step"]


def step(choice: str, text: str = "", *accesses: str, kind: str = "sql", now: float = 0.0, **more: Any) -> Step:
    """Return a step of the task that *choice* names, with accesses such as ``"w data"``."""
    return Step(
        choice=choice,
        worker=Choice(choice).worker,
        lane=choice.partition(":")[2].partition("+")[0],
        kind=kind,
        text=text,
        detail="",
        source=None,
        now=now,
        accesses=tuple(Access(resource, mode) for mode, resource in (access.split(" ", 1) for access in accesses)),
        **more,
    )
