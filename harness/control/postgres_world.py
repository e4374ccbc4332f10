"""The shared state where it is in PostgreSQL: a database of the exploration's own, put back before each execution."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

from harness.control.room import no_room
from harness.control.world import World
from harness.errors import HarnessError, Unsupported
from harness.history import History, Step
from harness.inherited import Inherited
from harness.postgres import clock
from harness.postgres.files import Files
from harness.postgres.given import Given
from harness.postgres.link import KEPT, Link, ServerSaid
from harness.postgres.server import Server
from harness.postgres.state import MARK, Contents, Layout, cells, mark, rows_of, sorted_rows, watch_shape
from harness.postgres.surroundings import Surroundings
from harness.tables import Tables, read_rows

__all__ = ["PostgresWorld"]

_LOCK_WAIT = "50ms"
"""How long reading the state waits for a table that somebody has locked against all others."""
_LOOKS_SECONDS = 0.002
"""How long after a session began to wait it has surely looked for a deadlock: the server is told 1 ms."""
_GONE_SECONDS = 10.0
_PURSUED_SECONDS = 1.0
"""How long a statement that was let go may take before rules are asked about the state, whatever it will come to."""
_AT_WORK = """
SELECT pid FROM pg_stat_activity WHERE pid = ANY($1) AND state = 'active' AND wait_event_type IS DISTINCT FROM 'Client'
  AND cardinality(pg_blocking_pids(pid)) = 0 AND cardinality(pg_safe_snapshot_blocking_pids(pid)) = 0
"""
_READS = urlencode(
    {"application_name": KEPT, "options": "-c default_transaction_read_only=on -c lock_timeout=2s"}, quote_via=quote
)
"""How checks look at the database: who they are need not be ended, and what they do changes nothing."""
_MISSING = ("42P01", "42703", "3F000", "55000", "XX000")
"""What the server says of a table that is not there any more, or not as it was."""

_OTHERS = (
    "FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid() AND pid <> $2::int "
    f"AND backend_type = 'client backend' AND application_name <> '{KEPT}'"
)


class PostgresWorld(World):
    """See ``World``: the files that workers share are put back too, and ``db`` is the URL of the database.

    It is on the server at *url*, or without one on a server of its own. There the files of tables are laid out anew before each
    execution; elsewhere the database is copied from a template, and always where more than rows may have changed.
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

    def ails(self, history: History, steps: list[Step]) -> str:
        """See ``World``: besides, the server has ended."""
        return self.server.ended(history) or super().ails(history, steps)

    def close(self) -> None:
        """End the server, or drop what is ours in it."""
        for link in (self._link, self._earlier, self._admin):
            link.close()
        self.server.stop()

    def take_template(self) -> None:
        """See ``World``; besides, the database is kept as a template for executions that change more than rows."""
        self.server.calm(self._connected())
        clock.replace_defaults(self._link)
        super().take_template()
        self._end_sessions(self._raced)
        owned = isinstance(self.server, Server)
        self._around = Surroundings(self._admin, self._raced, owned)
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
        """See ``World``: files are laid out anew where only rows may have changed, else the database is made anew."""
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

    def be(self, now: float) -> None:
        """See ``World``."""
        if now != self._now:
            self._now = now
            clock.set_clock(self._connected(), now)

    def waits(self, since: float) -> None:
        """See ``World``: a session that waits looks for a deadlock once, and that is to be before anybody closes a circle.

        So who closes it is the one whose statement fails, whatever the machine is busy with.
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
        """End what sessions are left in *database*, and wait until the server has."""
        deadline = time.monotonic() + _GONE_SECONDS
        while self._admin.ask(f"SELECT pid, pg_terminate_backend(pid) {_OTHERS}", database, self._own()):
            if time.monotonic() > deadline:
                raise HarnessError(f"PostgreSQL has not ended the sessions in {database!r} after {_GONE_SECONDS:g} s.")
            time.sleep(0.0005)

    def _own(self) -> str:
        return str(self._link.backend)

    def snapshot(self) -> dict[str, bytes]:
        """See ``World``: what is committed in tables and sequences, as they are called, beside the files."""
        return {**self.files(), **self._read()}

    def _read(self) -> Contents:
        """Return what is committed; under ``MARK`` nothing while there is nothing new but rows and sequences."""
        try:
            found = self._read_as_known()
            if found[MARK] != self._mark:
                # Tables may have come, gone and changed. What else is new can't be compared with other executions.
                self._look_anew()
                found = self._read_as_known()
                found[MARK] += b" %d" % self._resets
            else:
                found[MARK] = b""
            self._last = found
        except ServerSaid as said:
            if said.sqlstate != "55P03":
                raise
            # A table is locked against all others by a transaction that has not ended: what could be read before stands.
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

    def observe(self, snapshot: dict[str, bytes], earlier: bool = False) -> Path:
        """See ``World``: the database itself, which nobody changes now; one that is *earlier* is laid out beside it."""
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

    def likeness(self) -> int | None:
        """See ``World``: what sessions hold and see in a server can't be told from outside."""
        return None

    def tables(self, snapshot: dict[str, bytes]) -> Tables:
        """See ``World``."""
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
        """See ``World``: rows in whatever order, for they come in none unless they are asked to."""
        return (f"{name}\n".encode() + sorted_rows(snapshot[name]) for name in sorted(snapshot) if name != MARK)

    def pursue(self, sessions: list[int]) -> None:
        """See ``World``: none of the server's processes *sessions* is at work on a statement and waits for nobody."""
        deadline = time.monotonic() + _PURSUED_SECONDS
        while self._admin.ask(_AT_WORK, _array(sessions)) and time.monotonic() < deadline:
            time.sleep(0.0005)

    def settle(self, abandoned: list[int]) -> None:
        """See ``World``: each of the server's processes *abandoned* has ended, or waits for a lock."""
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
    """Return what sorts rows by the columns *keys*, shorter numbers first; without any by all they have."""
    return lambda row: [(len(row[key] or ""), row[key] or "") for key in keys or row]


def _array(numbers: list[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"
