"""A transport for asyncio clients that speak PostgreSQL's protocol themselves (``asyncpg``), with schedule points in it.

What is written goes to the server when the schedule lets it, in a strand of its own; the answer comes back whole.
"""

from __future__ import annotations

import _socket
import asyncio
import math
import select
import socket
import struct
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from harness.boundary import messages as news
from harness.postgres.link import KEPT, TAKEN
from harness.worker.controlled_threads import Wanted
from harness.worker.instrument.postgresql.protocol import Exchange, Frontend, Reply, messages, simple, welcome
from harness.worker.instrument.postgresql.reading import effect
from harness.worker.instrument.postgresql.sessions import LOCKS, NOTIFIED, Session, Sessions
from harness.worker.instrument.postgresql.timeouts import GREETING, TimedOut
from harness.worker.runtime import Runtime
from harness.worker.source import Place, where

__all__ = ["Dialler"]

_KINDS = {"COMMIT": "commit", "END": "commit", "ROLLBACK": "rollback", "ABORT": "rollback"}
_PIECE = 1 << 16


class Dialler:
    """Connects to servers, and keeps closed sessions for clients that connect with the same parameters."""

    def __init__(self, runtime: Runtime, sessions: Sessions) -> None:
        self.runtime, self.sessions = runtime, sessions
        self.kept: dict[bytes, list[tuple[socket.socket, bytes, int]]] = {}
        self.settings: dict[int, list[bytes | None]] = {}

    def dial(
        self, loop: asyncio.AbstractEventLoop, factory: Callable[[], Any], family: int, address: Any
    ) -> tuple[Any, Any]:
        """Connect to *address*; return the transport and the protocol, as ``create_connection`` does."""
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            _socket.socket.connect(connection, address)  # not that of ``socket``, which is named where it is used
        except BaseException:
            connection.close()
            raise
        protocol = factory()
        transport = Transport(self, loop, connection, protocol)
        protocol.connection_made(transport)
        return transport, protocol


