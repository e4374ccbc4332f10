"""C functions that the code under test calls through ``ctypes`` and that reach out of the process, named.

The audit of the shared directory finds what they do there; this file is for the rest.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

from harness.worker.instrument.uncontrolled.outside import Outside

__all__ = ["install"]

_REACHING = frozenset(
    {
        # Semaphores, shared memory and queues, of POSIX and of System V.
        "sem_open", "sem_unlink", "shm_open", "shm_unlink", "mq_open", "mq_unlink", "semget", "semop", "semtimedop", "semctl",
        "shmget", "shmat", "shmctl", "msgget", "msgsnd", "msgrcv", "msgctl",
        # Sockets and other processes.
        "socket", "connect", "bind", "send", "sendto", "sendmsg", "recv", "recvfrom", "recvmsg", "fork", "vfork",
        "system", "popen", "posix_spawn", "posix_spawnp", "execve", "execvp", "kill", "killpg", "sigqueue", "syscall",
        # Files, and locks on them.
        "open", "openat", "open64", "creat", "fopen", "fopen64", "rename", "renameat", "renameat2", "unlink", "unlinkat",
        "remove", "mkdir", "rmdir", "link", "symlink", "truncate", "ftruncate", "write", "pwrite", "pwrite64", "read",
        "pread", "pread64", "access", "stat", "flock", "lockf", "fcntl", "mmap", "mmap64",
    }
)  # fmt: skip
_OTHERS = "harness", "ctypes"
"""Whose libraries are left alone: ours are called all the time."""
_Function: Any = ctypes._CFuncPtr  # type: ignore[attr-defined]
_SQLITE = "sqlite3_"
_HARNESS = __file__.rpartition("/worker/")[0]


def install(outside: Outside) -> None:
    """Have the functions of every library loaded through ``ctypes`` tell *outside* from now on."""
    for module_name, module in list(sys.modules.items()):
        names = getattr(module, "__dict__", None)
        if isinstance(names, dict) and module_name.partition(".")[0] not in _OTHERS:
            for value in list(names.values()):
                _look(value, outside)
    begin = ctypes.CDLL.__init__

    def began(self: Any, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        if not sys._getframe(1).f_code.co_filename.startswith(_HARNESS):
            _watch(self._FuncPtr, outside)

    ctypes.CDLL.__init__ = began  # type: ignore[method-assign]


def _look(value: Any, outside: Outside) -> None:
    """Watch the library *value*, or the library of the function *value*."""
    kind = type(value)
    if issubclass(kind, ctypes.CDLL):
        _watch(value._FuncPtr, outside)
    elif issubclass(kind, _Function) and kind is not _Function and kind.__name__ == "_FuncPtr":
        _watch(kind, outside)


def _watch(kind: Any, outside: Outside) -> None:
    if "__call__" in vars(kind):
        return
    call = kind.__call__

    def told(self: Any, *args: Any, **options: Any) -> Any:
        if outside.listens:
            name = getattr(self, "__name__", "")
            if name in _REACHING or (isinstance(name, str) and name.startswith(_SQLITE)):
                outside.tell(f"library:{name}", f"called the C function {name}")
        return call(self, *args, **options)

    kind.__call__ = told
