"""Decides which thread of a worker runs. Exactly one does: it holds the baton until it parks, waits or ends.

A *strand* is a thread the runtime knows: the main thread (which runs the event loop, if there is one) and
library threads such as ``aiosqlite``'s. When the last one has nothing to run, the worker is quiescent: that
strand tells the controller and waits for the order that says who goes on. Whoever parked last therefore
does the talking, and going on with the same task costs no thread switch.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from harness.trail import Trail
from harness.wire import ABORT, GO, Message, Peer
from harness.worker.clock import Clock
from harness.worker.source import Place
from harness.worker.strands import Aborted, Carrier, Strand

__all__ = ["LANE", "Aborted", "Runtime", "Strand"]

LANE: contextvars.ContextVar[str] = contextvars.ContextVar("harness_lane", default="")
"""The lane (client, or task started by one) that the running coroutine belongs to."""

_PATIENCE = 10_000
"""Rounds an aborted or closing execution may still go on in its clean-up before its worker is given up."""

_CLEANING = ("close", "rollback")
"""What may still run while an execution that is over unwinds."""

_OF_FILES = ("file", "flock")
"""What may, too, in a lane that has heard of it: code that lets go of a lock file forgets it only then."""


class Sleeper(Protocol):
    """An event loop, as far as the runtime needs to know it."""

    def next_timer(self) -> tuple[float, str, Place | None] | None: ...

    def waiting_places(self) -> list[tuple[str, Place | None]]: ...

    def unfinished(self) -> list[tuple[str, Any]]: ...


class Runtime:
    """The one object of a worker through which everything instrumented goes (see the module's text)."""

    def __init__(self, peer: Peer, clock: Clock) -> None:
        self.peer, self.clock = peer, clock
        self.home = Strand()
        self.controlled = False
        self.aborting = False
        self.alone = False
        self.live = self.points = self.ahead = 0
        self.sleeper: Sleeper | None = None
        self.trail = Trail()
        self.before_report: Callable[[], None] = lambda: None
        self.look: Callable[[str], list[Message]] = lambda _: []
        self.inbox: deque[Message] = deque()
        self.news: list[Message] = []
        self.strands: dict[int, Strand] = {threading.get_ident(): self.home}
        self._parked: dict[str, Strand] = {}
        self._ready: deque[Strand] = deque()
        self._home_idle = False
        self._rounds = 0
        self._courteous: Strand | None = None
        self._family = ""
        self._unwinding: set[str] = set()
        self.loses = ""
        self.asks_errors = False

    def be_home(self, ident: int) -> None:
        """Take the thread *ident* for the main thread of this process (a fork has just changed it)."""
        self.strands = {ident: self.home}

    # What runs now

    def strand(self) -> Strand | None:
        """Return the running strand, or None in a thread the runtime does not know."""
        return self.strands.get(threading.get_ident())

    def lane(self) -> str:
        """Return the lane the running code belongs to."""
        strand = self.strands.get(threading.get_ident())
        if strand is not None and strand.lane is not None:
            return strand.lane
        return LANE.get() or "main"

    def lane_of(self, strand: Strand) -> str:
        """Return the lane that a parked *strand* works for."""
        key = next((key for key, parked in self._parked.items() if parked is strand), "")
        return key.partition("+")[0] or "main"

    def tasks(self) -> list[tuple[str, Any]]:
        """Return the unfinished tasks of the event loop, each with its lane and its coroutine."""
        return self.sleeper.unfinished() if self.sleeper else []

    def place(self) -> Place | None:
        """Return the line that asked for the running strand's work, where it works for somebody else."""
        strand = self.strands.get(threading.get_ident())
        return strand.place if strand is not None else None

    # Schedule points

    def park(
        self,
        kind: str,
        text: str,
        detail: str,
        place: Place | None,
        not_before: float | None = None,
        errors: tuple[str, ...] = (),
    ) -> int:
        """Wait here until the controller lets this operation go; return how (``GO``, ``GIVE_UP`` or one of ``ERRORS``).

        *not_before* is the virtual time before which it can't be let go; *errors* are those it could end with. Raises
        ``Aborted`` when the execution is over. Does nothing outside an execution, or in a thread the runtime doesn't know.
        """
        strand = self.strands.get(threading.get_ident())
        if not (self.controlled or self.aborting):
            return GO
        if strand is None:
            name = threading.current_thread().name
            self.news.append(("outside", f"{text} in a thread that the code under test started itself, {name!r}"))
            return GO
        if self.aborting:
            # Code that catches everything and tries again would never hear of the end.
            self.one_more_round()
            if kind in _CLEANING or (kind in _OF_FILES and self.lane() in self._unwinding):
                return GO
            self._unwinding.add(self.lane())
            raise Aborted
        if strand.granted is not None:
            granted, strand.granted = strand.granted, None
            return granted
        self.points += 1
        place = place or strand.place
        if type(text) is not str:
            text = str.__str__(text)
        lane = strand.lane if strand.lane is not None else LANE.get() or "main"
        if self.ahead and not_before is None and self._unnoticed(strand, lane):
            passed = ("passed", lane, kind, text, detail, place)
            if self.trail.add(passed):
                self.ahead -= 1
                self.news.append(passed)
                return GO
        return self._parked_as(strand, kind, text, detail, place, not_before, errors)

    def go_ahead(self, lane: str, ahead: int) -> None:
        """Let the task that begins in *lane* pass *ahead* schedule points without asking, as ``_unnoticed`` allows."""
        self.ahead, self._family = ahead, lane
        if ahead:
            self.trail.clear()

    def _unnoticed(self, strand: Strand, lane: str) -> bool:
        """Whether nothing of this step so far matters to anybody else, and nothing else in this worker can run.

        Then the controller's options are what they were, and where it has decided to go on with this task anyway, it
        need not be asked.
        """
        if self._parked or self._ready or not (strand is self.home or self._home_idle):
            return False
        if lane.partition("/")[0] != self._family:
            return False
        self.before_report()
        return not self.news or self.news[-1][0] == "passed"

    def take_turn(self, kind: str, text: str, detail: str) -> None:
        """Park like ``park`` where something else in this worker could go first; otherwise go on at once.

        For what touches nothing shared between workers, so that its turn matters to tasks of this worker only.
        """
        strand = self.strands.get(threading.get_ident())
        if strand is None or not self.controlled:
            return
        self._courteous = strand
        self._parked_as(strand, kind, text, detail, strand.place, None)

    def _parked_as(
        self,
        strand: Strand,
        kind: str,
        text: str,
        detail: str,
        place: Place | None,
        not_before: float | None,
        errors: tuple[str, ...] = (),
    ) -> int:
        lane = strand.lane if strand.lane is not None else LANE.get() or "main"
        key = self._free_key(lane)
        self._parked[key] = strand
        self.news.append(("parked", key, lane, kind, text, detail, place, not_before, errors, strand is not self.home))
        self._hand_over(strand)
        if strand.order == ABORT:
            self._unwinding.add(lane)
            raise Aborted
        return strand.order

    def block(self, files: tuple[str, ...], deadline: float) -> bool:
        """Wait here, inside a library call, for somebody else's lock on one of *files*; return whether to try again.

        Called where an exception could not pass. False when virtual time passed *deadline*, or the execution is over.
        """
        strand = self.strands.get(threading.get_ident())
        if strand is None or not self.controlled:
            return False
        lane = strand.lane if strand.lane is not None else LANE.get() or "main"
        key = self._free_key(lane)
        self._parked[key] = strand
        self.news.append(("blocked", key, deadline, files))
        self._hand_over(strand)
        return strand.order == GO

    def touched(self, resource: str, mode: str) -> None:
        """Note that the step under way accessed *resource*."""
        self.news.append(("access", resource, mode))

    # Threads and the event loop

    @property
    def others_ready(self) -> bool:
        """Whether another strand can run."""
        return bool(self._ready)

    def spawn(self, run: Callable[[], Any], lane: str | None) -> Strand:
        """Start a strand that runs *run* when its turn comes."""
        strand = Strand()
        strand.lane = lane
        Carrier.lend(self, strand, run)
        self._ready.append(strand)
        return strand

    def wake(self, strand: Strand) -> None:
        """Put *strand*, which waits for work, at the end of those that will run."""
        self._ready.append(strand)

    def wake_home(self) -> None:
        """Let the event loop run again if it is idle: another strand has given it something to do."""
        if self._home_idle:
            self._home_idle = False
            self._ready.append(self.home)

    def wait(self, strand: Strand) -> None:
        """Give the baton away until somebody wakes *strand*."""
        self._hand_over(strand)

    def idle(self) -> None:
        """The main thread has nothing to run: return when a timer is due, a strand woke it, or an order came."""
        self._home_idle = True
        self._hand_over(self.home)
        self._home_idle = False

    def _hand_over(self, strand: Strand | None) -> None:
        following = self._ready.popleft() if self._ready else self._quiescent()
        if following is strand:
            return
        following.gate.release()
        if strand is not None:
            strand.gate.acquire()

    def _nobody_else(self) -> Strand | None:
        """Return the strand that only takes its turn, if nothing in this worker could go instead."""
        strand, self._courteous = self._courteous, None
        if strand is None or not self.alone or len(self._parked) != 1:
            return None
        key, parked = next(iter(self._parked.items()))
        if parked is not strand:
            return None
        del self._parked[key]
        self.news = [item for item in self.news if item[0] != "parked"]
        strand.order = GO
        return strand

    def _quiescent(self) -> Strand:
        if not self.controlled:
            return self._alone()
        if (strand := self._nobody_else()) is not None:
            return strand
        self.before_report()
        timer = self.sleeper.next_timer() if self.sleeper and self._home_idle else None
        self.peer.send((self.news, timer))
        self.news = []
        order = self.peer.receive()
        kind, now = order[0], order[1]
        self.clock.now = now
        if kind == "go":
            strand = self._parked.pop(order[2])
            strand.order = order[3]
            self.go_ahead(order[2].partition("/")[0], order[4])
            self.loses = order[5]
            return strand
        if kind == "look":
            self.news.extend(self.look(order[2]))
            return self._quiescent()
        if kind == "where":
            places = self.sleeper.waiting_places() if self.sleeper else []
            self.news.extend(("waiting", lane, place) for lane, place in places)
            return self._quiescent()
        if kind == "abort":
            self._abort()
            return self._ready.popleft()
        self.loses = ""
        if kind == "call":
            self.go_ahead(order[2], order[5])
        else:
            self.ahead = 0
        if kind != "tick":
            self.inbox.append(order)
        self._home_idle = False
        return self.home

    def _alone(self) -> Strand:
        """Nothing can run and no execution is under way (or it is over): let time pass here, or give up."""
        self.one_more_round()
        if self.aborting and self._home_idle:
            self._home_idle = False
            return self.home
        timer = self.sleeper.next_timer() if self.sleeper and self._home_idle else None
        if timer is None:
            self.fail("it waits for something that never comes, before or after the race")
        self.clock.now = max(self.clock.now, timer[0])
        self._home_idle = False
        return self.home

    def _abort(self) -> None:
        self.controlled, self.aborting = False, True
        for strand in self._parked.values():
            strand.order = ABORT
            self._ready.append(strand)
        self._parked.clear()
        if self._home_idle:
            self._home_idle = False
            self._ready.append(self.home)

    def one_more_round(self) -> None:
        """Count one more attempt to come to an end; after too many, give this worker up."""
        self._rounds += 1
        if self._rounds > _PATIENCE:
            self.fail("it never stops waiting, before or after the race")

    def fail(self, why: str) -> NoReturn:
        """Tell the controller that this worker can't go on, and end it."""
        self.peer.send(([("broken", why)], None))
        os._exit(70)

    # One execution

    def begin(self, alone: bool = True) -> None:
        """Forget the execution before this one. *alone*: at most one client will call this worker."""
        self.alone = alone
        self._courteous = None
        self.controlled = self.aborting = False
        self.live = self.points = self.ahead = self._rounds = 0
        self.sleeper = None
        self.inbox.clear()
        self.news = []
        self._parked.clear()
        self._ready.clear()
        self._unwinding.clear()
        self._home_idle = False
        self.home.lane, self.home.granted, self.loses = None, None, ""

    def ended(self) -> None:
        """The running strand's work is done: pass the baton on without waiting for it to come back."""
        self._hand_over(None)

    def _free_key(self, lane: str) -> str:
        key, number = lane, 1
        while key in self._parked:
            number += 1
            key = f"{lane}+{number}"
        return key
