"""A PostgreSQL server given by URL: its requirements, and the databases in it that are dropped at the end.

A lock in the server, and not the id of a process, tells whether the exploration that made a database still runs: others may
explore on the same server from other machines.
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from harness.errors import BadInput, Unsupported
from harness.postgres.address import Address
from harness.postgres.link import Link, ServerSaid
from harness.values.history import History

__all__ = ["PREFIX", "Given"]

PREFIX = "race_harness_"
"""The beginning of the names of explorations' databases; the process id and random digits follow."""

_OURS = re.compile(rf"({PREFIX}\d+_[0-9a-f]{{8}})(_.*)?")
_PASSWORD_FILE = "pgpass"
_OLDEST = 150_000
_PATIENCE = "10"
"""The seconds, as text for a URL, after which a server that does not answer is given up."""
_KEY = "hashtextextended($1, 0)"
_FULL = ("too many clients already", "remaining connection slots are reserved")

_SETTINGS = {
    # `harness/postgres/server.py` gives the reasons; there these are settings of the whole server.
    "deadlock_timeout": "1ms", "synchronous_commit": "off", "jit": "off", "max_parallel_workers_per_gather": "0",
    "log_min_messages": "fatal",
}  # fmt: skip

_NEEDS = """
SELECT current_setting('server_version_num'), (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
  pg_is_in_recovery(), pg_backend_pid(), current_user, current_setting('server_encoding')
"""
_STARTED = "SELECT pg_postmaster_start_time()::text"
_CALM = """
DO $$ DECLARE name regclass; BEGIN
  FOR name IN SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind = 'r' AND nspname NOT LIKE 'pg\\_%' AND nspname NOT IN ('information_schema', 'harness')
  LOOP EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = false)', name); END LOOP;
END $$
"""


class Given:
    """The server at *address*, a URL, with the same methods as ``Server``; its password may be written into *directory*.

    ``name`` is the prefix of the names of this exploration's databases; a lock of that name is held while this object lives.
    """

    copies = ""
    """The SQL option for copying a database. Empty: a copy file by file takes two checkpoints of the whole server."""

    def __init__(self, address: str, directory: Path) -> None:
        self._address = Address.parse(address)
        self._file = directory / _PASSWORD_FILE
        self.name = f"{PREFIX}{os.getpid()}_{secrets.token_hex(4)}"
        self._keeper = Link(self.url("postgres", connect_timeout=_PATIENCE))
        self._started = b""

    def url(self, database: str, **more: str) -> str:
        """Return the URL of *database*, in which the password's file stands for the password."""
        if self._address.password:
            more["passfile"] = str(self._file)
        return self._address.url(database, **more)

    def start(self) -> None:
        """Check the server, and drop databases of dead explorations; raises ``BadInput`` and ``Unsupported``."""
        if self._address.password:
            word = re.sub(r"([\\:])", r"\\\1", self._address.password)
            self._file.touch(mode=0o600)
            self._file.write_text(f"*:*:*:*:{word}\n")
        try:
            ((version, superuser, standby, pid, user, encoding),) = self._keeper.ask(_NEEDS)
            self._started = self._keeper.ask(_STARTED)[0][0] or b""
        except ServerSaid as said:
            raise BadInput(
                f"The PostgreSQL server given by URL can't be used: {said} Is it running, are host, port, user and password "
                "right, and has it a database named postgres?"
            ) from None
        if int(version or 0) < _OLDEST:
            raise self._unfit(
                f"its version is {int(version or 0) // 10_000}", f"{_OLDEST // 10_000} is the oldest that will do"
            )
        if superuser != b"t":
            why = "event triggers, session_replication_role and deadlock_timeout are for superusers alone"
            raise self._unfit(f"{(user or b'').decode()!r} is no superuser", why)
        if standby == b"t":
            raise self._unfit("it is a standby", "databases are made in it; give the primary")
        if int(pid or 0) != self._keeper.backend:
            raise self._unfit(
                "a pooler answers for it", "who waits for whom is told by the server's processes; give its own URL"
            )
        if encoding != b"UTF8":
            raise self._unfit(f"its encoding is {(encoding or b'').decode()}", "the harness reads the state as UTF8")
        self._sweep()
        self._keeper.ask(f"SELECT pg_advisory_lock({_KEY})", self.name)

    def _unfit(self, what: str, why: str) -> Unsupported:
        return Unsupported(f"The PostgreSQL server at {self._address.text} can't be raced over: {what}, but {why}.")

    def _sweep(self) -> None:
        """Drop the databases of explorations that have ended: the lock of such an exploration can be taken."""
        names = [(name or b"").decode() for (name,) in self._keeper.ask("SELECT datname FROM pg_database")]
        for name in {match[1] for each in names if (match := _OURS.fullmatch(each))}:
            if self._keeper.ask(f"SELECT pg_try_advisory_lock({_KEY})", name)[0][0] == b"t":
                self._drop(name)
                self._keeper.ask(f"SELECT pg_advisory_unlock({_KEY})", name)

    def _drop(self, name: str) -> None:
        for (each,) in self._keeper.ask("SELECT datname FROM pg_database WHERE starts_with(datname, $1)", name):
            self._keeper.ask(f"DROP DATABASE IF EXISTS {(each or b'').decode()} WITH (FORCE)")

    def made(self, database: str) -> None:
        """Give *database*, which has just been made, the settings that a server of our own has for all databases."""
        for name, value in _SETTINGS.items():
            self._keeper.ask(f"ALTER DATABASE {database} SET {name} = '{value}'")

    def calm(self, link: Link) -> None:
        """Turn autovacuum off for all tables of *link*'s database, because it takes locks at times of its own choosing."""
        link.ask(_CALM)

    def ended(self, history: History) -> str:
        """Return a text on how the server has failed, empty if it has not: it was full, was restarted or does not answer."""
        told = next((said for event in history for said in _FULL if said in f"{event.value} {event.error}"), "")
        if told:
            return (
                f"The PostgreSQL server at {self._address.text} had no room for another session ({told!r}), so what failed "
                "can't be laid to the code under test. Raise its max_connections, or use fewer jobs."
            )
        try:
            with Link(self._keeper.url) as link:
                if link.ask(_STARTED)[0][0] == self._started:
                    return ""
            what = "has been started anew"
        except ServerSaid as said:
            what = f"does not answer any more ({said})"
        server = f"The PostgreSQL server at {self._address.text}"
        return f"{server} {what}, so the failure can't be attributed to the code under test."

    def stop(self) -> None:
        """Drop the databases of this exploration. The next exploration drops any that are left."""
        with suppress(ServerSaid):
            if not self._keeper.idle:
                self._drop(self.name)
        self._keeper.close()
        self._file.unlink(missing_ok=True)
