"""An explanation as plain data in a file, and back; read back, every field is checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from harness.errors import BadInput
from harness.saved.steps import step_as_data, step_of
from harness.saved.untrusted import Part
from harness.values.explanation import Conflict, Exchange, Explanation, FaultRole, Named, Place, Window
from harness.values.schedule import Schedule

__all__ = ["explanation_as_data", "explanation_of"]

_T = TypeVar("_T")
_OUTCOMES = ("fails", "passes", "impossible")
_COUNTS = ("neighbours", "failing", "otherwise", "executions", "run_executions", "run_failures")


def explanation_as_data(why: Explanation) -> dict[str, Any]:
    """Return *why* as plain data, steps of neighbouring executions included, without the time it took."""
    return {
        "windows": [_window_as_data(window) for window in why.windows],
        "faults": [_role_as_data(role) for role in why.faults],
        "overlap": why.overlap,
        "cut_short": why.cut_short,
        "alone": why.alone,
        "repeats": [_named_as_data(each) for each in why.repeats],
        **{name: getattr(why, name) for name in _COUNTS},
    }


def _window_as_data(window: Window) -> dict[str, Any]:
    return {
        "at": window.at,
        "preempts": window.preempts,
        **{name: _named_as_data(getattr(window, name)) for name in ("opens", "closes", "intruding")},
        "places": _places_as_data(window.places),
        **{name: _exchange_as_data(getattr(window, name)) for name in ("opening", "closing")},
    }


def _role_as_data(role: FaultRole) -> dict[str, Any]:
    return {
        "at": role.at,
        "essential": role.essential,
        "after": _named_as_data(role.after),
        "before": _named_as_data(role.before),
        "places": _places_as_data(role.places),
        "instead": role.instead,
    }


def _named_as_data(found: Named | None) -> dict[str, Any] | None:
    if found is None:
        return None
    statement = step_as_data(found.statement) if found.statement is not None else None
    return {"step": step_as_data(found.step), "number": found.number, "statement": statement}


def _places_as_data(places: Sequence[Place]) -> list[dict[str, Any]]:
    return [place._asdict() for place in places]


def _exchange_as_data(pair: Exchange | None) -> dict[str, Any] | None:
    if pair is None:
        return None
    return {
        "first": _named_as_data(pair.first),
        "second": _named_as_data(pair.second),
        "conflicts": [conflict._asdict() for conflict in pair.conflicts],
        "failing": str(pair.failing),
        "passing": str(pair.passing),
        "common": pair.common,
    }


def explanation_of(part: Part, workers: int, steps: int) -> Explanation:
    """Return the explanation in *part* of a counterexample of *workers* workers and so many *steps*; raises ``Unsound``."""
    return _Reader(workers, steps).explanation(part)


class _Reader:
    """Reads one explanation; knows which workers and steps there are."""

    def __init__(self, workers: int, steps: int) -> None:
        self._workers, self._steps = workers, steps

    def explanation(self, part: Part) -> Explanation:
        return Explanation(
            windows=part["windows"].each(self._window),
            faults=part["faults"].each(self._role),
            overlap=part["overlap"].flag(),
            seconds=0.0,
            cut_short=part["cut_short"].text(),
            alone=_optional(part.get("alone", None), Part.flag),
            repeats=part.get("repeats", []).each(self._repeated),
            **{name: part[name].integer(0) for name in _COUNTS},
        )

    def _window(self, part: Part) -> Window:
        return Window(
            at=self._number(part["at"]),
            preempts=part["preempts"].flag(),
            opens=_optional(part["opens"], self._named),
            closes=_optional(part["closes"], self._named),
            intruding=_optional(part["intruding"], self._named),
            places=part["places"].each(_place),
            opening=_optional(part["opening"], self._exchange),
            closing=_optional(part["closing"], self._exchange),
        )

    def _role(self, part: Part) -> FaultRole:
        return FaultRole(
            at=self._number(part["at"]),
            essential=_optional(part["essential"], Part.flag),
            after=_optional(part["after"], self._named),
            before=_optional(part["before"], self._named),
            places=part["places"].each(_place),
            instead=part["instead"].text(),
        )

    def _named(self, part: Part) -> Named:
        return Named(
            step_of(part["step"], self._workers),
            _optional(part["number"], self._number),
            _optional(part["statement"], lambda statement: step_of(statement, self._workers)),
        )

    def _repeated(self, part: Part) -> Named:
        found = self._named(part)
        if found.number is None:
            part["number"].wrong("the number of a step")
        return found

    def _exchange(self, part: Part) -> Exchange:
        if not part["conflicts"].each(_conflict):
            part["conflicts"].wrong("where the two steps meet, which is one resource at least")
        return Exchange(
            first=self._named(part["first"]),
            second=self._named(part["second"]),
            conflicts=part["conflicts"].each(_conflict),
            failing=_schedule(part["failing"]),
            passing=_schedule(part["passing"]),
            common=part["common"].integer(0),
        )

    def _number(self, part: Part) -> int:
        return part.integer(0, self._steps - 1)


def _optional(part: Part, read: Callable[[Part], _T]) -> _T | None:
    return None if part.value is None else read(part)


def _place(part: Part) -> Place:
    return Place(part["by"].integer(), part["outcome"].text(*_OUTCOMES))


def _conflict(part: Part) -> Conflict:
    return Conflict(*(part[name].text() for name in Conflict._fields))


def _schedule(part: Part) -> Schedule:
    try:
        return Schedule.parse(part.text())
    except BadInput:
        part.wrong("a schedule, such as w0:c0*2 w1:c1")
