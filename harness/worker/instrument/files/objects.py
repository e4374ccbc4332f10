"""``open`` over shared files: Python's own buffers over a ``FileIO`` with schedule points at its reads and writes."""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Callable
from typing import Any, ClassVar

from harness.worker.instrument.files.opening import Files
from harness.worker.virtual.rebind import Replacement

__all__ = ["Raw", "replacements"]

_open, _FileIO = io.open, io.FileIO
_FLAGS = "rwax+"


class Raw(io.FileIO):
    """A file without buffer; each call of the system parks first."""

    files: ClassVar[Files]

    def __init__(
        self, file: Any, mode: str = "r", closefd: bool = True, opener: Any = None, *, shown: str = ""
    ) -> None:
        start = super().__init__
        path = None if isinstance(file, int) or opener is not None else self.files.shared.inside(file)
        if path is None or not _sound(mode.replace("b", "") + "b", 0, None, None, None):
            start(file, mode, closefd, opener)
            return
        creates = not mode.startswith("r")
        text = f"open {path} ({shown or mode})"
        self.files.open(text, path, creates, mode[:1] == "w", lambda: start(file, mode, closefd, opener))

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

    def seek(self, position: int, whence: int = 0, /) -> Any:
        """Go to *position*; to count from the end is to look at the file."""
        run = super().seek
        if whence in (io.SEEK_SET, io.SEEK_CUR):
            return run(position, whence)
        return self._do("seek", "r", lambda: run(position, whence))

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
    """Return the function that replaces ``open`` in a worker."""
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
        if not isinstance(file, int):
            # As the built-in does: what a file calls itself, and an error names, is the text, not the path object.
            file = os.fspath(file)
        flags = "".join(flag for flag in mode if flag in _FLAGS)

        raw = Raw(file, flags, closefd, opener, shown=mode)
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
    """Return the replacements for ``open`` and ``FileIO``."""
    ours = opener_of(files)
    return [
        Replacement(_open, ours, builtins, "open"),
        Replacement(_open, ours, io, "open"),
        Replacement(_FileIO, Raw, io, "FileIO"),
    ]
