"""Tells what the machine refuses (a process, a thread, a descriptor, memory) from what the code under test does wrong."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from harness.errors import Unsupported
from harness.history import Event

__all__ = [
    "LEAST_DESCRIPTORS",
    "SHORTAGES",
    "Shortage",
    "ascribed",
    "oom_kills",
    "refused",
    "told_of_shortage",
    "without_descriptors",
]

LEAST_DESCRIPTORS = 4
"""A process with fewer descriptors free is taken to have none: a database alone opens three files."""

_CAUSES = {
    errno.EAGAIN: "the limit of processes of this user or container is reached (`ulimit -u`, pids.max)",
    errno.ENOMEM: "there is no memory left for it (`free`, the memory limit of the container, `ulimit -v`)",
    errno.EMFILE: "the limit of open files of this process is reached (`ulimit -n`)",
    errno.ENFILE: "the limit of open files of this machine is reached (fs.file-max)",
    errno.ENOSPC: "the disk is full (`df`)",
    errno.ENOSYS: "this kernel, or the sandbox it runs in, does not have the system call",
    errno.EPERM: "a sandbox (seccomp, a container's profile) forbids the system call",
}
SHORTAGES = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC})
"""The numbers of errors by which a system says that there is no more of something."""

_SAID = ("can't start new thread", "Too many open files", "Cannot allocate memory")


class Shortage(Unsupported):
    """The machine did not give what the harness or the code under test needs, so nothing can be said of the code."""


def refused(what: str, error: OSError) -> Shortage:
    """Return what to raise where the system refused *what* with *error*."""
    name = errno.errorcode.get(error.errno or 0, "")
    cause = _CAUSES.get(error.errno or 0, "see the limits of this user and container")
    return Shortage(
        f"The system refused {what} ({name} {error.strerror}), so nothing that runs here can be judged. "
        f"Likely cause: {cause}. Raise the limit, or run fewer things at the same time (--jobs), and try again."
    )


@contextmanager
def ascribed(what: str) -> Iterator[None]:
    """Raise ``Shortage`` in the place of an ``OSError`` for want of *what*; let every other error pass."""
    try:
        yield
    except OSError as error:
        if error.errno in _CAUSES:
            raise refused(what, error) from error
        raise


def told_of_shortage(events: Iterable[Event]) -> str:
    """Return why what was seen can't be relied on, if a call was told that the machine is short of something; else nothing."""
    for event in events:
        text = str(event.value)
        if (event.error == "MemoryError" and _has_limited_memory()) or any(said in text for said in _SAID):
            return (
                f"A call was told '{event.error}: {text}': the machine is short of it, so the failure can't be laid to the "
                "code under test. See `ulimit -a` and the limits of the container; give it more, and try again."
            )
    return ""


def _has_limited_memory() -> bool:
    """Return whether this process has a limit of memory, which its workers inherit; without one, wanting too much is a bug."""
    return any(
        resource.getrlimit(kind)[0] != resource.RLIM_INFINITY for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)
    )


def without_descriptors(pids: Iterable[int]) -> str:
    """Return which of the processes *pids* has (almost) no descriptor left to open, in words; nothing where none has."""
    for pid in pids:
        with suppress(OSError, ValueError):
            most = resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
            held = len(os.listdir(f"/proc/{pid}/fd"))
            if most != resource.RLIM_INFINITY and most - held < LEAST_DESCRIPTORS:
                return (
                    f"A worker has {held} of at most {most} files open, so what it fails at may be for want of a descriptor. "
                    "Raise the limit (`ulimit -n`). If the code under test leaves files open from one execution to the next, "
                    "isolation='fork' gives each execution processes of its own."
                )
    return ""


def oom_kills() -> int:
    """Return how many processes this kernel has killed for want of memory since it began; 0 where it does not say."""
    with suppress(OSError), open("/proc/vmstat", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
