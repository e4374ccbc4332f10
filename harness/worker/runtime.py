"""The worker as the instrumentation sees it: its schedule points, and the controlled thread that runs.

The controlled threads (``Strand``) are the main thread (which runs the event loop, if there is one), library threads such as
``aiosqlite``'s, and the threads that the code under test starts. Exactly one runs, until it parks, waits or ends;
``hand_over.py`` hands control over.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any

from harness.boundary import messages
from harness.boundary.wire import ABORT, GO, Message, Peer
from harness.values.names import Task
from harness.worker.controlled_threads import Aborted, Strand, Wanted
from harness.worker.directory import without_directory
from harness.worker.hand_over import HandOver
from harness.worker.source import Place
from harness.worker.virtual.clock import Clock

__all__ = ["LANE", "Aborted", "Runtime", "Strand"]

LANE: contextvars.ContextVar[str] = contextvars.ContextVar("harness_lane", default="")
"""The lane of the running coroutine: the name of its client, or of a task that a client started."""

_CLEANING = ("close", "rollback")
"""The kinds of operations that may still run while an execution that is over unwinds."""

_READ_THE_CLOCK = (("access", "clock", "r"), ("access", "dated", "r"), ("access", "dates", "r"))
"""The accesses that matter to no other process as long as no time can pass. Where time can pass, the controller is asked."""

_OF_FILES = ("file", "flock")
"""The kinds of operations that may then run too, in a lane that has been told that the execution is over.

