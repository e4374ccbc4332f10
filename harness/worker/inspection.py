"""Answers inspections of a worker while the schedule stands still: its tasks' stacks, their variables, the tables they see."""

from __future__ import annotations

import io
import pdb
import reprlib
import sys
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

from harness.boundary import messages
from harness.boundary.wire import Message
from harness.worker.runtime import Runtime
from harness.worker.source import is_outermost, is_under_test

__all__ = ["Looking"]

_TEXT, _LOCALS, _FRAMES = 200, 60, 40

Frame = tuple[str, int, str, list[tuple[str, str]]]
"""The file, line and function of a frame, and its variables: pairs of a name and the value as text."""


def _text(raw: io.RawIOBase | io.FileIO, mode: str) -> io.TextIOWrapper:
    buffer: Any = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, write_through=True)


class Looking:
    """Answers the order ``look``. *tables* returns the tables that open connections see, with cells as text."""

    def __init__(self, runtime: Runtime, tables: Callable[[Callable[[Any], str]], Iterable[Message]]) -> None:
        self._runtime, self._tables = runtime, tables
        self._repr = reprlib.Repr()
        self._repr.maxstring = self._repr.maxother = _TEXT

    def look(self, what: str) -> list[Message]:
        """Return messages about the tasks' stacks (``frames``) or about the tables that each connection sees (``tables``).

        For ``debug LANE TERMINAL`` the debugger runs, and the only message says whether it found the task.
        """
        if what.startswith("debug "):
            _, lane, terminal = what.split(" ", 2)
            return [messages.debugged(self._debug(lane, terminal))]
        return list(self._frames()) if what == "frames" else list(self._tables(self._text))

    def _debug(self, lane: str, terminal: str) -> bool:
        """Run ``pdb`` at *terminal* on the frames of the task in *lane*, until its user continues.

        Returns False, and runs nothing, if the task has no frame of the code under test.
        """
        frame = self._frame_of(lane)
        if frame is None:
            return False
        with open(terminal, "r+b", buffering=0) as raw, _text(raw, "r") as typed, _text(raw, "w") as shown:
            debugger = pdb.Pdb(stdin=typed, stdout=shown, nosigint=True, readrc=False)
            debugger.use_rawinput = False
            debugger.reset()
            debugger.interaction(frame, None)
        return True

    def _frame_of(self, lane: str) -> FrameType | None:
        """Return the innermost frame of the code under test in *lane*: of its thread, else of its coroutine, else None."""
        running = sys._current_frames()
        for ident, strand in self._runtime.strands.items():
            frame = running.get(ident) if self._runtime.lane_of(strand) == lane else None
            while frame is not None and not is_outermost(frame.f_code):
                if is_under_test(frame.f_code):
                    return frame
                frame = frame.f_back
        found = None
        for coroutine in (task for name, task in self._runtime.tasks() if name == lane):
            while coroutine is not None:
                frame = getattr(coroutine, "cr_frame", None)
                found = frame if frame is not None and is_under_test(frame.f_code) else found
                coroutine = getattr(coroutine, "cr_await", None)
        return found

    def _frames(self) -> Iterator[Message]:
        running = sys._current_frames()
        for ident, strand in self._runtime.strands.items():
            if found := self._of_stack(running.get(ident)):
                yield messages.frames(strand.lane or self._runtime.lane_of(strand), found)
        for lane, coroutine in self._runtime.tasks():
            if found := self._of_coroutine(coroutine):
                yield messages.frames(lane, found)

    def _of_stack(self, frame: FrameType | None) -> list[Frame]:
        found: list[Frame] = []
        while frame is not None and len(found) < _FRAMES and not is_outermost(frame.f_code):
            if is_under_test(frame.f_code):
                found.append(self._shown(frame))
            frame = frame.f_back
        return found

    def _of_coroutine(self, coroutine: Any) -> list[Frame]:
        found: list[Frame] = []
        while coroutine is not None and len(found) < _FRAMES:
            frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
            if frame is not None and is_under_test(frame.f_code):
                found.insert(0, self._shown(frame))
            coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
        return found

    def _shown(self, frame: FrameType) -> Frame:
        variables = [(name, self._text(value)) for name, value in frame.f_locals.items() if not name.startswith("__")]
        return frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname, variables[:_LOCALS]

    def _text(self, value: Any) -> str:
        try:
            text = self._repr.repr(value)
        except Exception as error:
            text = f"<its repr raised {type(error).__name__}>"
        return text if len(text) <= _TEXT else text[:_TEXT] + "..."
