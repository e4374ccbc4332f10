"""``open`` over files that workers share: Python's own buffers over a ``FileIO`` whose reads and writes are schedule points."""

from __future__ import annotations

import builtins
import io
from collections.abc import Callable
from typing import Any, ClassVar

from harness.worker.instrument.files import Files
from harness.worker.rebind import Replacement

__all__ = ["Raw", "replacements"]

_open = io.open
_FLAGS = "rwax+"


class Raw(io.FileIO):
    """A file without buffer; each call of the system parks first."""

    files: ClassVar[Files]

    def _do(self, text: str, mode: str, run: Callable[[], Any]) -> Any:
        return run() if self.closed else self.files.on_descriptor(text, self.fileno(), mode, run)

    def read(self, size: int | None = -1, /) -> Any:
        """Read up to *size* bytes."""
        run = super().read
        return self._do("read", "r", lambda: run(-1 if size is None else size))

    def readall(self) -> Any:
        """Read to the end."""
        run = super().readall
        return self._do("read", "r", run)

    def readinto(self, buffer: Any, /) -> Any:
        """Read into *buffer*."""
        run = super().readinto
        return self._do("read", "r", lambda: run(buffer))

    def write(self, data: Any, /) -> Any:
        """Write *data*."""
        run = super().write
        return self._do("write", "w", lambda: run(data))

    def truncate(self, size: int | None = None, /) -> Any:
        """Cut the file at *size*."""
        run = super().truncate
        return self._do("truncate", "w", lambda: run(size))

    def close(self) -> None:
        """Close; a schedule point where that lets a lock go."""
        run = super().close
        if self.closed or not self.closefd:
            run()
        else:
            self.files.close(self.fileno(), run)


def opener_of(files: Files) -> Callable[..., Any]:
    """Return what stands in the place of ``open`` in a worker."""
    Raw.files = files

    def open(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Callable[[str, int], int] | None = None,
    ) -> Any:
        """Open *file* as the built-in does."""
        path = files.shared.inside(file)
        if path is None or not _sound(mode, buffering, encoding, errors, newline):
            return _open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        flags = "".join(flag for flag in mode if flag in _FLAGS)

        def begin() -> Raw:
            return Raw(file, flags, closefd, opener)

        if isinstance(file, int) or opener is not None:
            raw = begin()
        else:
            creates, truncates = flags[0] in "wax", flags[0] == "w"
            raw = files.open(f"open {path} ({mode})", path, creates, truncates, begin)
        try:
            return _dressed(raw, mode, buffering, encoding, errors, newline)
        except BaseException:
            raw.close()
            raise

    return open


def _sound(mode: Any, buffering: Any, encoding: str | None, errors: str | None, newline: str | None) -> bool:
    """Whether the built-in would take these arguments; if not, it is left to say why."""
    if not isinstance(mode, str) or not isinstance(buffering, int):
        return False
    binary = "b" in mode
    one = sum(flag in mode for flag in "rwax") == 1 and len(set(mode)) == len(mode) and not set(mode) - set("rwax+bt")
    text_only = encoding is not None or errors is not None or newline is not None
    return one and not (binary and ("t" in mode or text_only)) and (buffering != 0 or binary)


def _dressed(raw: Raw, mode: str, buffering: int, encoding: str | None, errors: str | None, newline: str | None) -> Any:
    """Return *raw* under the buffers that the built-in would put over it (as CPython's ``_pyio.open`` says)."""
    if buffering == 0:
        return raw
    size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
    kind: Any = io.BufferedRandom if "+" in mode else io.BufferedReader if "r" in mode else io.BufferedWriter
    buffer = kind(raw, size)
    if "b" in mode:
        return buffer
    text = io.TextIOWrapper(buffer, io.text_encoding(encoding), errors, newline, line_buffering=buffering == 1)
    text.mode = mode  # type: ignore[misc]
    return text


def replacements(files: Files) -> list[Replacement]:
    """Return what puts it in the place of ``open``."""
    ours = opener_of(files)
    return [Replacement(_open, ours, builtins, "open"), Replacement(_open, ours, io, "open")]
