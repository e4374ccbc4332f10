"""Strands, the threads that the runtime knows, and the operating-system threads that carry them."""

from __future__ import annotations

import threading
from _thread import allocate_lock
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, NamedTuple, Protocol

from harness.boundary.wire import GO
from harness.worker.source import Place

__all__ = ["Aborted", "Carrier", "Strand", "Wanted"]


_start = threading.Thread.start
"""The real one: carriers are none of the threads that the code under test starts."""


class Aborted(BaseException):
    """Raised at schedule points of an execution that is over, so that the code under test unwinds."""


class Wanted(NamedTuple):
    """The wait of a controlled thread: until *resource* is released, or virtual time passes *deadline*."""

    lane: str
    kind: str
    text: str
    place: Place | None
    resource: str
    deadline: float


class Strand:
    """A thread known to the runtime. ``lane`` is set while it works for one; ``place`` is where that work was asked for.

    ``granted`` is how its next point is to be let go, if that has been decided already; ``wanted`` is what it waits for,
    ``hopeless`` that nobody has let that go since.
    """

    __slots__ = ("gate", "granted", "hopeless", "lane", "order", "place", "wanted")

    def __init__(self) -> None:
        self.gate = allocate_lock()
        self.gate.acquire()
        self.order = GO
        self.lane: str | None = None
        self.place: Place | None = None
        self.granted: int | None = None
        self.wanted: Wanted | None = None
        self.hopeless = False

    def __repr__(self) -> str:
        return f"<Strand lane={self.lane}>"


class _Runtime(Protocol):
    strands: dict[int, Strand]

    def arrive(self, strand: Strand) -> None: ...

    def ended(self) -> None: ...


class Carrier:
    """An operating-system thread that carries strands, one after another (starting a thread costs 50 us)."""

    _free: ClassVar[list[Carrier]] = []

    def __init__(self, runtime: _Runtime, strand: Strand, run: Callable[[], Any]) -> None:
        self._runtime, self._strand, self._run = runtime, strand, run
        self._lent = allocate_lock()
        self._lent.acquire()
        _start(threading.Thread(target=self._carry, daemon=True, name="harness strand"))

    @classmethod
    def lend(cls, runtime: _Runtime, strand: Strand, run: Callable[[], Any]) -> None:
        """Have *run* run as *strand*, on a carrier that is free or a new one."""
        if not cls._free:
            cls(runtime, strand, run)
            return
        carrier = cls._free.pop()
        carrier._strand, carrier._run = strand, run
        carrier._lent.release()

    def _carry(self) -> None:
        runtime, ident = self._runtime, threading.get_ident()
        while True:
            strand = self._strand
            runtime.strands[ident] = strand
            runtime.arrive(strand)
            with suppress(Aborted):
                self._run()
            del runtime.strands[ident]
            self._free.append(self)
            runtime.ended()
            self._lent.acquire()
