"""PostgreSQL's protocol, as far as needed to know a client's requests and the ends of the server's answers. Does no I/O.

The messages are those of PostgreSQL's documentation, chapter "Frontend/Backend Protocol", version 3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Exchange", "Frontend", "Reply", "messages", "simple", "welcome"]

_CANCEL, _TLS, _GSS = 80877102, 80877103, 80877104
_ANSWERS = {"P": "1", "B": "2", "C": "3", "D": "Tn", "E": "CsI"}
"""The last message of the answer to each one that is asked for before a Flush."""
_ENDS = {
    "Q": "query", "S": "query", "F": "query", "c": "query", "f": "query", "H": "flush", "d": "silent",
    "p": "startup", "X": "end",
}  # fmt: skip
"""The messages after which a client waits, and for what."""
_COPIES = "GWH"


@dataclass(slots=True)
class Exchange:
    """The bytes that a client sends before it waits for an answer.

    ``kind``: ``startup``, ``cancel``, ``tls``, ``query`` (answered up to ReadyForQuery), ``flush`` (a message for each
    of ``expected``), ``silent`` (no answer), ``end`` or ``unknown`` (another protocol). ``sql`` is the statement,
    ``runs`` whether it is run or only prepared.
    """

    kind: str
    data: bytes
    sql: str = ""
    runs: bool = False
    expected: list[str] = field(default_factory=list)


class Frontend:
    """Splits the bytes of one client into exchanges."""

    def __init__(self) -> None:
        self._left = b""
        self._started = False
        self._prepared: dict[bytes, str] = {}
        self._portals: dict[bytes, str] = {}
        self._now = Exchange("query", b"")

    def feed(self, data: bytes) -> Iterator[Exchange]:
        """Take in *data*; yield each exchange that is whole."""
        self._left += data
        while (whole := self._first()) is not None:
            yield from self._take(*whole)

    def _first(self) -> tuple[str, bytes] | None:
        skip = 1 if self._started else 0
        if len(self._left) < skip + 4:
            return None
        (length,) = struct.unpack_from("!i", self._left, skip)
        if len(self._left) < skip + length:
            return None
        message, self._left = self._left[: skip + length], self._left[skip + length :]
        return (chr(message[0]) if skip else ""), message

    def _take(self, tag: str, message: bytes) -> Iterator[Exchange]:
        if not self._started:
            (code,) = struct.unpack_from("!i", message, 4)
            self._started = code not in (_CANCEL, _TLS, _GSS)
            kind = "startup" if code >> 16 == 3 else "unknown"
            yield Exchange({_CANCEL: "cancel", _TLS: "tls", _GSS: "tls"}.get(code, kind), message)
            return
        now, body = self._now, message[5:]
        now.data += message
        self._note(tag, body)
        if tag in _ANSWERS:
            now.expected.append(_ANSWERS[tag])
        if tag in _ENDS:
            now.kind = _ENDS[tag]
            self._now = Exchange("query", b"")
            yield now

    def _note(self, tag: str, body: bytes) -> None:
        """Learn from a message which statement this is about."""
        now = self._now
        if tag == "Q":
            now.sql, now.runs = _text(body[:-1]), True
        elif tag == "P":
            name, query = body.split(b"\0")[:2]
            self._prepared[name] = now.sql = _text(query)
        elif tag == "B":
            portal, name = body.split(b"\0")[:2]
            self._portals[portal] = now.sql = self._prepared.get(name, "")
        elif tag == "E":
            now.sql, now.runs = self._portals.get(body.split(b"\0")[0], now.sql), True
        elif tag in "cf":
            now.sql, now.runs = "COPY", True


class Reply:
    """The server's answer to *exchange* so far: ``data``, and whether it is ``whole``.

    ``status`` is the last state of the transaction (``I``, ``T``, ``E``), ``error`` SQLSTATE and text, ``process`` the
    id of the server process of the session.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange, self._expected = exchange, list(exchange.expected)
        self.data = self._left = b""
        self.whole = exchange.kind in ("silent", "end")
        self.status, self.error, self.process = "", ("", ""), 0

    def feed(self, data: bytes) -> None:
        """Take in *data*; where there is none, the server has closed the connection."""
        self.data += data
        self._left += data
        if not data:
            self.whole = True
        if self._exchange.kind == "tls":
            self.whole = True
            return
        for tag, body in messages(self._left):
            self._left = self._left[5 + len(body) :]
            self._take(tag, body)

    def _take(self, tag: str, body: bytes) -> None:
        kind = self._exchange.kind
        if tag == "Z":
            self.status, self.whole = chr(body[0]), True
        elif tag == "K":
            (self.process,) = struct.unpack_from("!i", body)
        elif tag == "E":
            fields = {part[:1]: part[1:] for part in body.split(b"\0") if part}
            self.error = _text(fields.get(b"C", b"")), _text(fields.get(b"M", b""))
            self.whole |= kind in ("flush", "startup")
        elif tag == "R" and kind == "startup":
            (code,) = struct.unpack_from("!i", body)
            self.whole |= code not in (0, 12)
        elif tag in _COPIES:
            self.whole |= tag == "G"
        elif kind == "flush" and self._expected and tag in self._expected[0]:
            self._expected.pop(0)
            self.whole |= not self._expected


def messages(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the tag and the body of each whole message of the server's in *data*."""
    at = 0
    while len(data) >= at + 5:
        (length,) = struct.unpack_from("!i", data, at + 1)
        if len(data) < at + 1 + length:
            return
        yield chr(data[at]), data[at + 5 : at + 1 + length]
        at += 1 + length


def welcome(data: bytes) -> bytes:
    """Return the server's messages at the start of a session, without those about a password.

    A client that is later given the kept session has begun no such proof.
    """
    kept = b""
    for tag, body in messages(data):
        if tag != "R" or body == bytes(4):
            kept += tag.encode() + struct.pack("!i", 4 + len(body)) + body
    return kept


def simple(sql: str) -> Exchange:
    """Return the exchange that runs *sql* by the simple protocol."""
    body = sql.encode() + b"\0"
    return Exchange("query", b"Q" + struct.pack("!i", 4 + len(body)) + body, sql, True)


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
