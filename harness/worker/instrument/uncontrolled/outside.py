"""Reports uncontrolled actions of the code under test: once for each name in each execution."""

from __future__ import annotations

import os
import re
import stat
from contextvars import ContextVar

from harness.boundary import messages
from harness.worker.runtime import Runtime
from harness.worker.source import where

__all__ = ["POINT", "Outside", "nothing_kept"]

POINT: ContextVar[str] = ContextVar("harness_point", default="")
"""The target of the declared schedule point whose call is running."""

_lstat, _stat = os.lstat, os.stat

_NOTHING_KEPT = re.compile(
    r"/(dev/(null|zero|full|random|urandom|tty|pts/.*|ptmx|std(in|out|err)|fd/.*)|proc(/.*)?|sys(/.*)?)$"
    r"|.*/__pycache__(/.*)?$|.*\.pyc(\.\d+)?$"
)
"""Paths at which nothing is kept, and where Python keeps its compiled modules."""


def nothing_kept(path: str) -> bool:
    """Return whether nothing that the code under test writes at the absolute *path* is there to be read."""
    return _NOTHING_KEPT.match(path) is not None


class Outside:
    """The uncontrolled actions reported in the current execution."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.root = ""
        """The shared directory, with a slash at its end; empty before the first execution."""
        self._told: set[str] = set()
        self._files: dict[str, str] = {}
        self._own: tuple[str, ...] = ()

    def begin(self, root: str) -> None:
        """An execution over the shared directory *root* begins."""
        self.root = root.rstrip("/") + "/"
        self._told.clear()
        self._files.clear()
        self._own = ()

    @property
    def listens(self) -> bool:
        """Whether calls of the code under test are running, so that their actions are reported."""
        return self._runtime.controlled

    @property
    def listens_to_files(self) -> bool:
        """The same of files, which an application may open before the race begins, and use in it."""
        return self._runtime.begun and not self._runtime.aborting

    def tell(self, name: str, text: str) -> None:
        """Tell that the code under test *text* (a verb in the past tense), which can be allowed by *name*."""
        if name not in self._told:
            self._told.add(name)
            self._say(name, text, "")

    def mapped(self, name: str, text: str) -> None:
        """Tell the same of a file that was mapped to be read, which matters only where somebody changes it."""
        if name not in self._told:
            self._told.add(name)
            self._say(name, text, "m")

    def looked_at(self, path: str) -> None:
        """Tell that the code under test asked about the file at the absolute *path*, outside the shared directory."""
        if self.listens_to_files and not nothing_kept(path):
            self.file(path, "r")

    def file(self, path: str, mode: str) -> None:
        """Tell that the file at the absolute *path*, outside the shared directory, was touched as *mode* says (``Touch``)."""
        if self._files.get(path) == mode or (self._own and path.startswith(self._own)):
            return
        self._files[path] = mode
        self._say(f"file:{path}", "", mode)

    def made_directory(self, path: str) -> None:
        """Report that a directory was created: its content is this worker's own as long as no other process looks into it."""
        self.file(path, "n")
        self._own = (*self._own, f"{path}/")

    @staticmethod
    def exists(path: str) -> bool:
        """Return whether there is something at *path*."""
        try:
            _lstat(path)
        except OSError:
            return False
        return True

    @staticmethod
    def is_directory(path: str) -> bool:
        """Return whether there is a directory at *path*."""
        try:
            return stat.S_ISDIR(_stat(path).st_mode)
        except OSError:
            return False

    def _say(self, name: str, text: str, mode: str) -> None:
        place = where(3)
        at = f"{os.path.basename(place[0])}:{place[1]}" if place is not None else ""
        self._runtime.news.append(messages.unseen(name, text, at, mode, POINT.get()))
