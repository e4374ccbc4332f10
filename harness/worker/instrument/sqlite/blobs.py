"""Schedule points in SQLite's blobs: opening, reading, writing and closing one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from harness.worker.source import Place, where

__all__ = ["Blob"]


class _Connection(Protocol):
    def point(self, kind: str, text: str, detail: str, run: Callable[[], Any], place: Place | None) -> Any: ...


class Blob:
    """A blob with schedule points at its reads, writes and closing; everything else is the real one's."""

    def __init__(self, connection: _Connection, blob: Any, text: str) -> None:
        self._connection, self._blob, self._text = connection, blob, text

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blob, name)

    def __len__(self) -> int:
        return len(self._blob)

    def _point(self, what: str, run: Callable[[], Any]) -> Any:
        return self._connection.point("blob", f"{what} {self._text}", "", run, where(3))

    def read(self, length: int = -1, /) -> bytes:
        """Read *length* bytes."""
        return bytes(self._point("read", lambda: self._blob.read(length)))

    def write(self, data: Any, /) -> None:
        """Write *data*."""
        self._point("write", lambda: self._blob.write(data))

    def __getitem__(self, key: Any) -> Any:
        return self._point("read", lambda: self._blob[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._point("write", lambda: self._blob.__setitem__(key, value))

    def close(self) -> None:
        """Close."""
        self._point("close", self._blob.close)

    def __enter__(self) -> Blob:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
