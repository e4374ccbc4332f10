"""The shared state in PostgreSQL: a database that belongs to the exploration, restored before each execution."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

from harness.boundary.inherited_locks import Inherited
from harness.control.testbed.disk_space import no_room
from harness.control.testbed.shared_files import SharedState
from harness.errors import HarnessError, Unsupported
from harness.postgres import clock
from harness.postgres.files import Files
from harness.postgres.given import Given
from harness.postgres.link import KEPT, Link, ServerSaid
from harness.postgres.server import Server
from harness.postgres.state import MARK, Contents, Layout, cells, mark, rows_of, sorted_rows, watch_shape
from harness.postgres.surroundings import Surroundings
from harness.values.history import History, Step
from harness.values.tables import Tables, read_rows

__all__ = ["SharedDatabase"]

_LOCK_WAIT = "50ms"
"""How long reading the state waits for a table that a transaction has locked against readers."""
_LOOKS_SECONDS = 0.002
"""A session that has waited so long has looked for a deadlock: ``deadlock_timeout`` is set to 1 ms."""
_GONE_SECONDS = 10.0
_PURSUED_SECONDS = 1.0
"""How long rules wait for statements that were just unblocked; after that they see the state as it is."""
_AT_WORK = """
SELECT pid FROM pg_stat_activity WHERE pid = ANY($1) AND state = 'active' AND wait_event_type IS DISTINCT FROM 'Client'
  AND cardinality(pg_blocking_pids(pid)) = 0 AND cardinality(pg_safe_snapshot_blocking_pids(pid)) = 0
