"""Controlled threads (``Strand``), and the operating-system threads that carry them."""

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
"""The original method: a carrier must not be taken for a thread that the code under test starts."""


class Aborted(BaseException):
    """Raised at schedule points of an execution that is over, so that the code under test unwinds."""


class Wanted(NamedTuple):
    """The wait of a controlled thread: until *resource* is released, or virtual time passes *deadline* (in seconds)."""

    lane: str
    kind: str
    text: str
    place: Place | None
    resource: str
    deadline: float


class Strand:
    """A controlled thread. ``lane`` is the lane that it works for, if any; ``place`` is the line that asked for that work.

    ``granted`` is the decision about its next schedule point (``GO``, ``GIVE_UP`` or an error), if it has been made already.
    ``wanted`` is the wait that it is in. ``hopeless`` is true if nobody has released the resource of that wait since it began.
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
    """An operating-system thread that carries controlled threads, one after another, because starting one costs 50 us."""

    _free: ClassVar[list[Carrier]] = []

    def __init__(self, runtime: _Runtime, strand: Strand, run: Callable[[], Any]) -> None:
        self._runtime, self._strand, self._run = runtime, strand, run
        self._lent = allocate_lock()
        self._lent.acquire()
        _start(threading.Thread(target=self._carry, daemon=True, name="harness strand"))

    @classmethod
    def lend(cls, runtime: _Runtime, strand: Strand, run: Callable[[], Any]) -> None:
        """Run *run* as *strand*, on a free carrier or, if there is none, on a new one."""
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
