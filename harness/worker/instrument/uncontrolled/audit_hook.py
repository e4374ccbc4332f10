"""Python's audit hook in a worker: notices files elsewhere, programs, memory maps and signals of the code under test.

See the table of audit events in Python's documentation. The hook can't be removed and must never raise. It is called
several times for each step, so it looks up an event in one dictionary and returns.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from harness.worker.instrument.files.paths import of_descriptor
from harness.worker.instrument.uncontrolled.outside import Outside, nothing_kept

__all__ = ["install"]

_getpid, _getcwd = os.getpid, os.getcwd

_NAMELESS = "/memfd:", "/dev/zero"
_ACCESS_READ, _ACCESS_COPY = 1, 3
_REMOVE = ("os.remove", "os.rmdir")
_IN_PLACE = ("os.truncate", "os.chmod", "os.chown", "os.utime", "os.setxattr", "os.removexattr", "os.chflags")
_LIST = ("os.listdir", "os.scandir")
_OWN = __file__.rpartition("/instrument/")[0]


class _Hook:
    """The audit events that are reported, each with its handler."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self.handlers: dict[str, Callable[[tuple[Any, ...]], None]] = {
            "open": self._open,
            "os.mkdir": self._mkdir,
            "os.rename": self._rename,
            "os.link": self._link,
            "os.symlink": self._link,
            **dict.fromkeys(_REMOVE, lambda args: self._touch(args[0], args[-1], "d")),
            **dict.fromkeys(_IN_PLACE, lambda args: self._touch(args[0], None, "w")),
            **dict.fromkeys(_LIST, self._list),
            "sqlite3.connect": self._connect,
            "mmap.__new__": self._mmap,
            "subprocess.Popen": lambda args: self._program(args[0], args[1]),
            "os.posix_spawn": lambda args: self._program(args[0], args[1]),
            "os.spawn": lambda args: self._program(args[1], args[2]),
            "os.exec": lambda args: self._program(args[0], args[1]),
            "os.system": lambda args: self._program(None, args[0]),
            "os.kill": lambda args: self._signal(args[0], args[1]),
            "os.killpg": lambda args: self._signal(-args[0], args[1]),
        }

    # Files

    def _path(self, path: Any, dir_fd: Any = None) -> str | None:
        """Return the absolute form of *path* if it is one elsewhere at which something is kept."""
        if isinstance(path, int):
            return None
        text = os.fsdecode(path)
        if not text.startswith("/"):
            base = of_descriptor(dir_fd) if isinstance(dir_fd, int) and dir_fd >= 0 else _getcwd()
            text = f"{base}/{text}"
        elif text.startswith(self._outside.root) and "/." not in text:
            return None
        text = os.path.normpath(text)
        if (text + "/").startswith(self._outside.root) or nothing_kept(text):
            return None
        return text

    def _touch(self, path: Any, dir_fd: Any, mode: str) -> None:
        found = self._path(path, dir_fd)
        if found is not None:
            there = mode != "d" or self._outside.exists(found)
            self._outside.file(found, mode if there else "r")

    def _open(self, args: tuple[Any, ...]) -> None:
        path, _, flags = args
        writes = flags & (os.O_WRONLY | os.O_RDWR)
        if not writes:
            # Most are of modules and of data that nobody changes.
            if isinstance(path, str) and path.endswith((".pyc", ".py", ".so")):
                return
            self._touch(path, None, "r")
            return
        if flags & os.O_TMPFILE == os.O_TMPFILE or (found := self._path(path)) is None:
            return
        outside = self._outside
        if outside.is_directory(found):
            # What ``tempfile`` calls a file before its opener gives it one.
            return
        if flags & os.O_EXCL:
            # It looks whether there is one. ``tempfile`` takes the next name, whatever that says.
            outside.file(found, "r" if outside.exists(found) and not _from_tempfile() else "n")
            return
        if flags & os.O_TRUNC:
            outside.file(found, "n")
            return
        if flags & os.O_RDWR:
            outside.file(found, "r")
        outside.file(found, "w")

    def _mkdir(self, args: tuple[Any, ...]) -> None:
        found = self._path(args[0], args[2])
        if found is None:
            return
        if self._outside.exists(found):
            if not _from_tempfile():
                self._outside.file(found, "r")
        else:
            self._outside.made_directory(found)

    def _rename(self, args: tuple[Any, ...]) -> None:
        self._touch(args[0], args[2], "r")
        self._touch(args[0], args[2], "d")
        self._touch(args[1], args[3], "n")

    def _link(self, args: tuple[Any, ...]) -> None:
        target, dir_fd = args[1], args[-1]
        found = self._path(target, dir_fd)
        if found is not None:
            self._outside.file(found, "r" if self._outside.exists(found) else "n")

    def _list(self, args: tuple[Any, ...]) -> None:
        found = self._path(args[0] if args[0] is not None else ".")
        if found is not None:
            self._outside.file(f"{found}/*", "r")

    def _connect(self, args: tuple[Any, ...]) -> None:
        """A database elsewhere: opened to be changed, unless it says otherwise."""
        text = os.fsdecode(args[0])
        if text in ("", ":memory:") or "mode=memory" in text or text.startswith("file::memory:"):
            return
        reads = "mode=ro" in text or "immutable=1" in text
        path = text.removeprefix("file:").partition("?")[0] if text.startswith("file:") else text
        if path.startswith("//"):
            path = f"/{path.lstrip('/').partition('/')[2]}"
        if not path or (found := self._path(path)) is None:
            return
        outside = self._outside
        if outside.exists(found):
            outside.file(found, "r")
            if not reads:
                outside.file(found, "w")
        elif not reads:
            outside.file(found, "n")

    # What else there is

    def _mmap(self, args: tuple[Any, ...]) -> None:
        descriptor, _, access = args[:3]
        if descriptor < 0 or access == _ACCESS_COPY or sys._getframe(2).f_code.co_filename.startswith(_OWN):
            return
        path = of_descriptor(descriptor)
        # Memory that is mapped to be changed, and shared, needs a descriptor that may change the file.
        reads = access == _ACCESS_READ or fcntl.fcntl(descriptor, fcntl.F_GETFL) & 3 == os.O_RDONLY
        outside = self._outside
        if path.startswith(outside.root):
            name = path.removeprefix(outside.root)
            if reads:
                outside.mapped(f"mmap:{name}", f"mapped the file {name} into memory to read it")
            else:
                outside.tell(f"mmap:{name}", f"mapped the file {name} into memory, and can change it there")
        elif path.startswith("/") and not path.endswith(" (deleted)") and not path.startswith(_NAMELESS):
            outside.file(path, "r")
            if not reads:
                outside.file(path, "w")

    def _program(self, executable: Any, arguments: Any) -> None:
        if not self._outside.listens:
            return
        if isinstance(arguments, (str, bytes)):
            words = os.fsdecode(arguments).split()
        else:
            words = [os.fsdecode(each) for each in arguments or ()]
            if len(words) > 2 and words[1] == "-c" and words[0].rpartition("/")[2] in ("sh", "bash"):
                words = words[2].split()
        if not words and executable is not None:
            words = [os.fsdecode(executable)]
        name = (words or ["?"])[0].rpartition("/")[2] or "?"
        self._outside.tell(f"process:{name}", f"started the program {name}")

    def _signal(self, pid: int, number: int) -> None:
        if number == 0 or pid == _getpid() or not self._outside.listens:
            return
        if number == signal.SIGKILL and sys._getframe(3).f_code.co_filename.endswith("/worker/process_ids.py"):
            # A worker that is killed by another is one that has died.
            return
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = str(number)
        self._outside.tell(f"signal:{name}", f"sent {name} to another process")


def _from_tempfile() -> bool:
    frame = sys._getframe(1)
    for _ in range(8):
        if frame.f_code.co_filename.endswith("/tempfile.py"):
            return True
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False


def install(outside: Outside) -> None:
    """Have this process tell *outside* from now on. To be called once."""
    handler_of = _Hook(outside).handlers.get

    def hook(event: str, args: tuple[Any, ...]) -> None:
        handler = handler_of(event)
        if handler is not None and outside.listens_to_files:
            try:
                handler(args)
            except Exception:
                # An audit hook that raises forbids the call, and says so with an error that the call never has.
                return

    sys.addaudithook(hook)
