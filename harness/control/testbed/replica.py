"""Reads a directory tree into a value, and writes it back exactly: content, kinds of entries, links, modes, owners.

``Files`` maps the relative name of each entry to its bytes, in the order in which entries were made. The name of a
directory ends with a slash; that of any other entry that is no regular file ends with one of the marks below.
"""

from __future__ import annotations

import errno
import marshal
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress

__all__ = ["LINK", "Files", "collect", "lay_out", "names_in"]

Files = dict[str, bytes]

LINK = "\0link"
"""A symbolic link; its content is its target."""
_SAME = "\0same"
"""A further hard link to a file; its content is the name of the entry that has the bytes."""
_PIPE, _SOCKET = "\0pipe", "\0socket"
_SPARSE = "\0sparse"
"""A large file with holes; its content is its size and the pieces between the holes, marshalled."""
_ABOUT = "\0about"
"""Not an entry: the mode, owner and group of each entry that does not have the usual ones, marshalled."""

_FILE, _FOLDER = 0o644, 0o755
_LARGE = 1 << 20
_OWN = os.geteuid(), os.getegid()


def _masked() -> int:
    """Return this process' umask; the only way to read it is to set it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


_EXACT = not _masked() & (_FILE | _FOLDER)
"""Whether a new entry has the usual mode without a chmod: the umask takes no bit of it away."""

_About = dict[str, tuple[int, int, int]]


def names_in(files: Files) -> Iterator[str]:
    """Yield the path of every entry in *files*, without marks; the directory itself (an empty string) comes last."""
    for name in files:
        if name == _ABOUT or name.startswith("\0"):
            continue
        plain, mark, _ = name.partition("\0")
        yield plain if mark else name.rstrip("/")
    yield ""


def collect(root: str, found: Files) -> None:
    """Read the entries of the directory *root* into *found*, except SQLite's shared-memory indexes (``-shm``)."""
    about: _About = {}
    several: dict[int, list[str]] = {}
    _note(about, "", os.lstat(root), usual=_FOLDER)
    _collect(root, "", found, about=about, several=several)
    for names in several.values():
        first, *others = sorted(names)
        for name in others:
            found.pop(name, None)
            found.pop(name + _SPARSE, None)
            found[name + _SAME] = os.fsencode(first)
    if about:
        found[_ABOUT] = marshal.dumps(sorted(about.items()))


def _note(about: _About, name: str, info: os.stat_result, *, usual: int) -> None:
    mode = info.st_mode & 0o7777
    if mode != usual or info.st_uid != _OWN[0] or info.st_gid != _OWN[1]:
        about[name] = mode, info.st_uid, info.st_gid


def _collect(root: str, prefix: str, found: Files, *, about: _About, several: dict[int, list[str]]) -> None:
    # tmpfs lists the newest entry first, and they are to be in the order of making.
    for entry in reversed(_entries(root)):
        name = prefix + entry.name
        if entry.is_file(follow_symlinks=False):
            if not name.endswith("-shm"):
                _collect_file(entry.path, name, found, about=about, several=several)
        elif entry.is_symlink():
            with suppress(FileNotFoundError):
                found[name + LINK] = os.fsencode(os.readlink(entry.path))
        elif entry.is_dir(follow_symlinks=False):
            _note(about, name, entry.stat(follow_symlinks=False), usual=_FOLDER)
            found[name + "/"] = b""
            _collect(entry.path, name + "/", found, about=about, several=several)
        elif (mark := _special(entry)) is not None:
            found[name + mark] = b""
            _note(about, name, entry.stat(follow_symlinks=False), usual=_FILE)