class Transport(asyncio.Transport):
    """One connection."""

    def __init__(self, dialler: Dialler, loop: Any, connection: socket.socket, protocol: Any) -> None:
        super().__init__({"socket": connection, "peername": "", "sockname": ""})
        self._dialler, self._runtime, self._sessions = dialler, dialler.runtime, dialler.sessions
        self._loop, self._socket, self._protocol = loop, connection, protocol
        self._frontend = Frontend()
        self._exchanges: deque[tuple[Exchange, Place | None]] = deque()
        self._carrying = self._closing = self._listens = False
        self._words, self._welcome = b"", b""
        self._session: Session | None = None
        self._pid = 0
        self._in_transaction = False
        self._prepared = ""

    # What asyncio wants of a transport

    def write(self, data: Any) -> None:
        """Take in *data* to be sent."""
        if self._closing:
            return
        place = where(2)
        for exchange in self._frontend.feed(bytes(data)):
            if exchange.kind == "unknown":
                self._runtime.fail(
                    "it speaks over a socket in a protocol that is not PostgreSQL's, which is not controlled"
                )
            self._exchanges.append((exchange, place))
        self._next()

    def writelines(self, list_of_data: Any) -> None:
        """Take in all of *list_of_data* to be sent."""
        self.write(b"".join(bytes(data) for data in list_of_data))

    def is_closing(self) -> bool:
        """Whether it is closed or will be."""
        return self._closing

    def close(self) -> None:
        """Close it, whatever has not been sent."""
        self.abort()

    def abort(self) -> None:
        """Close it at once."""
        if not self._closing:
            self._closing = True
            self._exchanges.clear()
            self._hang_up()
            if self._pid:
                self._sessions.await_end(self._pid)
                self._sessions.closed(self._pid)
            self._loop.call_soon(self._protocol.connection_lost, None)

    def get_protocol(self) -> Any:
        """Return the protocol that receives the data."""
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        """Set the protocol that receives the data."""
        self._protocol = protocol

    def pause_reading(self) -> None:
        """An answer comes whole or not at all."""

    def resume_reading(self) -> None:
        """See ``pause_reading``."""

    def is_reading(self) -> bool:
        """Return whether the transport still takes in data."""
        return not self._closing

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are not sent yet."""
        return sum(len(exchange.data) for exchange, _ in self._exchanges)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There are none."""

    # Exchanges, one after another

    def _next(self) -> None:
        if not self._carrying and self._exchanges and not self._closing:
            self._carrying = True
            exchange, place = self._exchanges.popleft()
            self._loop.run_in_executor(None, partial(self._carry, exchange, place))

    def _carry(self, exchange: Exchange, place: Place | None) -> None:
        """Send *exchange* when it is let go, and give the answer to the protocol."""
        if exchange.kind == "end":
            self._end(place)
            return
        sent = b""
        if exchange.kind == "startup" and not self._words:
            self._words = exchange.data
            sent = self._kept() or b""
        elif exchange.sql and self._is_a_step(exchange):
            self._runtime.park(_KINDS.get(effect(exchange.sql).word, "sql"), exchange.sql, "", place)
        answer = sent or self._answer(exchange)
        if exchange.kind == "cancel":
            self._loop.call_soon_threadsafe(self._protocol.connection_lost, None)
            self._closing = True
            self._socket.close()
            self._runtime.news.append(news.released(LOCKS))
            return
        if answer:
            self._loop.call_soon_threadsafe(self._protocol.data_received, answer)
        if effect(exchange.sql).word == "LISTEN" and not self._listens:
            self._listens = True
            self._runtime.threads += 1
            self._runtime.spawn(self._listen, self._runtime.child_lane(self._runtime.lane()))
        self._loop.call_soon_threadsafe(self._carried)

    def _carried(self) -> None:
        self._carrying = False
        self._next()

    def _is_a_step(self, exchange: Exchange) -> bool:
        """Return whether *exchange* is a step: preparing and running are one, unless preparing takes the snapshot."""
        prepared, self._prepared = self._prepared, "" if exchange.runs else exchange.sql
        snapshot = self._session is not None and self._session.serializable
        return not exchange.runs or snapshot or prepared != exchange.sql

    def _answer(self, exchange: Exchange) -> bytes:
        """Send *exchange* and return the answer, waiting for others where the server does."""
        reply = Reply(exchange)
        try:
            session = self._met(exchange)
            if session is not None:
                self._sessions.begins(session, exchange.sql)
            self._socket.sendall(exchange.data)
            self._read(reply, session)
        except OSError:
            reply.feed(b"")
        if reply.process:
            self._pid, self._welcome = reply.process, welcome(reply.data)
            self._dialler.settings[self._pid] = self._settings()
        if reply.status:
            self._in_transaction = reply.status in ("T", "E")
        if self._session is not None and exchange.runs:
            if reply.error[0]:
                self._runtime.news.append(news.error(f"{reply.error[0]}: {reply.error[1]}"))
            self._sessions.did(self._session, exchange.sql, self._in_transaction, bool(reply.error[0]))
            if session is not None and session.timeouts.unsure and reply.status in ("I", "T"):
                self._greet("NULL")
        return reply.data

    def _read(self, reply: Reply, session: Session | None) -> None:
        late = None
        while not reply.whole:
            if session is not None and late is None:
                try:
                    self._sessions.wait(session, self._readable)
                except TimedOut as timed_out:
                    late = timed_out
            reply.feed(self._socket.recv(_PIECE))
        if late is not None and reply.error[0] == "57014":
            reply.data = _said_otherwise(reply.data, late.sqlstate.encode(), str(late).encode())
            reply.error = late.sqlstate, str(late)
        elif session is not None:
            self._sessions.passed_in_reality(*reply.error)

    def _readable(self, seconds: float) -> bool:
        return bool(select.select((self._socket,), (), (), seconds)[0])

    def _met(self, exchange: Exchange) -> Session | None:
        """Return the session, which is known from its first statement of the race on."""
        if self._session is None and self._pid and exchange.sql and self._runtime.controlled:
            self._session = Session(self._pid, self._cancel, self._hang_up)
            seed = self._sessions.opened(self._session)
            if not self._in_transaction:
                self._greet(f"setseed({seed!r})")
        return self._session

    def _greet(self, seed: str) -> None:
        """Ask the session for its settings, when it has nothing else to answer."""
        assert self._session is not None
        for tag, body in messages(self._ask(GREETING.format(seed))):
            if tag == "D":
                away = self._session.greeted(*_cells(body)[1:])
                if away:
                    self._ask(away)

    def _ask(self, sql: str) -> bytes:
        """Run *sql* for ourselves; return the answer."""
        reply = Reply(exchange := simple(sql))
        self._socket.sendall(exchange.data)
        while not reply.whole:
            reply.feed(self._socket.recv(_PIECE))
        return b"" if reply.error[0] else reply.data

    def _settings(self) -> list[bytes | None]:
        """Return values that change with the settings that a new session would have; empty if the server does not tell."""
        return [cell for tag, body in messages(self._ask(TAKEN)) if tag == "D" for cell in _cells(body)]

    def _cancel(self) -> None:
        """Cancel the session's current statement in the server."""
        secret = next((body[4:] for tag, body in messages(self._welcome) if tag == "K"), b"")
        with socket.socket(self._socket.family, socket.SOCK_STREAM) as other:
            other.connect(self._socket.getpeername())
            other.sendall(struct.pack("!iii", 12 + len(secret), 80877102, self._pid) + secret)
            other.recv(1)

    # Notifications

    def _listen(self) -> None:
        """Deliver notifications to a listening client: the server sends them with the answer to a statement."""
        lane = self._runtime.lane()
        wanted, again = Wanted(lane, "notify", "wait for a notification", None, NOTIFIED, math.inf), False
        try:
            self._bring(wanted, again)
        finally:
            self._runtime.threads -= 1

    def _bring(self, wanted: Wanted, again: bool) -> None:
        while not self._closing:
            if not self._carrying and not self._in_transaction:
                found = _only_notifications(self._ask(""))
                if found:
                    self._sessions.heard()
                    self._loop.call_soon_threadsafe(self._protocol.data_received, found)
                    again = False
            self._runtime.wait_for(wanted, again)
            again = True

    # The end

    def _end(self, place: Place | None) -> None:
        if self._runtime.controlled:
            self._runtime.park("close", "close", "", place)
        self._closing = True
        if not self._keep():
            self._hang_up()
            self._sessions.await_end(self._pid)
        self._sessions.closed(self._pid)
        self._loop.call_soon_threadsafe(self._protocol.connection_lost, None)

    def _hang_up(self) -> None:
        self._socket.close()

    def _keep(self) -> bool:
        """Keep the session for clients that connect with the same parameters."""
        if not self._welcome:
            return False
        try:
            if self._in_transaction:
                self._ask("ROLLBACK")
            if (
                not self._ask("DISCARD ALL")
                or self._pid not in self._dialler.settings
                or not self._ask(f"SET application_name = '{KEPT}'")
            ):
                return False
        except OSError:
            return False
        self._dialler.kept.setdefault(self._words, []).append((self._socket, self._welcome, self._pid))
        return True

    def _kept(self) -> bytes | None:
        """Take over a session that was kept; return the server's welcome to it."""
        kept = self._dialler.kept.get(self._words)
        while kept:
            mine = self._socket
            self._socket, self._welcome, self._pid = kept.pop()
            try:
                if self._settings() == self._dialler.settings[self._pid]:
                    mine.close()
                    return self._welcome
            except OSError:
                pass
            self._socket.close()
            self._socket, self._welcome, self._pid = mine, b"", 0
        return None


def _cells(body: bytes) -> list[bytes | None]:
    """Return the cells of a DataRow."""
    (count,) = struct.unpack_from("!h", body)
    found: list[bytes | None] = []
    at = 2
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, at)
        at += 4
        found.append(body[at : at + length] if length >= 0 else None)
        at += max(length, 0)
    return found


def _only_notifications(data: bytes) -> bytes:
    return b"".join(b"A" + struct.pack("!i", 4 + len(body)) + body for tag, body in messages(data) if tag == "A")


def _said_otherwise(data: bytes, code: bytes, text: bytes) -> bytes:
    """Return *data* with another SQLSTATE and text in its error."""
    found = b""
    for tag, body in messages(data):
        if tag == "E":
            parts = {part[:1]: part[1:] for part in body.split(b"\0") if part}
            parts.update({b"C": code, b"M": text})
            body = b"".join(key + value + b"\0" for key, value in parts.items()) + b"\0"
        found += tag.encode() + struct.pack("!i", 4 + len(body)) + body
    return found
