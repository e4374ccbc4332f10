"""Tells a shortage of the machine (of processes, threads, descriptors, memory) from an error of the code under test."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from harness.errors import Unjudged, Unsupported
from harness.values.history import Event

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
"""A process with fewer free descriptors counts as one without any: a database alone opens three files."""

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
"""The error numbers by which a system says that it has run out of something."""

_SAID = ("can't start new thread", "Too many open files", "Cannot allocate memory")


class Shortage(Unsupported, Unjudged):
    """The machine lacks something that the harness or the code under test needs, so the code can't be judged."""


def refused(what: str, error: OSError) -> Shortage:
    """Return the exception to raise where the system refused something with *error*.

    *what* names the thing that was refused.
    """
    name = errno.errorcode.get(error.errno or 0, "")
    cause = _CAUSES.get(error.errno or 0, "see the limits of this user and container")
    return Shortage(
        f"The system refused {what} ({name} {error.strerror}), so nothing that runs here can be judged. "
        f"Likely cause: {cause}. Raise the limit, or run fewer things at the same time (--jobs), and try again."
    )


@contextmanager
def ascribed(what: str) -> Iterator[None]:
    """Raise ``Shortage`` instead of an ``OSError`` by which the system refuses something; let other errors pass.

    *what* names in the message the thing that was refused.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _CAUSES:
            raise refused(what, error) from error
        raise


def told_of_shortage(events: Iterable[Event]) -> str:
    """Return why *events* can't be judged if a call was told of a shortage of the machine; else an empty string."""
    for event in events:
        text = str(event.value)
        if (event.error == "MemoryError" and _has_limited_memory()) or any(said in text for said in _SAID):
            return (
                f"A call was told '{event.error}: {text}': the machine is short of it, so the failure can't be laid to the "
                "code under test. See `ulimit -a` and the limits of the container; give it more, and try again."
            )
    return ""


def _has_limited_memory() -> bool:
    """Return whether this process has a limit of memory, which its workers inherit.

    Without one, a ``MemoryError`` is a bug: the code asked for too much.
    """
    return any(
        resource.getrlimit(kind)[0] != resource.RLIM_INFINITY for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)
    )


def without_descriptors(pids: Iterable[int]) -> str:
    """Return in words which of the processes *pids* is (almost) out of descriptors; an empty string if none is."""
    for pid in pids:
        with suppress(OSError, ValueError):
            most = resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
            held = len(os.listdir(f"/proc/{pid}/fd"))
            if most != resource.RLIM_INFINITY and most - held < LEAST_DESCRIPTORS:
                return (
                    f"A worker has {held} of at most {most} files open, so what it fails at may be for lack of a descriptor. "
                    "Raise the limit (`ulimit -n`). If the code under test leaves files open from one execution to the next, "
                    "isolation='fork' gives each execution processes of its own."
                )
    return ""


def oom_kills() -> int:
    """Return how many processes the kernel has killed for lack of memory since it booted; 0 if it does not say."""
    with suppress(OSError), open("/proc/vmstat", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
