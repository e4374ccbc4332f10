"""The terminal: its width, its colours, and the progress line that is rewritten in place."""

from __future__ import annotations

import json
import shutil
import sys
import time
from types import TracebackType

from harness.project import config
from harness.reports.text.terminal import one_line, shortened

__all__ = ["EXIT_CODES", "Ticker", "colour", "print_json", "width"]

EXIT_CODES = {"valid": 0, "invalid": 1, "unknown": 3}
_NARROWEST, _WIDEST = 40, 160


def width() -> int:
    """Return the width of output in columns: the terminal's, from 40 to 160, or 80 if there is no terminal."""
    return min(max(shutil.get_terminal_size((80, 24)).columns, _NARROWEST), _WIDEST)


def colour() -> bool:
    """Return whether to use colours on standard output."""
    return config.colourful(sys.stdout)


def print_json(value: object) -> None:
    """Print *value* as JSON that any parser accepts: one value, finite numbers only, ASCII."""
    print(json.dumps(value, indent=1, allow_nan=False))


class Ticker:
    """A progress line on standard error, rewritten in place; prints nothing if standard error is not a terminal.

    Use it as a context manager: the line is removed at the end.
    """

    def __init__(self, every: float = 0.1) -> None:
        self.live = sys.stderr.isatty()
        self._every, self._last = every, 0.0

    def __enter__(self) -> Ticker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def show(self, text: str) -> None:
        """Show *text* in place of the current line, at most once in *every* seconds (ten times a second by default)."""
        now = time.monotonic()
        if self.live and now - self._last >= self._every:
            self._last = now
            sys.stderr.write(f"\r\x1b[K{shortened(one_line(text), width() - 1)}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Remove the line."""
        if self.live and self._last:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._last = 0.0