"""
_READS = urlencode(
    {"application_name": KEPT, "options": "-c default_transaction_read_only=on -c lock_timeout=2s"}, quote_via=quote
)
"""How checks connect: their sessions are not ended between executions (see ``_OTHERS``), and can only read."""
_MISSING = ("42P01", "42703", "3F000", "55000", "XX000")
"""The SQLSTATEs of reading a table that no longer exists, or has other columns than before."""

_OTHERS = (
    "FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid() AND pid <> $2::int "
    f"AND backend_type = 'client backend' AND application_name <> '{KEPT}'"
)


class SharedDatabase(SharedState):
    """A ``SharedState`` with a database in PostgreSQL: ``db`` is its URL; the files that workers share are restored too.

    The database is on the server at *url*; without one, on a server that belongs to the exploration. There, the files
    of its tables are restored before each execution. On the server of somebody else, and wherever more than rows may
    have changed, the database is copied anew from a template.
    """

    tells_time = True

    def __init__(self, directory: Path, inherited: Inherited, url: str = "") -> None:
        super().__init__(directory, inherited)
        self.seen = (*self.seen, str(directory))
        self.server = Given(url, directory) if url else Server(directory / "pg")
        self._raced, self._template_name = self.server.name, f"{self.server.name}_template"
        self._earlier_name = f"{self.server.name}_earlier"
        self.db = self.server.url(self._raced)  # type: ignore[assignment]
        self._admin = Link(self.server.url("postgres"))
        self._link, self._earlier = Link(str(self.db)), Link(self.server.url(self._earlier_name))
        self._now = 0.0
        self._layout: Layout | None = None
        self._last: Contents = {}
        self._files: Files | None = None
        self._around: Surroundings | None = None
        self._mark = b""
        self._resets = 0
        self._layout_earlier: Layout | None = None
        try:
            self.server.start()
            self._admin.ask(f"CREATE DATABASE {self._raced}")
            self.server.made(self._raced)
            clock.install(self._link)
            watch_shape(self._link)
        except BaseException:
            self.close()
            raise

    def environment_failure(self, history: History, steps: list[Step]) -> str:
        """See ``SharedState``; the server may have failed, too."""
        return self.server.ended(history) or super().environment_failure(history, steps)

    def close(self) -> None:
        """Stop the server if it belongs to the exploration, else drop the exploration's databases."""
        for link in (self._link, self._earlier, self._admin):
            link.close()
        self.server.stop()

    def take_template(self) -> None:
        """See ``SharedState``; a copy of the database is kept, too, for executions that change more than rows."""
        self.server.calm(self._connected())
        clock.replace_defaults(self._link)
        super().take_template()
        self._end_sessions(self._raced)
        owned = isinstance(self.server, Server)
        self._around = Surroundings(self._admin, self._raced, whole=owned)
        if isinstance(self.server, Server):
            self._files = Files(self._connected(), self.server.directory)
        self._look_anew()
        self._mark = mark(self._connected())
        self._read()
        self._link.close()
        self._duplicate(self._template_name, self._raced)
        self._around.stand_alone(self._template_name)

    def _duplicate(self, name: str, template: str) -> None:
        try:
            self._admin.ask(f"CREATE DATABASE {name} TEMPLATE {template} {self.server.copies}")
        except ServerSaid as said:
            if said.sqlstate != "55006":
                raise
            raise Unsupported(
                f"The database can't be copied as setup left it: {said} Does setup leave a prepared transaction, or a process "
                "that is connected?"
            ) from None

    def reset(self) -> None:
        """See ``SharedState``; restore the tables' files where only rows may have changed, else make the database anew."""
        super().reset()
        self._resets += 1
        self._end_sessions(self._raced)
        self._now = 0.0
        if self._files is None or mark(self._connected()) != self._mark:
            self._make_anew()
            return
        try:
            relations = self._files.put_back(self._link)
        except OSError as error:
            raise no_room(self.server.directory, error) from error  # type: ignore[union-attr]
        self._link.ask(";".join(filter(None, (relations, clock.setting(0.0)))))

    def set_time(self, now: float) -> None:
        """Set the clock of the server to *now*, in virtual seconds."""
        if now != self._now:
            self._now = now
            clock.set_clock(self._connected(), now)

    def waits(self, since: float) -> None:
        """Wait until the session that began to wait at *since* has looked for a deadlock, which it does only once.

        After that, only the session that closes a cycle of waits can find it. So that session's statement is the one
        that fails, however slow the machine is.
        """
        time.sleep(max(0.0, since + _LOOKS_SECONDS - time.perf_counter()))

    def _make_anew(self) -> None:
        assert self._around is not None
        self._link.close()
        self._admin.ask(f"DROP DATABASE IF EXISTS {self._raced} WITH (FORCE)")
        self._duplicate(self._raced, self._template_name)
        self._around.put_back()
        self._look_anew()
        self._link.ask(clock.setting(0.0))
        if self._files is not None:
            self._files.moved(self._link)
        self._mark = mark(self._link)

    def _look_anew(self) -> None:
        self._layout = Layout(self._connected())

    def _connected(self) -> Link:
        if self._link.idle:
            self._link.ask(f"SET lock_timeout = '{_LOCK_WAIT}'")
        return self._link

    def _end_sessions(self, database: str) -> None:
        """End the sessions left in *database*, and wait until they are gone; raises ``HarnessError`` after 10 s."""
        deadline = time.monotonic() + _GONE_SECONDS
        while self._admin.ask(f"SELECT pid, pg_terminate_backend(pid) {_OTHERS}", database, self._own()):
            if time.monotonic() > deadline:
                raise HarnessError(f"PostgreSQL has not ended the sessions in {database!r} after {_GONE_SECONDS:g} s.")
            time.sleep(0.0005)

    def _own(self) -> str:
        return str(self._link.backend)

    def snapshot(self) -> dict[str, bytes]:
        """See ``SharedState``; the committed content of tables and sequences is added to the files, by name."""
        return {**self.files(), **self._read()}

    def _read(self) -> Contents:
        """Return the committed content; ``MARK`` is empty while nothing but rows and sequences has changed."""
        try:
            found = self._read_as_known()
            if found[MARK] != self._mark:
                # Tables may have been created, dropped or altered. The other changes can't be compared between
                # executions, so the number of this one makes its states differ from those of all others.
                self._look_anew()
                found = self._read_as_known()
                found[MARK] += b" %d" % self._resets
            else:
                found[MARK] = b""
            self._last = found
        except ServerSaid as said:
            if said.sqlstate != "55P03":
                raise
            # A transaction that has not ended holds a lock against readers: its changes are not committed, and the
            # content that was read before still stands.
        return self._last

    def _read_as_known(self) -> Contents:
        assert self._layout is not None
        try:
            return self._layout.read(self._connected())
        except ServerSaid as said:
            if said.sqlstate not in _MISSING:
                raise
        self._look_anew()
        return self._layout.read(self._connected())

    def observe(self, snapshot: dict[str, bytes], *, earlier: bool = False) -> Path:
        """See ``SharedState``; return the database itself, which no worker changes now, or a second one if *earlier*."""
        if not earlier:
            return _to_read(str(self.db))
        if self._earlier.idle:
            self._duplicate(self._earlier_name, self._template_name)
            self._layout_earlier = Layout(self._earlier)
        assert self._layout_earlier is not None
        try:
            self._layout_earlier.put_back(self._earlier, dict(snapshot))
        except (ServerSaid, KeyError) as error:
            raise Unsupported(
                "A rule about changes can't be shown the database as it was, for its tables are not those that setup made "
                f"({error}). Let setup make them, or ask an invariant."
            ) from error
        self._earlier.ask(clock.setting(self._now))
        return _to_read(self._earlier.url)

    def fingerprint(self) -> int | None:
        """Return None: the locks that sessions hold in a server, and the data they see, can't be read from outside."""
        return None

    def tables(self, snapshot: dict[str, bytes]) -> Tables:
        """Return the tables in *snapshot*, their rows sorted by primary key."""
        assert self._layout is not None
        return {
            ("", name.removeprefix("public.")): read_rows(
                sorted(
                    (dict(zip(columns, cells(row), strict=False)) for row in rows_of(snapshot[name])), key=_by(keys)
                ),
                keys,
            )
            for name, keys in self._layout.keys.items()
            if name in snapshot and (columns := self._layout.columns[name])
        }

    def content(self, snapshot: dict[str, bytes]) -> Iterator[bytes]:
        """See ``SharedState``; the rows of a table are sorted, for without ORDER BY their order has no meaning."""
        return (f"{name}\n".encode() + sorted_rows(snapshot[name]) for name in sorted(snapshot) if name != MARK)

    def await_unblocked(self, sessions: list[int]) -> None:
        """Wait, 1 s at most, until each of the server's processes *sessions* is idle, or blocked by another session."""
        deadline = time.monotonic() + _PURSUED_SECONDS
        while self._admin.ask(_AT_WORK, _array(sessions)) and time.monotonic() < deadline:
            time.sleep(0.0005)

    def settle(self, abandoned: list[int]) -> None:
        """Wait until each of the server's processes *abandoned* has ended or is blocked; remove those that ended."""
        while abandoned:
            rows = self._admin.ask(
                "SELECT pid, cardinality(pg_blocking_pids(pid)) > 0 FROM pg_stat_activity WHERE pid = ANY($1)",
                _array(abandoned),
            )
            abandoned[:] = [int(pid or 0) for pid, _ in rows]
            if all(waits == b"t" for _, waits in rows):
                return
            time.sleep(0.0005)


def _to_read(url: str) -> Path:
    return f"{url}{'&' if '?' in url else '?'}{_READS}"  # type: ignore[return-value]


def _by(keys: list[str]) -> Callable[[Mapping[str, str | None]], list[tuple[int, str]]]:
    """Return a key to sort rows by the columns *keys* (by all if there are none), shorter values first."""
    return lambda row: [(len(row[key] or ""), row[key] or "") for key in keys or row]


def _array(numbers: list[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"
