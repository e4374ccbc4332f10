"""The prelude of a random program: it notes the value of each statement, and goes on after an error."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Literal

__all__ = ["Told"]

_PLAIN = (type(None), bool, int, float, str, bytes)
_FOLDERS = re.compile(r"(/[\w.-]+)+/world/")
"""The directory that the workers share has another name in each run."""


class Told:
    """The values that the statements of one thread or task gave, in their order, as plain data.

    ``with told: told(E)`` notes the value of E, or the exception that it raised, which goes no further. Objects with an
    identity of their own (cursors, files) are noted by their type alone.
    """

    pause: Callable[[], None] | None = None
    """Called before each statement of a real run: a random delay."""

    def __init__(self) -> None:
        self.notes: list[Any] = []

    def __call__(self, value: object) -> None:
        """Note *value*."""
        self.notes.append(_noted(value))

    def __enter__(self) -> None:
        if Told.pause is not None:
            Told.pause()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> Literal[False] | bool:
        if not isinstance(error, Exception):
            return False
        self.notes.append(f"!{type(error).__name__}: {_FOLDERS.sub('', str(error))}")
        return True

    def threads(self, *bodies: Callable[[Told], Any]) -> list[Any]:
        """Run each of *bodies* in a thread of its own, wait for all, and return the notes of each."""
        tolds = [Told() for _ in bodies]
        threads = [
            threading.Thread(target=body, args=(told,), daemon=True) for body, told in zip(bodies, tolds, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [told.notes for told in tolds]

    async def tasks(self, *bodies: Callable[[Told], Awaitable[Any]]) -> list[Any]:
        """Run each of *bodies* in a task of its own, wait for all, and return the notes of each."""
        tolds = [Told() for _ in bodies]
        await asyncio.gather(*(body(told) for body, told in zip(bodies, tolds, strict=True)))
        return [told.notes for told in tolds]


def _noted(value: object) -> Any:
    if isinstance(value, bytes):
        return f"b:{value.decode('latin-1')}"
    if isinstance(value, str):
        return _FOLDERS.sub("", value)
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, (list, tuple)):
        return [_noted(part) for part in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(_noted, value), key=repr)
    return f"<{type(value).__name__}>"
