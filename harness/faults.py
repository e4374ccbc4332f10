"""Which faults a schedule may inject, as a value: part of a scenario."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.errors import BadInput

__all__ = ["ERRORS", "NONE", "Faults"]

ERRORS = ("busy", "full", "io")
"""The errors that a statement can be made to end with: database locked, disk full, disk I/O error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """The faults that can be injected into one execution of a scenario, at any schedule point.

    - ``most``: how many faults one execution has at most, of all kinds together.
    - ``kill``: a worker is killed with SIGKILL; a fresh one takes its place.
    - ``cancel``: a call (or a request being served) is cancelled, either before what it waits for has run or after,
      with the result lost.
    - ``errors``: a statement ends with one of ``ERRORS`` instead of running.
    - ``jumps``: the clock jumps by one of these numbers of seconds, as when a machine is suspended or a process is starved.
    - ``lose``: a request or an answer on its way is lost.
    - ``duplicate``: a request is delivered twice.

    Raises ``BadInput`` for an unknown error or a jump that is no positive number.
    """

    most: int = 2
    kill: bool = False
    cancel: bool = False
    errors: tuple[str, ...] = ()
    jumps: tuple[float, ...] = ()
    lose: bool = False
    duplicate: bool = False

    def __post_init__(self) -> None:
        if self.most < 0:
            raise BadInput(f"A budget of {self.most} faults makes no sense: give 0 or more.")
        for error in self.errors:
            if error not in ERRORS:
                raise BadInput(f"A statement can't be made to end with {error!r}: it is one of {', '.join(ERRORS)}.")
        for jump in self.jumps:
            if not (jump > 0 and math.isfinite(jump)):
                raise BadInput(f"The clock can't jump by {jump} seconds: give a number above 0.")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of step that these faults make, none where there is no budget."""
        named = [name for name in ("kill", "cancel", "lose", "duplicate") if getattr(self, name)]
        return (*named, *self.errors, *(("clock",) if self.jumps else ())) if self.most else ()


NONE = Faults(most=0)
"""No fault at all."""
