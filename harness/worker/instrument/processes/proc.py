"""``/proc`` by virtual process ids: ``/proc/PID`` of a worker is that worker's, and the ids in its files are virtual.

To look at another worker's is a schedule point, as ``os.kill(pid, 0)`` is: it may be alive or not. Calls that open,
list or inspect other paths are passed on unchanged.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from harness.worker.virtual.process_ids import Identity
from harness.worker.virtual.rebind import Replacement

__all__ = ["over"]

_TAKE_A_PATH = (
    "stat", "lstat", "access", "statvfs", "getxattr", "listxattr", "readlink", "listdir", "scandir", "open", "chdir",
)  # fmt: skip
"""Functions of ``os`` whose first argument may be a path in ``/proc``."""

_IN_PROC = re.compile(r"/proc/(\d+|self|thread-self)(?=/|$)(.*)", re.DOTALL)
_TELLS_IDS = re.compile(r"(?:/task/\d+)?/(stat|status)")
_NUMBERED = re.compile(r"\d+")
_OF_STATUS = re.compile(rb"^(Tgid|Ngid|Pid|PPid|NStgid|NSpid|NSpgid|NSsid):(.*)$", re.MULTILINE)
_AFTER_NAME = {1: "parent", 2: "group", 3: "session"}
"""Which fields of ``stat`` after the process' name are ids; the state is field 0."""
_STARTED, _FIRST_START = 19, 1_000
"""The field that says when the process began, in ticks since the machine did; another one in each run."""

_open, _read, _memfd, _write, _lseek, _close = io.open, os.read, os.memfd_create, os.write, os.lseek, os.close
_os_open, _fspath, _fsdecode, _normpath = os.open, os.fspath, os.fsdecode, os.path.normpath


class _Proc:
    """Makes the stand-ins."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def by_path(self, name: str, go_on: Callable[..., Any]) -> Callable[..., Any]:
        """Return the replacement for a function of ``os`` with a path as first argument; *go_on* handles all other paths."""
        tells_ids = {"open": self._descriptor, "readlink": self._readlink, "listdir": self._listdir}.get(name)

        @wraps(go_on)
        def looking(path: Any = ".", *args: Any, **options: Any) -> Any:
            text = _in_proc(path)
            if text is None or not self._identity.own:
                return go_on(path, *args, **options)
            real = self._there(name, text)
            if tells_ids is not None:
                return tells_ids(
                    text, real, lambda: go_on(_like(path, real), *args, **options), isinstance(path, bytes)
                )
            return go_on(_like(path, real), *args, **options)

        return looking

    def opening(self, go_on: Callable[..., Any]) -> Callable[..., Any]:
        """Return the replacement for ``open``."""

        @wraps(go_on)
        def open(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
            text = _in_proc(file)
            if text is None or not self._identity.own:
                return go_on(file, mode, *args, **options)
            real = self._there("open", text)
            if _tells_ids(real) and "r" in mode and "+" not in mode:
                return _open(self._translated(real), mode, *args, **options)
            return go_on(_like(file, real), mode, *args, **options)

        return open

    def _there(self, name: str, text: str) -> str:
        """Return the real path of *text*, a path in ``/proc``, once it is this process' turn to look at it."""
        match = _IN_PROC.match(text)
        if match is None:
            return text
        whose, rest = match.groups()
        if not whose.isdigit():
            return text
        own = int(whose) == self._identity.own
        # Not by ``/proc/self``, which is a link.
        real = self._identity.real(int(whose)) if own else self._identity.seen(int(whose), f"{name} {text}")
        return text if real is None else f"/proc/{real}{rest}"

    def _descriptor(self, _text: str, real: str, go_on: Callable[[], Any], _bytes: bool) -> Any:
        return self._translated(real) if _tells_ids(real) else go_on()

    def _readlink(self, text: str, _real: str, go_on: Callable[[], Any], as_bytes: bool) -> Any:
        found = os.fsdecode(go_on())
        if text in ("/proc/self", "/proc/thread-self"):
            found = _NUMBERED.sub(lambda match: str(self._identity.virtual(int(match[0]))), found)
        return os.fsencode(found) if as_bytes else found

    def _listdir(self, text: str, _real: str, go_on: Callable[[], Any], as_bytes: bool) -> Any:
        found = go_on()
        if text != "/proc":
            return found
        others = self._identity.living(f"listdir {text}")
        names = [name for name in map(os.fsdecode, found) if not (name.isdigit() and int(name) in others)]
        names += map(str, others.values())
        return [os.fsencode(name) for name in names] if as_bytes else names

    def _translated(self, real: str) -> int:
        """Return a descriptor of a copy of the file *real*, with virtual ids in the places of real ones."""
        descriptor = _os_open(real, os.O_RDONLY | os.O_CLOEXEC)
        try:
            said = b""
            while piece := _read(descriptor, 1 << 16):
                said += piece
        finally:
            _close(descriptor)
        said = self._status(said) if real.endswith("/status") else self._stat(said)
        held = _memfd(real.replace("/", "!"))
        _write(held, said)
        _lseek(held, 0, os.SEEK_SET)
        return held

    def _status(self, said: bytes) -> bytes:
        def line(match: re.Match[bytes]) -> bytes:
            return match[1] + b":" + re.sub(rb"\d+", self._virtual, match[2])

        return _OF_STATUS.sub(line, said)

    def _stat(self, said: bytes) -> bytes:
        head, bracket, tail = said.rpartition(b") ")
        number, _, name = head.partition(b" ")
        fields = tail.split(b" ")
        for field in _AFTER_NAME:
            fields[field] = re.sub(rb"\d+", self._virtual, fields[field])
        virtual = re.sub(rb"\d+", self._virtual, number)
        if virtual != number:
            fields[_STARTED] = str(_FIRST_START + int(virtual) % 1_000_000).encode()
        return virtual + b" " + name + bracket + b" ".join(fields)

    def _virtual(self, match: re.Match[bytes]) -> bytes:
        return str(self._identity.virtual(int(match[0]))).encode()


def _in_proc(path: Any) -> str | None:
    """Return *path* as text if it lies in ``/proc``."""
    kind = type(path)
    if kind is str:
        if not path.startswith("/proc"):
            return None
    elif kind is int or path is None:
        return None
    try:
        text = _normpath(_fsdecode(_fspath(path)))
    except (TypeError, ValueError):
        return None
    return text if text == "/proc" or text.startswith("/proc/") else None


def _like(path: Any, text: str) -> Any:
    return os.fsencode(text) if isinstance(path, bytes) else text


def _tells_ids(real: str) -> bool:
    match = _IN_PROC.match(real)
    return match is not None and _TELLS_IDS.fullmatch(match[2]) is not None


def over(identity: Identity, replacements: list[Replacement]) -> list[Replacement]:
    """Return *replacements* with those of ``open``, and of functions of ``os`` that take a path, put behind ``/proc``."""
    proc = _Proc(identity)
    found: list[Replacement] = []
    covered = set()
    for entry in replacements:
        make = entry.replacement
        if entry.home is os and entry.name in _TAKE_A_PATH:
            covered.add(entry.name)
            make = proc.by_path(entry.name, make)
        elif entry.original is _open:
            make = proc.opening(make)
        found.append(entry._replace(replacement=make))
    for name in _TAKE_A_PATH:
        if name not in covered:
            real = getattr(os, name)
            found.append(Replacement(real, proc.by_path(name, real), os, name))
    return found
