"""Untrusted data: JSON, with checked access by type and the place of each wrong part."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, NoReturn, TypeVar

from harness.values.plain import Plain

__all__ = ["Part", "Unsound", "parse"]

_T = TypeVar("_T")
_DEEPEST = 40
_INTEGERS = 2**63


class Unsound(Exception):
    """A part of the text is missing, or of the wrong type or value."""


def parse(data: bytes) -> Part:
    """Return the JSON value in *data*; raises ``Unsound``, also for text that only Python accepts as JSON."""
    try:
        text = data.decode("utf-8")
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_distinct)
    except UnicodeDecodeError:
        raise Unsound("it is not UTF-8 text") from None
    except RecursionError:
        raise Unsound("it is nested too deeply") from None
    except ValueError as error:
        raise Unsound(f"it is not JSON: {error}") from None
    return Part("", value)


def _no_constant(text: str) -> NoReturn:
    raise Unsound(f"it holds {text}, which is not a number")


def _finite(text: str) -> float:
    if not isfinite(number := float(text)):
        raise Unsound(f"it holds the number {text[:40]}, which is too large")
    return number


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) < len(pairs):
        raise Unsound(f"an object in it has a name twice: {', '.join(name for name, _ in pairs)[:200]}")
    return found


@dataclass(frozen=True, slots=True)
class Part:
    """A value in the text, and where it stands (empty for the whole). Each method raises ``Unsound``."""

    at: str
    value: Any

    def wrong(self, wanted: str) -> NoReturn:
        """Raise ``Unsound``: this part should be *wanted*."""
        shown = reprlib.repr(self.value)
        raise Unsound(f"{self.at or 'its content'} should be {wanted}, but is {shown}")

    def __getitem__(self, name: str) -> Part:
        if not isinstance(self.value, dict):
            self.wrong("an object")
        if name not in self.value:
            raise Unsound(f"{self.at or 'it'} has no {name!r}")
        return Part(f"{self.at}.{name}" if self.at else name, self.value[name])

    def get(self, name: str, default: Any) -> Part:
        """Return the part *name*, or *default* where there is none."""
        return self[name] if name in self.value else Part(name, default)

    def each(self, read: Callable[[Part], _T]) -> tuple[_T, ...]:
        """Return the entries of a list, each as *read* returns it."""
        if not isinstance(self.value, list):
            self.wrong("a list")
        return tuple(read(Part(f"{self.at}[{number}]", entry)) for number, entry in enumerate(self.value))

    def text(self, *allowed: str) -> str:
        """Return this text, one of *allowed* if any are given."""
        if not isinstance(self.value, str) or (allowed and self.value not in allowed):
            self.wrong(f"one of {', '.join(allowed)}" if allowed else "text")
        return self.value

    def integer(self, low: int = -_INTEGERS, high: int = _INTEGERS - 1) -> int:
        """Return this whole number, which lies between *low* and *high*."""
        if type(self.value) is not int or not low <= self.value <= high:
            self.wrong("a whole number" if low == -_INTEGERS else f"a whole number from {low} to {high}")
        return self.value

    def number(self) -> float:
        """Return this number."""
        if type(self.value) not in (int, float) or abs(self.value) > _INTEGERS:
            self.wrong("a number")
        return float(self.value)

    def flag(self) -> bool:
        """Return this bool."""
        if not isinstance(self.value, bool):
            self.wrong("true or false")
        return self.value

    def plain(self) -> Plain:
        """Return this plain data, which is not nested too deeply."""
        level: list[Any] = [self.value]
        for _ in range(_DEEPEST):
            level = [part for value in level for part in _parts(value)]
            if not level:
                return self.value
        raise Unsound(f"{self.at} is nested more than {_DEEPEST} levels deep")


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()
