"""Functions of ``os`` that access files, as schedule points, grouped by their effect on their paths or descriptors."""

from __future__ import annotations

import genericpath
import os
import stat
from collections.abc import Callable
from functools import wraps
from typing import Any

from harness.worker.instrument.files.listings import scandir
from harness.worker.instrument.files.opening import Files
from harness.worker.virtual.rebind import Replacement

__all__ = ["replacements"]

_LOOKING = ("stat", "access", "getxattr", "listxattr", "statvfs")
_LOOKING_AT_LINKS = ("lstat", "readlink")
_LISTING = ("listdir",)
_NAMING = ("unlink", "remove", "mkdir", "rmdir", "mkfifo", "mknod")
_CHANGING = ("chmod", "chown", "setxattr", "removexattr")
_CHANGING_LINKS = ("lchown",)
_READING, _WRITING = (
    ("read", "pread", "readv", "preadv", "fstat"),
    ("write", "pwrite", "writev", "pwritev", "ftruncate", "posix_fallocate", "fchmod", "fchown"),
)

Wrapper = Callable[..., Any]

_stat, _lstat = os.stat, os.lstat
_KINDS: dict[str, Callable[[int], bool]] = {
    "exists": lambda _: True,
    "lexists": lambda _: True,
    "isfile": stat.S_ISREG,
    "isdir": stat.S_ISDIR,
    "islink": stat.S_ISLNK,
}
_OF_LINKS = ("lexists", "islink")