Code that releases a lock file takes the lock for held until that operation has succeeded.
"""


class Runtime(HandOver):
    """The one object of a worker through which all instrumented code goes (see the module's text)."""

    def __init__(self, peer: Peer, clock: Clock) -> None:
        super().__init__(peer, clock)
        self.live = self.points = self.threads = 0
        self._children: dict[str, int] = {}
        self._unwinding: set[str] = set()
        self.asks_errors = self.delays = False
        self.has_turns = self.takes_calls = True
        self.opening = self.found_something = False
        self.dial: Callable[..., Any]
        self.begun = False

    # The code that runs now

    def strand(self) -> Strand | None:
        """Return the running controlled thread, or None in a thread that the runtime does not know."""
        return self.strands.get(threading.get_ident())

    def lane(self) -> str:
        """Return the lane that the running code belongs to."""
        strand = self.strands.get(threading.get_ident())
        if strand is not None and strand.lane is not None:
            return strand.lane
        return LANE.get() or "main"

    def lane_of(self, strand: Strand) -> str:
        """Return the lane that *strand*, which is parked, works for; ``main`` if it works for none or is not parked."""
        key = next((key for key, parked in self._parked.items() if parked is strand), "")
        return key.partition("+")[0] or "main"

    def tasks(self) -> list[tuple[str, Any]]:
        """Return the unfinished tasks of the event loop, each with its lane and its coroutine."""
        return self.sleeper.unfinished() if self.sleeper else []

    def place(self) -> Place | None:
        """Return the line that asked for the running thread's work, or None if no other code asked for it."""
        strand = self.strands.get(threading.get_ident())
        return strand.place if strand is not None else None

    def child_lane(self, parent: str) -> str:
        """Return the lane of a task or thread that *parent* starts: ``c0/1``, ``c0/2`` ... in the order of starting."""
        number = self._children[parent] = self._children.get(parent, 0) + 1
        return f"{parent}/{number}"

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

        *not_before* is the virtual time, in seconds, before which it can't be let go; *errors* are the errors that it could
        end with. Raises ``Aborted`` when the execution is over. Does not wait outside an execution, nor in a thread that the
        runtime does not know: such a thread is reported.
        """
        strand = self.strands.get(threading.get_ident())
        if not (self.controlled or self.aborting):
            return GO
        if strand is None:
            name = threading.current_thread().name
            self.news.append(
                messages.outside(f"{text} in a thread that the code under test started itself, {name!r}", "")
            )
            return GO
        if self.aborting:
            # Code that catches every exception and tries again would unwind for ever, so its attempts are counted.
            self.one_more_round()
            if kind in _CLEANING or (kind in _OF_FILES and self.lane() in self._unwinding):
                return GO
            self._unwinding.add(self.lane())
            raise Aborted
        if strand.granted is not None:
            granted, strand.granted = strand.granted, None
            return granted
        self.points += 1
        self.clock.stepped()
        place = place or strand.place
        if type(text) is not str:
            text = str.__str__(text)
        text = without_directory(text)
        lane = strand.lane if strand.lane is not None else LANE.get() or "main"
        if self.ahead and not_before is None and self._unnoticed(strand, lane):
            commuting = self._commuting()
            passed = messages.passed(lane, kind, text, detail, place, tuple([item[1:] for item in commuting]))
            if self.trail.add(passed):
                self.ahead -= 1
                del self.news[len(self.news) - len(commuting) :]
                self.news.append(passed)
                return GO
        return self._parked_as(strand, kind, text, detail, place, not_before, errors)

    def _unnoticed(self, strand: Strand, lane: str) -> bool:
        """Return whether this step has so far done nothing that matters to other tasks, and nothing else can run here.

        Then the moves that the controller can make have not changed, and it need not be asked if it has decided to go on
        with this task anyway.
        """
        if self._parked or self._ready or not (strand is self.home or self._home_idle):
            return False
        if Task(lane).family != self._family:
            return False
        self.before_report()
        timer = self.sleeper.next_timer() if self.delays and self.sleeper is not None else None
        if timer is not None and any(family != self._family for family, _ in timer[3]):
            # The controller decides whether this call is delayed until the timer of another call is due.
            return False
        told = len(self.news) - len(self._commuting())
        return not told or self.news[told - 1][0] == "passed"

    def _commuting(self) -> list[Message]:
        """Return the messages at the end of the news that are accesses by which no process waits and no data changes.

        These are accesses of mode ``a``, look-ups of a name (as opening a database does) or of the tables that exist, and
        readings of the clock. The latter count only as long as no time can pass; where it can, the controller is asked.
        """
        news, end = self.news, len(self.news)
        while end and news[end - 1][0] == "access" and _commutes(news[end - 1]):
            end -= 1
        return news[end:]

    def take_turn(self, kind: str, text: str, detail: str, place: Place | None = None) -> None:
        """Park like ``park`` if something else in this worker could go first; otherwise go on at once.

        For operations that touch nothing shared between workers: their order matters to the tasks of this worker only.
        """
        strand = self.strands.get(threading.get_ident())
        if strand is None or not self.controlled:
            return
        self._courteous = strand
        self._parked_as(strand, kind, text, detail, place or strand.place, None)

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
        self.news.append(
            messages.parked(key, lane, kind, text, detail, place, not_before, errors, strand is not self.home)
        )
        if not_before is not None:
            strand.wanted = Wanted(lane, kind, text, place, "", not_before)
        return self._let_go_again(strand)

    def _let_go_again(self, strand: Strand) -> int:
        self._hand_over(strand)
        strand.wanted = None
        if strand.order == ABORT:
            self._unwinding.add(self.lane())
            raise Aborted
        return strand.order

    def wait_for(self, wanted: Wanted, again: bool = False) -> bool:
        """Wait here until the resource of *wanted* is released; return False if virtual time passed its deadline first.

        *again* says that the resource was released, and another thread has taken it since. Only for a thread that the
        runtime knows. Raises ``Aborted`` when the execution is over.
        """
        if self.aborting:
            raise Aborted
        strand = self.strands[threading.get_ident()]
        strand.wanted = wanted
        if not self.controlled:
            self._waiting.add(strand)
        elif again:
            # ``hopeless`` stays as it was: a vain attempt is no step, so nothing may depend on it.
            self._parked[key := self._free_key(wanted.lane)] = strand
            self.news.append(messages.blocked(key, wanted.deadline, (wanted.resource,)))
        else:
            self._park_waiting(strand, wanted)
        return self._let_go_again(strand) == GO

    def block(self, files: tuple[str, ...], deadline: float) -> bool:
        """Wait here, inside a library call, for a lock on one of *files* that another holds; return whether to try again.

        Raises nothing, because it is called where no exception can pass. Returns False when virtual time passed *deadline*,
        when the execution is over, and outside an execution.
        """
        strand = self.strands.get(threading.get_ident())
        if strand is None or not self.controlled:
            return False
        lane = strand.lane if strand.lane is not None else LANE.get() or "main"
        key = self._free_key(lane)
        self._parked[key] = strand
        self.news.append(messages.blocked(key, deadline, files))
        self._hand_over(strand)
        return strand.order == GO

    def unwinds(self) -> bool:
        """Return True if the running lane has been told that the execution is over: its clean-up may take a lock as free.

        Raises ``Aborted`` to tell the lane if it has not been told.
        """
        self.one_more_round()
        lane = self.lane()
        if lane in self._unwinding:
            return True
        self._unwinding.add(lane)
        raise Aborted

    def unseen(self) -> None:
        """Note that something shared is touched while the application is made, when no step reports it."""
        self.found_something |= self.opening

    def touched(self, resource: str, mode: str) -> None:
        """Note that the step under way accessed *resource* in *mode* (see ``Access``)."""
        self.news.append(messages.access(resource, mode))
        self.clock.met(resource, mode)

    # One execution

    def begin(self, alone: bool = True) -> None:
        """Forget the execution before this one. *alone* says that at most one client will call this worker."""
        self.alone, self.begun = alone, True
        self._courteous, self._drains = None, False
        self.controlled = self.aborting = False
        self.live = self.points = self.ahead = self.threads = self._rounds = 0
        self.sleeper = None
        self.inbox.clear()
        self.news = []
        for left in (self._parked, self._waiting.all(), self._ready, self._unwinding, self._children):
            left.clear()
        self._home_idle = self._at_turn = self.ticked = False
        self.home.lane, self.home.granted, self.loses = None, None, ""


def _commutes(access: Message) -> bool:
    """Return whether *access* leaves the moves of all other processes as they are."""
    return bool(
        access[2] == "a"
        or (access[2] == "r" and access[1].startswith(("name:", "schema:")))
        or access in _READ_THE_CLOCK
    )
