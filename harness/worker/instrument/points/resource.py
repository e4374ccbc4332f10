"""Declared schedule points as a resource."""

from __future__ import annotations

from collections.abc import Sequence

from harness.points import Point
from harness.worker.instrument.points import declared
from harness.worker.instrument.resource import Resource
from harness.worker.runtime import Runtime
from harness.worker.virtual.rebind import Replacement

__all__ = ["DeclaredPoints"]


class DeclaredPoints(Resource):
    """The points of a scenario, each around one function or method."""

    def __init__(self, runtime: Runtime, points: Sequence[Point]) -> None:
        self._runtime, self._points = runtime, points

    def replacements(self) -> list[Replacement]:
        """Return one for each point."""
        return declared.replacements(self._points, self._runtime)