class _System:
    """Makes the functions' stand-ins."""

    def __init__(self, files: Files) -> None:
        self._files, self._shared = files, files.shared

    def looks(self, real: Wrapper, *, follow: bool = True, listing: bool = False) -> Wrapper:
        """Return the replacement for a function that only looks at its path."""
        files, shared, name, stats = self._files, self._shared, real.__name__, real.__name__ in ("stat", "lstat")

        @wraps(real)
        def looking(path: Any = ".", *args: Any, **options: Any) -> Any:
            rel = shared.inside("." if path is None else path, options.get("dir_fd"))
            if rel is None:
                shared.looked_elsewhere(path, options.get("dir_fd"))
                return real(path, *args, **options)
            follows = follow and options.get("follow_symlinks", True)
            found = files.read(
                name, rel, lambda: real(path, *args, **options), listing=listing, follow=follows, stats=stats
            )
            return files.looked_at(found) if stats else found

        return looking

    def seeks(self, real: Wrapper) -> Wrapper:
        """Return the replacement for ``lseek``, which looks at the file if it counts from its end or searches for holes."""
        files = self._files

        @wraps(real)
        def seeking(fd: int, pos: int, whence: int, /) -> Any:
            if whence in (os.SEEK_SET, os.SEEK_CUR):
                return real(fd, pos, whence)
            return files.on_descriptor("lseek", fd, "r", lambda: real(fd, pos, whence))

        return seeking

    def kinds(self, real: Wrapper, *, follow: bool = True) -> Wrapper:
        """Return the replacement for a function of ``os.path`` that tells whether a path exists, or its kind."""
        files, shared, look = self._files, self._shared, _stat if follow else _lstat
        judge = _KINDS[real.__name__]

        @wraps(real)
        def telling(path: Any) -> Any:
            rel = shared.inside(path)
            if rel is None:
                return real(path)
            try:
                return judge(files.read(look.__name__, rel, lambda: look(path), follow=follow).st_mode)
            except (OSError, ValueError):
                return False

        return telling

    def changes(self, real: Wrapper, *, entry: bool, follow: bool = True, stamps: bool = True) -> Wrapper:
        """Return the replacement for a function that changes its path, or (*entry*) creates or removes it."""
        files, shared, name = self._files, self._shared, real.__name__

        @wraps(real)
        def changing(path: Any, *args: Any, **options: Any) -> Any:
            rel = shared.inside(path, options.get("dir_fd"))
            if rel is None:
                return real(path, *args, **options)
            follows = follow and not entry and options.get("follow_symlinks", True)
            return files.change(
                name, (rel,), lambda: real(path, *args, **options), entry=entry, follow=follows, stamps=stamps
            )

        return changing

    def utime(self, real: Wrapper) -> Wrapper:
        """Return the replacement for ``utime``, which is given times or sets the present one."""
        files, shared = self._files, self._shared

        @wraps(real)
        def dating(path: Any, times: Any = None, **options: Any) -> Any:
            rel = shared.inside(path, options.get("dir_fd"))
            if rel is None:
                return real(path, times, **options)
            follow = options.get("follow_symlinks", True)
            now = times is None and options.get("ns") is None
            return files.change(
                "utime", (rel,), lambda: real(path, times, **options), entry=False, follow=follow, stamps=now
            )

        return dating

    def moves(self, real: Wrapper) -> Wrapper:
        """Return the replacement for ``rename``, ``replace`` or ``link``; the other path may lie elsewhere."""
        files, shared, name = self._files, self._shared, real.__name__

        @wraps(real)
        def moving(src: Any, dst: Any, **options: Any) -> Any:
            ends = shared.inside(src, options.get("src_dir_fd")), shared.inside(dst, options.get("dst_dir_fd"))
            paths = tuple(end for end in ends if end is not None)
            if not paths:
                return real(src, dst, **options)
            return files.change(name, paths, lambda: real(src, dst, **options), follow=False)

        return moving

    def symlink(self, real: Wrapper) -> Wrapper:
        """Return the replacement for ``symlink``; its first argument is no path yet."""
        files, shared = self._files, self._shared

        @wraps(real)
        def linking(src: Any, dst: Any, *args: Any, **options: Any) -> Any:
            rel = shared.inside(dst, options.get("dir_fd"))
            if rel is None:
                return real(src, dst, *args, **options)
            return files.change("symlink", (rel,), lambda: real(src, dst, *args, **options), stamps=False)

        return linking

    def open(self, real: Wrapper) -> Wrapper:
        """Return the replacement for ``os.open``."""
        files, shared = self._files, self._shared

        @wraps(real)
        def opening(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> Any:
            rel = shared.inside(path, dir_fd)
            if rel is None:
                return real(path, flags, mode, dir_fd=dir_fd)
            said = [name for name in ("O_CREAT", "O_EXCL", "O_TRUNC", "O_APPEND") if flags & getattr(os, name)]
            how = "O_RDWR" if flags & os.O_RDWR else "O_WRONLY" if flags & os.O_WRONLY else "O_RDONLY"
            text = f"open {rel} ({' '.join(said) or how})"
            descriptor = files.open(
                text, rel, bool(flags & os.O_CREAT), bool(flags & os.O_TRUNC),
                lambda: real(path, flags, mode, dir_fd=dir_fd),
            )  # fmt: skip
            files.descriptors.add(descriptor)
            return descriptor

        return opening

    def close(self, real: Wrapper) -> Wrapper:
        """Return the replacement for ``os.close``."""
        files = self._files

        @wraps(real)
        def closing(fd: int) -> None:
            files.descriptors.discard(fd)
            files.close(fd, lambda: real(fd))

        return closing

    def through(self, real: Wrapper, mode: str) -> Wrapper:
        """Return the replacement for a function that reads or writes through its first argument, a descriptor."""
        files, name, stats = self._files, real.__name__, real.__name__ == "fstat"

        @wraps(real)
        def passing(fd: int, *args: Any, **options: Any) -> Any:
            found = files.on_descriptor(name, fd, mode, lambda: real(fd, *args, **options), stats=stats)
            return files.looked_at(found) if stats and files.shared.inside(fd) is not None else found

        return passing

    def copies(self, real: Wrapper, names: tuple[str, str], source: str) -> Wrapper:
        """Return the replacement for a function with two descriptors, called *names*, as first arguments; it reads *source*."""
        files, name = self._files, real.__name__
        (target,) = set(names) - {source}

        @wraps(real)
        def copying(*args: Any, **options: Any) -> Any:
            ends = {**dict(zip(names, args, strict=False)), **options}
            one, other = ends[source], ends[target]

            def run() -> Any:
                # Both ends are touched in one step: what it reads is noted by hand.
                for resource, mode in files.shared.of_descriptor(one, "r"):
                    files.runtime.touched(resource, mode)
                return real(*args, **options)

            if files.shared.inside(other) is not None:
                return files.on_descriptor(f"{name} to", other, "w", run)
            return files.on_descriptor(f"{name} from", one, "r", lambda: real(*args, **options))

        return copying


def replacements(files: Files) -> list[Replacement]:
    """Return the replacements that put the schedule points into ``os``; functions that this system lacks are left out."""
    system = _System(files)
    found: dict[str, Callable[[Wrapper], Wrapper]] = {
        **dict.fromkeys(_LOOKING, system.looks),
        **dict.fromkeys(_LOOKING_AT_LINKS, lambda real: system.looks(real, follow=False)),
        **dict.fromkeys(_LISTING, lambda real: system.looks(real, listing=True)),
        **dict.fromkeys(_NAMING, lambda real: system.changes(real, entry=True)),
        **dict.fromkeys(_CHANGING, lambda real: system.changes(real, entry=False)),
        **dict.fromkeys(_CHANGING_LINKS, lambda real: system.changes(real, entry=False, follow=False)),
        "scandir": lambda _: scandir(files),
        "lseek": system.seeks,
        "utime": system.utime,
        "truncate": lambda real: system.changes(real, entry=False),
        "rename": system.moves,
        "replace": system.moves,
        "link": system.moves,
        "symlink": system.symlink,
        "open": system.open,
        "close": system.close,
        **dict.fromkeys(_READING, lambda real: system.through(real, "r")),
        **dict.fromkeys(_WRITING, lambda real: system.through(real, "w")),
        "sendfile": lambda real: system.copies(real, ("out_fd", "in_fd"), "in_fd"),
        "copy_file_range": lambda real: system.copies(real, ("src", "dst"), "src"),
        "splice": lambda real: system.copies(real, ("src", "dst"), "src"),
    }
    kinds = [
        Replacement(real, system.kinds(real, follow=name not in _OF_LINKS), home, name)
        for name in _KINDS
        for home in (genericpath, os.path)
        if (real := getattr(home, name, None)) is not None
    ]
    return kinds + [
        Replacement(real, make(real), os, name)
        for name, make in found.items()
        if (real := getattr(os, name, None)) is not None
    ]
