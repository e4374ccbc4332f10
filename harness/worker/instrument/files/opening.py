"""Schedule points in files: whatever Python's ``open`` and ``os`` do to a path in the directory that workers share.

Real files: an operation parks before it runs, and reports afterwards what it touched. Files opened are Python's own stack
of buffers over a ``FileIO`` whose every read and write parks: unflushed data is not seen by others, and is lost at a kill.
File times are virtual: what is changed gets the virtual time of the change.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from typing import Any

from harness.boundary import messages
from harness.boundary.patched_clocks import with_change_of_status
from harness.boundary.wire import ERRORS
from harness.worker.instrument.files.file_locks import FileLocks
from harness.worker.instrument.files.paths import Shared, Touched, of_descriptor
from harness.worker.runtime import Runtime
from harness.worker.source import where

__all__ = ["Files"]

_READING, _WRITING = ("io",), ("full", "io")
_INJECTED = {ERRORS["full"]: errno.ENOSPC, ERRORS["io"]: errno.EIO}
_utime, _close, _fstat = os.utime, os.close, os.fstat


def _isdir(descriptor: int) -> bool:
    return stat.S_ISDIR(_fstat(descriptor).st_mode)


class Files:
    """Makes operations on shared files schedule points; ``locks`` are those on files."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime, self.shared = runtime, Shared(runtime)
        self.locks = FileLocks(runtime, self.shared)
        self.descriptors: set[int] = set()
        """Those that ``os.open`` gave for shared files and nobody has closed yet."""

    def begin(self, root: str) -> None:
        """An execution over the directory *root* begins."""
        self.shared.begin(root)

    def clean(self) -> None:
        """Close the files that the code under test left open; their locks are released with them."""
        for descriptor in self.descriptors:
            if of_descriptor(descriptor).startswith(self.shared.root):
                _close(descriptor)
        self.descriptors.clear()
        self.locks.forget()

    def none_held(self) -> bool:
        """Whether nothing is left that an end of the execution would have to clean up."""
        return not self.descriptors and not self.locks.held()

    def point(
        self,
        text: str,
        run: Callable[[], Any],
        touched: Callable[[bool], Sequence[Touched]],
        errors: tuple[str, ...] = (),
        kind: str = "file",
    ) -> Any:
        """Park as *text*, then *run*, and report the accesses that *touched* returns for success or failure.

        *touched* is called before *run*, because the accesses depend on the files that are there by then.
        """
        runtime = self.runtime
        how = runtime.park(kind, text, "", where(3), errors=errors if runtime.asks_errors else ())
        done, failed = touched(True), touched(False)
        try:
            if how in _INJECTED:
                raise OSError(_INJECTED[how], os.strerror(_INJECTED[how]))
            value = run()
        except OSError as error:
            runtime.news.append(messages.error(f"{type(error).__name__}: {error.strerror or error}"))
            self._report(failed)
            raise
        self._report(done)
        return value

    def _report(self, touched: Sequence[Touched]) -> None:
        for resource, mode in touched:
            self.runtime.touched(resource, mode)

    # What happens to paths

    def read(
        self,
        text: str,
        path: str,
        run: Callable[[], Any],
        *,
        listing: bool = False,
        follow: bool = True,
        stats: bool = False,
    ) -> Any:
        """Run a function that only looks at *path*; with *stats*, also at a directory's time of change, set by its entries."""

        def touched(_: bool) -> list[Touched]:
            found = self.shared.touches(path, "r", listing=listing, follow=follow)
            if stats and (folder := self.shared.folder_at(found)) is not None:
                found.append((f"list:{folder}", "r"))
            return found

        return self.point(f"{text} {path}", run, touched, _READING)

    def change(
        self,
        text: str,
        paths: Sequence[str],
        run: Callable[[], Any],
        *,
        entry: bool = True,
        follow: bool = False,
        stamps: bool = True,
    ) -> Any:
        """Run a function that changes all of *paths*, if it succeeds.

        *entry*: it creates or removes them; *stamps*: the harness sets the times of the files.
        """

        def touched(success: bool) -> list[Touched]:
            mode = "w" if success else "r"
            found: list[Touched] = []
            for path in paths:
                found += self.shared.touches(path, mode, entry=entry and success, listing=entry, follow=follow)
            return found

        value = self.point(f"{text} {' -> '.join(paths)}", run, touched, _WRITING)
        if stamps:
            for path in paths:
                self.stamp(path, parent=entry, itself=len(paths) == 1)
        return value

    def open(self, text: str, path: str, creates: bool, truncates: bool, run: Callable[[], Any]) -> Any:
        """Run a function that opens *path*, and creates or truncates it as the flags say."""
        new = False

        def touched(success: bool) -> list[Touched]:
            nonlocal new
            new = creates and not self.shared.exists(path)
            writes = success and (new or truncates)
            return self.shared.touches(path, "w" if writes else "r", entry=success and new)

        value = self.point(text, run, touched, _WRITING if creates or truncates else _READING)
        if new or truncates:
            self.stamp(path, parent=new)
        return value

    # What happens to descriptors

    def on_descriptor(
        self, text: str, descriptor: int, mode: str, run: Callable[[], Any], *, stats: bool = False
    ) -> Any:
        """Run a function that reads (``r``) or writes (``w``) through *descriptor*: a schedule point if its file is shared."""
        path = self.shared.inside(descriptor)
        if path is None:
            return run()

        def touched(_: bool) -> list[Touched]:
            # Where the file is may change while this waits for its turn.
            found = self.shared.of_descriptor(descriptor, mode)
            return [*found, (f"list:{found[0][0][5:]}", "r")] if stats and _isdir(descriptor) else found

        value = self.point(f"{text} {path}", run, touched, _WRITING if mode == "w" else _READING)
        if mode == "w":
            self._stamp(descriptor)
        return value

    def close(self, descriptor: int, run: Callable[[], Any]) -> Any:
        """Run a function that closes *descriptor*: a schedule point if that releases a lock."""
        if (path := self.locks.let_go_by_closing(descriptor)) is None:
            return run()
        self.runtime.park("close", f"close {path}", "", where(3))
        self.locks.close(descriptor, path, run)
        return None

    # File times

    def stamp(self, path: str, *, parent: bool, itself: bool = True) -> None:
        """Have *path* have been changed now; with *parent* its directory too."""
        real = self.shared.root + path
        if itself:
            self._stamp(real)
        if parent:
            self._stamp(real.rpartition("/")[0])

    def _stamp(self, path: str | int) -> None:
        now = self.runtime.clock.of_files()
        try:
            _utime(path, ns=(now, now))
        except OSError:
            return  # it was removed, or never made

    def looked_at(self, found: os.stat_result) -> os.stat_result:
        """Return *found* in virtual time."""
        self.runtime.clock.told_dates = True
        return with_change_of_status(found)
