"""Messages between the controller and a worker: marshalled tuples with a length in front, over two pipes.

The only format that crosses the line between inside and outside of a worker. Only plain data travels, so
nothing a worker sends is ever executed by the controller.
"""

from __future__ import annotations

import marshal
import os
from typing import Any

__all__ = ["ABORT", "ERRORS", "GIVE_UP", "GO", "Message", "Peer", "PeerGone"]

Message = tuple[Any, ...]

_read, _write = os.read, os.write
"""The real ones: in a worker those of ``os`` are schedule points."""

GO, GIVE_UP, ABORT = 0, 1, 2
"""How a parked operation is let go: run (or retry the lock), give up waiting, leave because the execution is over."""

ERRORS = {"busy": 3, "full": 4, "io": 5}
"""The same, to end with an error instead of running."""


class PeerGone(Exception):
    """The other end of the pipe is closed."""


class Peer:
    """One end of a conversation: ``send`` and ``receive`` whole messages."""

    __slots__ = ("_buffer", "read_end", "write_end")

    def __init__(self, read_end: int, write_end: int) -> None:
        self.read_end, self.write_end = read_end, write_end
        self._buffer = b""

    def send(self, message: Message) -> None:
        """Write *message* whole; raises ``ValueError`` for anything but plain data."""
        body = marshal.dumps(message)
        data = len(body).to_bytes(4, "little") + body
        written = _write(self.write_end, data)
        while written < len(data):
            written += _write(self.write_end, data[written:])

    def receive(self) -> Message:
        """Return the next message, waiting for it; raises ``PeerGone`` at the end of the pipe."""
        while (message := self.complete()) is None:
            self.fill()
        return message

    def fill(self) -> None:
        """Read bytes that have arrived into the buffer, at least one; raises ``PeerGone`` at the end of the pipe."""
        data = _read(self.read_end, 1 << 16)
        if not data:
            raise PeerGone
        self._buffer = self._buffer + data if self._buffer else data

    def complete(self) -> Message | None:
        """Return the next message if it has been read whole."""
        buffer = self._buffer
        if len(buffer) < 4 or len(buffer) < (end := 4 + int.from_bytes(buffer[:4], "little")):
            return None
        self._buffer = buffer[end:]
        message: Message = marshal.loads(memoryview(buffer)[4:end])
        return message

    def forget(self) -> None:
        """Drop the beginning of a message, because its sender died in the middle of it."""
        self._buffer = b""
