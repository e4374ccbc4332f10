"""Puts the threads that the code under test starts under the runtime: real threads, of which one runs at a time.

A thread started in an execution waits for the baton as soon as it has begun, and is a strand until it has gone: Python's own
code starts, names and ends it. What it left in ``threading.local`` goes with it, before anybody else runs.
"""

from __future__ import annotations

import _thread
import concurrent.futures
import concurrent.futures.thread as pools
import math
import os
import queue
import threading
import weakref
from collections.abc import Callable
from itertools import count
from typing import Any

from harness.boundary import messages
from harness.worker.controlled_threads import Strand, Wanted
from harness.worker.instrument.threads import looks
from harness.worker.instrument.threads.locks_in_memory import ENTRY, QUIET, Lock, Locks, RLock, kind
from harness.worker.runtime import LANE, Aborted, Runtime
from harness.worker.source import Place, where
from harness.worker.virtual.rebind import Replacement

__all__ = ["Threads", "replacements"]

_start, _join = threading.Thread.start, threading.Thread.join
_delete = threading.Thread._delete  # type: ignore[attr-defined]
_start_new_thread = _thread.start_new_thread
_real_lock, _RealRLock = _thread.allocate_lock, _thread.RLock
_IDLE = "SimpleQueue.get"
"""What a thread of a pool does when it has no work."""


class _Started:
    """A thread of the code under test, from its start to its end."""

    def __init__(self, threads: Threads, thread: threading.Thread, place: Place | None) -> None:
        self.threads, self.thread, self.place = threads, thread, place
        self.runtime = threads.runtime
        self.parent = self.runtime.lane()
        self.lane = self.runtime.child_lane(self.parent)
        self.strand = Strand()
        self.ended = False
        self.resource = f"thread {next(threads.numbers)} of process {os.getpid()}"
        target = getattr(thread, "_target", None)
        self.does = getattr(target, "__name__", "") or type(thread).__name__
        arguments = getattr(thread, "_args", ())
        self.pool: Any = arguments[0] if target is pools._worker and arguments else None
        self._own = thread.__dict__.get("run")
        self._arrived = _real_lock()

    def start(self) -> None:
        self._arrived.acquire()
        self.thread.run = self._run  # type: ignore[method-assign]
        try:
            _start(self.thread)
        except BaseException as error:
            self._put_back()
            if isinstance(error, RuntimeError):
                self.runtime.lacks_thread(error)
            raise
        self._arrived.acquire()
        runtime = self.runtime
        runtime.threads += 1
        runtime.live += 1
        self.threads.running.append(self)
        runtime.wake(self.strand)

    def _put_back(self) -> None:
        if self._own is None:
            del self.thread.run
        else:
            self.thread.run = self._own  # type: ignore[method-assign]

    def _run(self) -> None:
        """Run in the new thread, in the place of its ``run``."""
        runtime = self.runtime
        self._put_back()
        LANE.set(self.lane)
        runtime.strands[threading.get_ident()] = self.strand
        self._arrived.release()
        runtime.arrive(self.strand)
        try:
            if not runtime.aborting:
                runtime.take_turn("thread", f"begin {self.does}", "", self.place)
                self.thread.run()
        except Aborted:
            pass
        except BaseException as error:
            if runtime.aborting:
                return
            if threading.excepthook is not threading.__excepthook__:
                raise
            # Said in the transcript, not once per execution on the terminal.
            if not isinstance(error, SystemExit):
                runtime.news.append(messages.error(f"{type(error).__name__}: {error}"))

    def end(self) -> None:
        """Release the threads that wait for this one, and pass control on: the last action of the thread."""
        runtime = self.runtime
        self.ended = True
        del runtime.strands[threading.get_ident()]
        runtime.threads -= 1
        runtime.live -= 1
        self.threads.running.remove(self)
        pool = self.pool() if runtime.aborting and isinstance(self.pool, weakref.ref) else None
        if pool is not None:
            self.threads.pools.add(pool)
        runtime.released(self.resource)
        runtime.ended(lambda: _join(self.thread))

    def join(self, timeout: float | None) -> bool:
        """Wait until the thread has ended; return False if that took too long."""
        runtime = self.runtime
        deadline = math.inf if timeout is None else runtime.clock.tell() + max(timeout, 0)
        wanted = Wanted(runtime.lane(), "thread", f"join {self.lane}", where(3), self.resource, deadline)
        again = False
        while not self.ended:
            asked = runtime.controlled
            if not runtime.wait_for(wanted, again):
                return self.ended
            again = asked
        return True

    @property
    def idle(self) -> bool:
        """Whether it is a pool's, without work."""
        return self.pool is not None and self.strand.wanted is not None and self.strand.wanted.text == _IDLE

    def __repr__(self) -> str:
        return f"<_Started {self.lane} {self.does}{' ended' if self.ended else ''}>"


