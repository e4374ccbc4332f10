"""The hand-over of control between a worker's threads: one runs at a time, and the controller is asked when none can run.

When no thread has anything to run, the worker is quiescent: the thread that parked last sends the report, and waits for
the order that says which thread continues. Continuing with the same task therefore costs no thread switch.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from harness.boundary import messages
from harness.boundary.flight_recorder import FlightRecorder
from harness.boundary.wire import ABORT, GIVE_UP, GO, Message, Peer
from harness.values.names import Task
from harness.worker.controlled_threads import Carrier, Strand, Wanted
from harness.worker.event_loop.waiting import Waiting, only_wait
from harness.worker.source import Place
from harness.worker.virtual.clock import Clock

__all__ = ["HandOver"]

OWN = "own"
"""The mark of a turn that runs no code under test."""

TURN = "turn"
"""The key of the next turn of the event loop among the parked operations."""

_PATIENCE = 10_000
"""Rounds for which an aborted or closing execution may go on with its clean-up before its worker is given up."""


class Sleeper(Protocol):
    """An event loop, as far as the runtime needs to know it."""

    def next_timer(self) -> tuple[float, str, Place | None, tuple[tuple[str, float], ...]] | None: ...

    def waiting_places(self) -> list[tuple[str, Place | None]]: ...

    def unfinished(self) -> list[tuple[str, Any]]: ...


class HandOver:
    """Holds a worker's controlled threads; exactly one runs, until it parks, waits or ends and hands control to another.

    The module's text says more.
    """

    def __init__(self, peer: Peer, clock: Clock) -> None:
        self.peer, self.clock = peer, clock
        self.home = Strand()
        self.controlled = self.aborting = self.cancels = False
        self.alone = False
        self.ahead = 0
        self.trail = FlightRecorder()
        self._family = ""
        self.loses = ""
        self.sleeper: Sleeper | None = None
        self.before_report: Callable[[], None] = lambda: None
        self.look: Callable[[str], list[Message]] = lambda _: []
        self.inbox: deque[Message] = deque()
        self._orders: dict[str, Callable[..., Strand]] = {
            "go": self._go,
            "look": self._answer_look,
            "where": self._answer_where,
            "abort": self._unwind,
        }
        """The orders that are taken in here, by kind; all others are for the main thread."""
        self.news: list[Message] = []
        self.strands: dict[int, Strand] = {threading.get_ident(): self.home}
        self._parked: dict[str, Strand] = {}
        self._waiting = Waiting()
        self._dying: Callable[[], Any] | None = None
        self._ready: deque[Strand] = deque()
        self._home_idle = self._drains = self._at_turn = self.ticked = False
        self._rounds = 0
        self._courteous: Strand | None = None

    def be_home(self, ident: int) -> None:
        """Register the thread *ident* as the main thread of this process, because a fork has just changed its id."""
        self.strands = {ident: self.home}

    def go_ahead(self, lane: str, ahead: int) -> None:
        """Let the task that begins in *lane* pass *ahead* schedule points without asking, as ``_unnoticed`` allows."""
        self.ahead, self._family = ahead, lane
        if ahead:
            self.trail.clear()

    @property
    def others_ready(self) -> bool:
        """Whether another controlled thread can run."""
        return bool(self._ready)

    def spawn(self, run: Callable[[], Any], lane: str | None) -> Strand:
        """Start and return a controlled thread that runs *run* when its turn comes; *lane* is the lane that it works for.

        Raises ``RuntimeError``, and reports it, if the system gives no further thread.
        """
        strand = Strand()
        strand.lane = lane
        try:
            Carrier.lend(self, strand, run)
        except RuntimeError as error:
            self.lacks_thread(error)
            raise
        self._ready.append(strand)
        return strand

    def lacks_thread(self, error: RuntimeError) -> None:
        """Report that the system refused a thread (*error*), so that its consequences are not blamed on the code under test."""
        self.news.append(
            messages.broken(f"the system gives it no further thread ({error}); see `ulimit -u` and pids.max")
        )

    def wake(self, strand: Strand) -> None:
        """Put *strand*, which waits for work, at the end of the queue of threads that will run."""
        self._ready.append(strand)

    def wake_home(self) -> None:
        """Let the event loop run again if it is idle or between two turns: another thread has given it something to do."""
        if self._home_idle or self._at_turn:
            self._home_idle = self._at_turn = False
            self._ready.append(self.home)

    def wait(self, strand: Strand) -> None:
        """Hand control over until another thread wakes *strand*."""
        self._hand_over(strand)

    def idle(self) -> None:
        """Wait, in the main thread with nothing to run, until a timer is due, another thread wakes it, or an order comes."""
        self._home_idle = True
        self._hand_over(self.home)
        self._home_idle = False

    def at_turn(self, text: str, whose: str, place: Place | None, own: bool, more: bool) -> bool:
        """Park the event loop between two turns; return True if the next turn is let go, False if something else came first.

        *text* and *place* describe the next turn. *whose* has the lanes of the calls that continue in it. *own* says that
        no code under test runs in it. *more* says that the code that has just run has added to it.
        """
        self._parked[TURN] = self.home
        if more:
            self.news.append(messages.queued())
        self.news.append(
            messages.parked(TURN, "loop", "turn", text, whose, place, None, () if not own else (OWN,), True)
        )
        self._at_turn = True
        self._hand_over(self.home)
        self._at_turn = False
        return self._parked.pop(TURN, None) is None

    @property
    def anything_else(self) -> bool:
        """Whether another controlled thread can run, or waits to be let go."""
        return bool(self._ready or self._parked)

    def _hand_over(self, strand: Strand) -> None:
        following = self._ready.popleft() if self._ready else self._quiescent()
        if following is strand:
            return
        following.gate.release()
        self.arrive(strand)

    def arrive(self, strand: Strand) -> None:
        """Wait, in the thread of *strand*, until it gets control; then finish off a thread that ended and handed it over.

        That thread may still be unwinding, so the function that ``ended`` was given joins it: afterwards it is really gone,
        with everything that it held.
        """
        strand.gate.acquire()
        if self._dying is not None:
            gone, self._dying = self._dying, None
            gone()

    def _nobody_else(self) -> Strand | None:
        """Return the thread that parked by ``take_turn``, if nothing in this worker could go instead of it, else None."""
        strand, self._courteous = self._courteous, None
        if strand is None or not self.alone or not only_wait(self._parked, strand):
            return None
        if self.cancels and self._home_idle:
            # A task that waits for this thread in the event loop may be cancelled instead.
            return None
        key = next(key for key, parked in self._parked.items() if parked is strand)
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
        between = self._home_idle or self._at_turn
        timer = self.sleeper.next_timer() if self.sleeper and between else None
        self.clock.stepped()
        self.peer.send((self.news, timer))
        self.news = []
        order = self.peer.receive()
        kind, now, *fields = order
        self.clock.ordered(now)
        take = self._orders.get(kind)
        return take(*fields) if take is not None else self._for_main_thread(order, between)

    def _go(self, key: str, how: int, ahead: int, loses: str) -> Strand:
        strand = self._parked.pop(key)
        strand.order = how
        self.go_ahead(Task(key).family, ahead)
        self.loses = loses
        return strand

    def _answer_look(self, subject: str) -> Strand:
        self.news.extend(self.look(subject))
        return self._quiescent()

    def _answer_where(self) -> Strand:
        places = self.sleeper.waiting_places() if self.sleeper else []
        self.news.extend(messages.waiting(lane, place) for lane, place in places)
        return self._quiescent()

    def _unwind(self) -> Strand:
        self.abort()
        return self._ready.popleft()

    def _for_main_thread(self, order: Message, between: bool) -> Strand:
        """Pass *order* on to the main thread, which takes it when it comes back to its event loop; return the next thread.

        The main thread continues at once if it is idle or *between* two turns, and is not held up at a statement or by a lock.
        """
        self.ticked = between and order[0] == "tick"
        if order[0] != "tick":
            self.inbox.append(order)
        if not between:
            return self._quiescent()
        self.loses, self.ahead = "", 0
        if order[0] == "call":
            _, _, lane, _, _, ahead, _ = order
            self.go_ahead(lane, ahead)
        self._home_idle = self._at_turn = False
        return self.home

    def _alone(self) -> Strand:
        """Return the thread that continues when none can run and no execution is under way, or it is over.

        While an execution unwinds or drains, that is the main thread if it is idle. Otherwise time passes here, without the
        controller, up to the earliest deadline or timer; if there is none, this worker is given up.
        """
        self.one_more_round()
        if (self.aborting or self._drains) and self._home_idle:
            self._home_idle = False
            return self.home
        timer = self.sleeper.next_timer() if self.sleeper and self._home_idle else None
        if (due := self._waiting.due(timer[0] if timer else math.inf)) is not None:
            self.clock.now = max(self.clock.now, due.wanted.deadline) if due.wanted is not None else self.clock.now
            due.order = GIVE_UP
            return due
        if timer is None:
            self.fail("it waits for something that never comes, before or after the race")
        self.clock.now = max(self.clock.now, timer[0])
        self._home_idle = False
        return self.home

    def abort(self) -> None:
        """Unwind every thread that is parked or waits, because the execution is over."""
        self.controlled, self.aborting = False, True
        for strand in (*self._parked.values(), *self._waiting.all()):
            strand.order = ABORT
            self._ready.append(strand)
        self._parked.clear()
        if self._home_idle:
            self._home_idle = False
            self._ready.append(self.home)

    def take_control(self) -> None:
        """Let the controller decide from now on which thread continues."""
        self.controlled = True
        for strand in self._waiting.all():
            assert strand.wanted is not None
            self._park_waiting(strand, strand.wanted)

    def lose_control(self) -> None:
        """End the controller's decisions: threads that wait in memory may go on, and all other parked threads are aborted.

        The latter include the threads that wait for file locks.
        """
        self.controlled, self.news = False, []
        for strand in self._parked.values():
            if strand.wanted is not None:
                strand.order = GO
                self._waiting.add(strand)
            else:
                strand.order = ABORT
                self._ready.append(strand)
        self._parked.clear()

    def drain(self) -> None:
        """Run every thread that can run, until all threads wait; no time passes meanwhile."""
        self._drains = True
        while self._ready:
            self.idle()
        self._drains = False

    def one_more_round(self) -> None:
        """Count one more attempt to come to an end; after too many, give this worker up."""
        self._rounds += 1
        if self._rounds > _PATIENCE:
            self.fail("it never stops waiting, before or after the race")

    def fail(self, why: str) -> NoReturn:
        """Tell the controller that this worker can't go on, for the reason *why*, and end the process with exit code 70."""
        self.peer.send(([messages.broken(why)], None))
        os._exit(70)

    def ended(self, join: Callable[[], Any] | None = None) -> None:
        """Hand control over, because the running thread's work is done; the thread that gets control first calls *join*."""
        following = self._ready.popleft() if self._ready else self._quiescent()
        self._dying = join
        following.gate.release()

    # Waits in memory

    def _park_waiting(self, strand: Strand, wanted: Wanted) -> None:
        self._parked[key := self._free_key(wanted.lane)] = strand
        strand.hopeless = True
        self.news.append(messages.waits(key, *wanted, strand is not self.home))

    def released(self, resource: str) -> None:
        """Release *resource*: make the threads that wait for it ready, and report the release to the controller."""
        if self.controlled:
            self.news.append(messages.released(resource))
            for strand in self._parked.values():
                if strand.wanted is not None and strand.wanted.resource == resource:
                    strand.hopeless = False
        self._ready.extend(self._waiting.released(resource))

    def _free_key(self, lane: str) -> str:
        key, number = lane, 1
        while key in self._parked:
            number += 1
            key = f"{lane}+{number}"
        return key
