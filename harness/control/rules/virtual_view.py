"""Shows rules the virtual clocks while they are evaluated, and notes whether they look elsewhere than at the state.

In place while a rule runs, also for the threads that it starts; threads that were there before see real time.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Any

from harness.boundary.epoch import EPOCH
from harness.boundary.patched_clocks import clocks, tell_datetimes, with_change_of_status
from harness.boundary.patching import InPlace
from harness.control.rules.sqlite_clock import SqliteClock

__all__ = ["Window", "real_monotonic"]

_EPOCH_NS = int(EPOCH) * 1_000_000_000
_READING_NS = 1_000
_CODE = (".py", ".pyc", ".pyi", ".so", ".pth", ".zip")
_SURE = frozenset(
    (
        "socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname",
        "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.putenv", "os.unsetenv",
        "shutil.copyfile", "pty.spawn", "ctypes.dlopen",
    )
)  # fmt: skip
"""Audit events of actions that reach something else than files."""
_PATHS = frozenset(
    (
        "open", "os.listdir", "os.scandir", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.utime",
        "os.chmod", "os.link", "os.symlink", "os.getxattr", "os.listxattr", "sqlite3.connect",
    )
)  # fmt: skip
"""Audit events whose first argument is a path."""
_LOOKS = ("stat", "lstat", "access", "readlink")
"""Functions of ``os`` that look at a path and raise no audit event."""


class Window:
    """A context in which rules see virtual clocks. Each process uses only one, ``Window.only``.

    ``clock`` says that a clock was read in it, ``elsewhere`` that a rule looked at something else than the state.
    """

    only: Window | None = None

    def __init__(self) -> None:
        self.clock = self.elsewhere = False
        self._now_ns = self._readings = self._began = 0
        self._inside: tuple[str, ...] = ()
        self._others: frozenset[int] = frozenset()
        self._watching = False
        self._placed = [*clocks(self), *(self._looking(name) for name in _LOOKS)]
        self._real = {entry.name: entry.real for entry in self._placed}
        self._sqlite = SqliteClock(self.wall_ns)
        self._code = tuple({os.path.realpath(path) for path in (sys.prefix, sys.base_prefix, *_libraries())})
        sys.addaudithook(self._heard)

    @classmethod
    def at(cls, now: float, inside: tuple[str, ...]) -> Window:
        """Return this process' window, set to virtual seconds *now* and to rules that look *inside* these folders."""
        if cls.only is None:
            cls.only = cls()
        window = cls.only
        window._now_ns, window._inside = int(now * 1e9), inside
        return window

    def __enter__(self) -> Window:
        self.clock = self.elsewhere = False
        self._readings, self._began = 0, self._real["monotonic_ns"]()
        self._others = _other_threads() if len(sys._current_frames()) > 1 else frozenset()
        for entry in self._placed:
            entry.put()
        tell_datetimes(self)
        self._sqlite.put()
        self._watching = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watching = False
        self._sqlite.take_back()
        tell_datetimes(None)
        for entry in self._placed:
            entry.take_back()

    # The clocks

    def wall_ns(self) -> int:
        """See ``Teller``; each reading is a microsecond after the one before it."""
        if self._others and threading.get_native_id() in self._others:
            return int(self._real["time_ns"]())
        self.clock = True
        self._readings += _READING_NS
        return _EPOCH_NS + self._now_ns + self._readings

    def since_ns(self) -> int:
        """See ``Teller``; this clock runs on with real time, so that a wait with a time-out in a rule ends."""
        real = int(self._real["monotonic_ns"]())
        if self._others and threading.get_native_id() in self._others:
            return real
        self.clock = True
        return self._now_ns + real - self._began

    # Where rules look

    def _looking(self, name: str) -> InPlace:
        def look(path: Any, *args: Any, **options: Any) -> Any:
            inside = self._is_inside(path)
            if self._watching and not inside and not _imports(sys._getframe(1)):
                self.elsewhere = True
            found = made.real(path, *args, **options)
            return with_change_of_status(found) if inside and isinstance(found, os.stat_result) else found

        made = InPlace(getattr(os, name), look)
        return made

    def _heard(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._watching or (self._others and threading.get_native_id() in self._others):
            return
        known = event not in _SURE and not (event in _PATHS and args and not self._is_inside(args[0]))
        if not known and not _imports(sys._getframe(1)):
            self.elsewhere = True

    def _is_inside(self, path: Any) -> bool:
        """Return whether *path* is in the copy of the state, or is code, which the code under test does not change."""
        if isinstance(path, int) or path is None:
            return True
        text = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
        if text in ("", ":memory:") or text.endswith(_CODE):
            return True
        text = text.removeprefix("file:")
        if not text.startswith("/"):
            text = os.path.join(os.getcwd(), text)
        return text.startswith((*self._inside, *self._code))


def _other_threads() -> frozenset[int]:
    """Return the system's ids of all threads but the running one.

    Python's own ids won't do: they are given again once a thread has ended.
    """
    return frozenset(map(int, os.listdir("/proc/self/task"))) - {threading.get_native_id()}


def _imports(frame: FrameType) -> bool:
    """Return whether *frame* looks for a module on behalf of an import."""
    return frame.f_code.co_filename.startswith("<frozen importlib")


def _libraries() -> tuple[str, ...]:
    """Return the paths of the interpreter and the system that programs only read."""
    folders = [path for path in sys.path if path and os.path.basename(path).startswith(("site-", "dist-", "python"))]
    return (*folders, "/usr/share/zoneinfo", "/dev/null", "/dev/urandom", "/proc/self", "/etc/localtime")


def real_monotonic() -> float:
    """Return the seconds of the real monotonic clock, also while ``time.monotonic`` is replaced."""
    window = Window.only
    return float((window._real["monotonic"] if window is not None else time.monotonic)())