class Threads:
    """The threads that the code under test has started in this worker."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime, self.locks = runtime, Locks(runtime)
        self.running: list[_Started] = []
        self.numbers, self.objects = count(1), count()
        self.pools: weakref.WeakSet[pools.ThreadPoolExecutor] = weakref.WeakSet()
        """Those that outlive an execution."""

    def begin(self) -> None:
        """An execution begins: threads and locks are named anew."""
        self.locks.begin()
        self.running.clear()
        threading._counter = count(1).__next__  # type: ignore[attr-defined]
        pools.ThreadPoolExecutor._counter = count().__next__  # type: ignore[attr-defined]
        self.objects = count()

    def left(self) -> list[str]:
        """Name the threads that have not ended, and would keep the process from ending."""
        return [
            f"thread {started.thread.name!r}{_started_at(started.place)}{_waits(started.strand)}"
            for started in self.running
            if not started.thread.daemon and not started.idle
        ]

    def clean(self) -> None:
        """All threads have ended: make the pools that used to have some as good as new."""
        for pool in self.pools:
            if pool._threads:
                renew(pool)

    # What is put in the place of methods of Thread

    def start(self, thread: threading.Thread) -> None:
        """Start *thread*: as a strand of a lane of its own, if in an execution."""
        runtime = self.runtime
        if not runtime.begun or runtime.strand() is None or started_of(thread) is not None:
            _start(thread)
            return
        if runtime.aborting:
            raise Aborted
        started = _Started(self, thread, where(3))
        thread._harness = started  # type: ignore[attr-defined]
        try:
            started.start()
        except BaseException:
            del thread._harness  # type: ignore[attr-defined]
            raise

    def join(self, thread: threading.Thread, timeout: float | None) -> None:
        """Wait in virtual time until *thread* has ended."""
        started = started_of(thread)
        mine = self.runtime.strand()
        if started is None or mine is None or mine is started.strand or started.join(timeout):
            _join(thread, timeout)

    def start_new_thread(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any] | None = None
    ) -> int:
        """Stand in for ``_thread.start_new_thread``."""
        if not self.runtime.begun or self.runtime.strand() is None:
            return _start_new_thread(function, arguments, options or {})
        thread = threading.Thread(target=function, args=arguments, kwargs=options, daemon=True)
        thread.start()
        return thread.ident or 0


def _number_objects(threads: Threads) -> None:
    """Have sets of threads and futures, such as a pool's, be gone through in an order that does not depend on addresses."""

    def hash_(self: Any) -> int:
        number: int | None = self.__dict__.get("_harness_number")
        if number is None:
            number = self._harness_number = next(threads.objects)
        return number

    for thread in threading.enumerate():
        thread._harness_number = hash(thread)  # type: ignore[attr-defined]
    threading.Thread.__hash__ = concurrent.futures.Future.__hash__ = hash_  # type: ignore[method-assign]


def started_of(thread: threading.Thread) -> _Started | None:
    """Return the record of *thread*, if it was started in an execution."""
    return thread.__dict__.get("_harness")


def renew(pool: pools.ThreadPoolExecutor) -> None:
    """Have *pool*, which has run threads, or was made before there was an instrumentation, begin anew."""
    work = queue._PySimpleQueue()  # type: ignore[attr-defined]
    idle = threading.Semaphore(0)
    # The locks that one made in an execution has.
    work._count._cond.__init__(Lock("lock", ENTRY))
    idle._cond.__init__(Lock("lock", QUIET))  # type: ignore[attr-defined]
    pool._work_queue, pool._idle_semaphore, pool._threads = work, idle, set()
    pool._shutdown_lock = Lock("lock", QUIET)  # type: ignore[assignment]


def _started_at(place: Place | None) -> str:
    return f" started at {os.path.basename(place[0])}:{place[1]}" if place else ""


def _waits(strand: Strand) -> str:
    wanted = strand.wanted
    if wanted is None:
        return ""
    at = f" at {os.path.basename(wanted.place[0])}:{wanted.place[1]}" if wanted.place else ""
    return f" waits{at} ({wanted.text})"


def replacements(threads: Threads) -> list[Replacement]:
    """Replace ``Thread``'s methods by those of *threads*; return the replacements for locks and queues."""

    def start(self: threading.Thread) -> None:
        threads.start(self)

    def join(self: threading.Thread, timeout: float | None = None) -> None:
        threads.join(self, timeout)

    def delete(self: threading.Thread) -> None:
        _delete(self)
        started = started_of(self)
        if started is not None:
            started.end()

    _number_objects(threads)
    looks.install(threads.runtime)
    for method, original in ((start, _start), (join, _join), (delete, _delete)):
        method.__doc__ = original.__doc__
        setattr(threading.Thread, original.__name__, method)
    lock = kind("Lock", threads.locks.lock, (type(_real_lock()), Lock))
    rlock = kind("RLock", threads.locks.rlock, (_RealRLock, RLock))
    return [
        Replacement(_real_lock, lock, _thread, "allocate_lock"),
        Replacement(_real_lock, lock, threading, "_allocate_lock"),
        Replacement(threading.Lock, lock, threading, "Lock"),
        Replacement(threading.RLock, rlock, threading, "RLock"),
        Replacement(_RealRLock, rlock, _thread, "RLock"),
        Replacement(_start_new_thread, threads.start_new_thread, _thread, "start_new_thread"),
        Replacement(queue.SimpleQueue, queue._PySimpleQueue, queue, "SimpleQueue"),  # type: ignore[attr-defined]
    ]