def _entries(root: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(root) as entries:
            return list(entries)
    except PermissionError:
        with _readable(root), os.scandir(root) as entries:
            return list(entries)


def _special(entry: os.DirEntry[str]) -> str | None:
    mode = entry.stat(follow_symlinks=False).st_mode
    return _PIPE if stat.S_ISFIFO(mode) else _SOCKET if stat.S_ISSOCK(mode) else None


def _collect_file(path: str, name: str, found: Files, *, about: _About, several: dict[int, list[str]]) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        found[name] = b""
        return
    except PermissionError:
        with _readable(path):
            descriptor = os.open(path, os.O_RDONLY)
    try:
        info = os.fstat(descriptor)
        _note(about, name, info, usual=_FILE)
        if info.st_nlink > 1:
            several.setdefault(info.st_ino, []).append(name)
        if info.st_size >= _LARGE and info.st_blocks * 512 < info.st_size:
            found[name + _SPARSE] = marshal.dumps((info.st_size, list(_pieces(descriptor, info.st_size))))
        else:
            found[name] = _read(descriptor, info.st_size)
    finally:
        os.close(descriptor)


class _readable:
    """A context in which the owner of an entry has the permissions to read it; its mode is restored afterwards."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._mode = stat.S_IMODE(os.lstat(self._path).st_mode)
        os.chmod(self._path, self._mode | 0o700)

    def __exit__(self, *_: object) -> None:
        os.chmod(self._path, self._mode)


def _read(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size + 1)
    while len(data) < size and (more := os.read(descriptor, size - len(data))):
        data += more
    return data


def _pieces(descriptor: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the pieces between the holes of a file, each with its offset."""
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            raise
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, os.pread(descriptor, end - start, start)


def lay_out(root: str, files: Files) -> None:
    """Empty the directory *root*, and make the entries of *files* in it."""
    _empty(root)
    about: _About = dict(marshal.loads(files[_ABOUT])) if _ABOUT in files else {}
    folders: list[str] = []
    same: list[tuple[str, str]] = []
    for name, data in files.items():
        path = f"{root}/{name}"
        if name.endswith("/"):
            os.makedirs(path, exist_ok=True)
            folders.append(name[:-1])
        elif "\0" not in name:
            if "/" in name:
                os.makedirs(os.path.dirname(path), exist_ok=True)
            _write(path, data, about.get(name))
        elif name.endswith(_SAME):
            same.append((os.fsdecode(data), name.removesuffix(_SAME)))
        elif name != _ABOUT:
            _make(root, name, data, about=about)
    for first, other in same:
        os.link(f"{root}/{first}", f"{root}/{other}")
    os.chmod(root, _FOLDER)
    # Modes of folders come last, and from the bottom up: they may forbid their owner to go in or write.
    for folder in (*reversed(folders), ""):
        if folder in about or not _EXACT:
            mode, user, group = about.get(folder, (_FOLDER, *_OWN))
            _give(f"{root}/{folder}", user, group)
            os.chmod(f"{root}/{folder}", mode)


def _empty(root: str) -> None:
    for entry in _entries(root):
        try:
            _remove(entry)
        except PermissionError:  # a directory that its owner may not write to
            os.chmod(root, 0o700)
            for folder, _, _ in os.walk(entry.path) if entry.is_dir(follow_symlinks=False) else ():
                os.chmod(folder, 0o700)
            _remove(entry)


def _remove(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path)
    else:
        os.unlink(entry.path)


def _write(path: str, data: bytes, about: tuple[int, int, int] | None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE)
    try:
        written = os.write(descriptor, data) if data else 0
        while written < len(data):
            written += os.write(descriptor, data[written:])
        if about is not None or not _EXACT:
            mode, user, group = about or (_FILE, *_OWN)
            os.fchown(descriptor, user, group)
            # The mode comes last: a change of owner or of content clears the set-user-id and set-group-id bits.
            os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _give(path: str, user: int, group: int) -> None:
    if (user, group) != _OWN:
        os.chown(path, user, group)


def _make(root: str, name: str, data: bytes, *, about: _About) -> None:
    """Make an entry that is neither a directory nor a plain file."""
    plain, _, _ = name.partition("\0")
    path, mark = f"{root}/{plain}", name[len(plain) :]
    if mark == LINK:
        os.symlink(data, path)
        return
    if mark == _PIPE:
        os.mkfifo(path)
    elif mark == _SOCKET:
        # No process listens at a socket that setup left in the directory: a connection is refused, as it would be
        # there.
        os.mknod(path, stat.S_IFSOCK | _FILE)
    elif mark == _SPARSE:
        size, pieces = marshal.loads(data)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE)
        try:
            os.truncate(descriptor, size)
            for start, piece in pieces:
                os.pwrite(descriptor, piece, start)
        finally:
            os.close(descriptor)
    mode, user, group = about.get(plain, (_FILE, *_OWN))
    _give(path, user, group)
    os.chmod(path, mode)
