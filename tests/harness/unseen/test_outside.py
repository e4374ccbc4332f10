"""What workers tell of the world outside: each class of it is unknown with the call and the line, and can be allowed."""

from __future__ import annotations

import ctypes
import http.client
import logging
import mmap
import os
import signal
import socket
import socketserver
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from multiprocessing import shared_memory
from pathlib import Path

import pytest

from harness.result import Result
from harness.scenario import Scenario, Workload
from harness.verdict import Verdict
from tests.harness.counter import explored, raced

pytestmark = pytest.mark.forks

LIBC = ctypes.CDLL(None)
RENAME = ctypes.CDLL(None).rename
PLACE: dict[str, str] = {}
"""Where the servers and files of the test under way are; workers inherit it."""


class _Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True


@pytest.fixture(autouse=True)
def places(tmp_path: Path) -> Iterator[None]:
    """Have a folder elsewhere, and a server of lines on a port."""
    with _Server(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        PLACE.update(folder=str(tmp_path), port=str(server.server_address[1]))
        yield
        server.shutdown()


def elsewhere(name: str) -> Path:
    """Return a path in the folder elsewhere."""
    return Path(PLACE["folder"], name)


def both(worker: Callable[..., object], allows: tuple[str, ...] = ()) -> Result:
    """Race *worker* twice, to the end."""
    return explored(raced(worker, setup=lambda db: (db.parent / "page").write_bytes(bytes(8)) and None, allows=allows))


def tcp(_: Path) -> None:
    """Ask a server, as a client of Redis does."""
    with socket.create_connection(("127.0.0.1", int(PLACE["port"]))) as end, end.makefile("rwb") as file:
        file.write(b"PING\n")
        file.flush()
        file.readline()


def over_http(_: Path) -> None:
    """Ask a server that has something else to say."""
    connection = http.client.HTTPConnection("127.0.0.1", int(PLACE["port"]))
    connection.request("GET", "/")
    connection.sock.recv(1)
    connection.close()


def datagram(_: Path) -> None:
    """Send a datagram, as a client of memcached does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.sendto(b"incr n 1", ("127.0.0.1", int(PLACE["port"])))


def abstract(_: Path) -> None:
    """Take an address that is no file, as a lock."""
    with socket.socket(socket.AF_UNIX) as end:
        end.bind("\0unseen-test")


def counts_elsewhere(_: Path) -> None:
    """Read a number in a file elsewhere, and write the next one."""
    path = elsewhere("number")
    path.write_text(str(int(path.read_text() if path.exists() else 0) + 1))


def appends_elsewhere(_: Path) -> None:
    """Add to one log of both."""
    with elsewhere("log").open("a") as file:
        file.write("x\n")


def locks_elsewhere(_: Path) -> None:
    """Take a lock that is a directory."""
    elsewhere("lock").mkdir(exist_ok=True)


def database_elsewhere(_: Path) -> None:
    """Change a database elsewhere."""
    with closing(sqlite3.connect(elsewhere("other.db"))) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS t (n)")


def in_memory(_: Path) -> None:
    """Share memory by name."""
    try:
        memory = shared_memory.SharedMemory("unseen-test", create=True, size=8)
    except FileExistsError:
        memory = shared_memory.SharedMemory("unseen-test")
    memory.close()


def maps(db: Path) -> None:
    """Change a file through memory."""
    with (db.parent / "page").open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[0] += 1


def renames(db: Path) -> None:
    """Rename a file by a function of the C library that was taken at import."""
    RENAME(os.fsencode(db.parent / "page"), os.fsencode(db.parent / "taken"))


def waits_for_a_semaphore(_: Path) -> None:
    """Open a semaphore that has a name."""
    LIBC.sem_open(b"/unseen-test", os.O_CREAT, 0o600, 1)
    LIBC.sem_unlink(b"/unseen-test")


def runs(_: Path) -> None:
    """Run a program."""
    subprocess.run(["true"], check=True)


def in_a_shell(_: Path) -> None:
    """Run one by a shell."""
    subprocess.run("true && true", shell=True, check=True)


def forks(_: Path) -> None:
    """Fork."""
    if not (pid := os.fork()):
        os._exit(0)
    os.waitpid(pid, 0)


def signals(_: Path) -> None:
    """Send a signal that does nothing to the parent."""
    os.kill(os.getppid(), signal.SIGCONT)


@pytest.mark.parametrize(
    ("worker", "name"),
    [
        (tcp, "socket:127.0.0.1:PORT"),
        (over_http, "socket:127.0.0.1:PORT"),
        (datagram, "socket:127.0.0.1:PORT"),
        (abstract, "socket:@unseen-test"),
        (counts_elsewhere, "file:FOLDER/number"),
        (appends_elsewhere, "file:FOLDER/log"),
        (locks_elsewhere, "file:FOLDER/lock"),
        (database_elsewhere, "file:FOLDER/other.db"),
        (in_memory, "file:/dev/shm/unseen-test"),
        (maps, "mmap:page"),
        (renames, "library:rename"),
        (waits_for_a_semaphore, "library:sem_open"),
        (runs, "process:true"),
        (in_a_shell, "process:true"),
        (forks, "process:fork"),
        (signals, "signal:SIGCONT"),
    ],
)
def test_it_is_unknown_unless_it_is_allowed_by_name(worker: Callable[..., object], name: str) -> None:
    """With the line of this file; a pattern allows it too, and the result says what was allowed."""
    result = both(worker)
    assert result.verdict is Verdict.UNKNOWN
    name = name.replace("PORT", PLACE["port"]).replace("FOLDER", PLACE["folder"])
    assert any(f'allows=("{name}",)' in reason and " at test_outside.py:" in reason for reason in result.reasons)
    for left in Path(PLACE["folder"]).iterdir():
        left.rmdir() if left.is_dir() else left.unlink()
    allowed = both(worker, ("socket:*", "file:*", "mmap:page", "library:*", "process:*", "signal:SIG*"))
    assert allowed.verdict is Verdict.VALID, allowed.reasons
    assert allowed.complete
    assert name in allowed.allowed


def talks_to_itself(_: Path) -> None:
    """Use a pair of sockets inside this process."""
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"x")
        other.recv(1)


def has_private_files(_: Path) -> None:
    """Use temporary files, and leave none."""
    with tempfile.NamedTemporaryFile("w+") as file:
        file.write("x")
        file.seek(0)
        file.read()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x").write_text("x")
        with closing(sqlite3.connect(Path(folder, "x.db"))) as connection:
            connection.execute("CREATE TABLE t (n)")


def reads_what_nobody_writes(_: Path) -> None:
    """Look at what is there."""
    Path(__file__).read_bytes()
    Path("/etc/hostname").exists()
    Path("/proc/self/status").read_text()
    with open("/dev/null", "w") as nothing:
        nothing.write(str(len(os.urandom(4))))
    os.listdir(Path(__file__).parent)


def imports_late(_: Path) -> None:
    """Import a module for the first time, which may write its compiled form."""
    import wsgiref.validate  # noqa: F401


@pytest.mark.parametrize("worker", [talks_to_itself, has_private_files, reads_what_nobody_writes, imports_late])
def test_what_nobody_shares_is_nothing(worker: Callable[..., object]) -> None:
    """Valid and complete, without a word."""
    result = both(worker)
    assert (result.verdict, result.complete, result.notes) == (Verdict.VALID, True, ()), result.reasons


def logs(_: Path) -> None:
    """Write a log of its own."""
    handler = logging.FileHandler(elsewhere(f"{os.getpid()}.log"))
    handler.emit(logging.makeLogRecord({"msg": "x"}))
    handler.close()


def test_a_log_of_its_own_is_a_note() -> None:
    """One worker writes it, nobody reads it."""
    result = both(logs)
    assert result.verdict is Verdict.VALID
    assert len(result.notes) == 2
    assert "only worker 0 writes" in result.notes[0]


def test_a_race_is_a_race_all_the_same() -> None:
    """What is invalid stays so; what was outside is told besides."""

    def counts(db: Path) -> None:
        subprocess.run(["true"], check=True)
        page = db.parent / "page"
        page.write_bytes(bytes([page.read_bytes()[0] + 1]))

    result = explored(
        Scenario(
            name="both",
            setup=lambda db: (db.parent / "page").write_bytes(bytes(1)) and None,
            operations={"counts": counts},
            workload=lambda n: Workload.each("counts", workers=n),
            at_end=(_counted(),),
        )
    )
    assert result.verdict is Verdict.INVALID
    assert result.notes == ("process:true",)


def _counted():  # type: ignore[no-untyped-def]
    from harness.scenario import Check

    return Check("both count", lambda db: (db.parent / "page").read_bytes() == b"\2")
