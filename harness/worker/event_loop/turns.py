"""The turns of an event loop: ready callbacks run in asyncio's order; the controller decides the arrivals between turns.

asyncio runs its ready queue first in, first out, a turn at a time: the callbacks that are ready when the turn begins.
Arrivals from outside (a call, an answer, the result of a thread, a timer, a cancellation) join the queue between two
turns. Here time stands still while the loop runs, so nothing would ever arrive then. So whenever code under test has
made a callback ready, the loop asks before the next turn which comes first: the turn, or one of the possible arrivals.
An arrival that is chosen counts as if it had come just before the code that made the other callbacks ready, and its
first step precedes theirs.

An arrival at an idle loop runs some of asyncio's own callbacks before it reaches the code that waits for it. No other
code can tell whether these have run, so the loop does not ask there, unless a task may be cancelled.
"""

from __future__ import annotations

import asyncio
from collections import deque
from heapq import heappop
from typing import Any

from harness.values.names import Task
from harness.worker.runtime import LANE, Runtime
from harness.worker.source import Place, place_of_coroutine

__all__ = ["Turns", "whose"]

_OWN = ("asyncio.", "_asyncio.", "harness.", "aiosqlite.")
"""The prefixes of module names. Callbacks from these modules only carry a result to the code that waits for it."""


class Turns(asyncio.BaseEventLoop):
    """An event loop with turns that the controller lets go (see the module's text).

    ``_ready`` and ``_scheduled`` are asyncio's own: a queue of handles and a heap of timers.
    """

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _stopping: bool

    def __init__(self, runtime: Runtime) -> None:
        super().__init__()
        self._runtime = runtime
        self._delivering = self._by_aiosqlite = False

    def be_idle(self) -> None:
        """Wait, as nothing is ready to run here."""
        raise NotImplementedError

    def take_in(self) -> None:
        """Take in the arrivals from outside."""
        raise NotImplementedError

    def _run_once(self) -> None:
        """Run one turn, as asyncio does: arrivals join the ready callbacks, then each of these runs."""
        ready = self._ready
        if ready and not self._stopping:
            if not self._unnoticed():
                self._let_others_in()
        elif not self._stopping:
            self.be_idle()
            self._delivering = True
        self._fire()
        self._run_turn()

    def _run_turn(self) -> None:
        ready = self._ready
        visible = False
        self._by_aiosqlite = bool(ready) and all(map(_is_of_aiosqlite, ready))
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                visible = visible or not _is_own(handle)
                handle._run()
        self._delivering = self._delivering and not visible and all(map(_task, ready))

    def _fire(self) -> bool:
        """Queue the timers that were due earlier, and, if the controller says so, the first timer that is due exactly now.

        Return whether any timer was queued. The order of timers that are due at the same moment is fixed, as in asyncio;
        the order of arrivals between them is not.
        """
        runtime, scheduled = self._runtime, self._scheduled
        now, ticked, runtime.ticked = runtime.clock.now, runtime.ticked, False
        fired = False
        while scheduled:
            timer = scheduled[0]
            if timer._cancelled:
                self._timer_cancelled_count -= 1  # type: ignore[attr-defined]
            elif timer._when < now or (timer._when == now and (ticked or not runtime.controlled)):  # type: ignore[attr-defined]
                ticked, fired = False, True
                self._ready.append(timer)
            else:
                break
            heappop(scheduled)
            timer._scheduled = False  # type: ignore[attr-defined]
        return fired

    # Arrivals between two turns

    def _unnoticed(self) -> bool:
        """Return whether nothing could come before the next turn, or no code under test could notice it."""
        runtime = self._runtime
        if not (runtime.controlled and runtime.has_turns):
            return True
        if self._delivering:
            if not runtime.cancels:
                return True
            return runtime.live <= 1 and (self._by_aiosqlite or all(map(_ends_a_wait, self._ready)))
        return not (
            (runtime.cancels and runtime.live)
            or (runtime.takes_calls and not runtime.alone)
            or runtime.anything_else
            or self._scheduled
        )

    def _let_others_in(self) -> None:
        """Ask which comes first, the next turn or an arrival, and take in the arrivals, until the turn is let go."""
        runtime, ready = self._runtime, self._ready
        # These orders came while a statement or a lock held the loop up.
        self.take_in()
        more = True
        while not (self._stopping or runtime.aborting):
            held = list(ready)
            ready.clear()
            text, place = _described(held)
            families = " ".join(sorted(set(map(whose, held))))
            if runtime.at_turn(text, families, place, all(map(_is_own, held)), more):
                ready.extendleft(reversed(held))
                return
            cancels = any(order[0] == "cancel" for order in runtime.inbox)
            self.take_in()
            fired = self._fire()
            if not cancels:
                self._begin_with_what_came()
            # A timer may have ended a wait that the next turn would have ended, although it has left nothing ready.
            more = fired or bool(ready)
            # The callbacks that were ready before the arrival precede those that it has made ready.
            ready.extendleft(reversed(held))

    def _begin_with_what_came(self) -> None:
        """Run the arrivals up to the end of the first turn in which code under test could notice them."""
        self._delivering = True
        while self._ready and self._delivering:
            self._run_turn()
        self._delivering = False


def whose(handle: asyncio.Handle) -> str:
    """Return the lane of the call in which *handle* was made, ``main`` if it was made in no call."""
    lane: str = handle._context.get(LANE, "")  # type: ignore[attr-defined]
    return Task(lane).family or "main"


def _task(handle: asyncio.Handle) -> asyncio.Task[Any] | None:
    """Return the task that *handle* continues, None if it continues none."""
    owner = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]
    return owner if isinstance(owner, asyncio.Task) else None


def _is_own(handle: asyncio.Handle) -> bool:
    """Return whether *handle* runs no code under test, but only asyncio's or ours, such as code that sets a future."""
    if _task(handle) is not None:
        return False
    function = handle._callback  # type: ignore[attr-defined]
    while (inner := getattr(function, "func", None)) is not None:
        function = inner
    owner = getattr(function, "__self__", None)
    if isinstance(owner, set):
        # The callback takes a task that has ended out of the set that keeps it from being collected, as asyncio's
        # documentation recommends (``task.add_done_callback(tasks.discard)``).
        return True
    module = getattr(function, "__module__", None) or type(owner).__module__
    return isinstance(owner, asyncio.Future) or f"{module}.".startswith(_OWN)


def _is_of_aiosqlite(handle: asyncio.Handle) -> bool:
    """Return whether *handle* brings the result of a call of ``aiosqlite``, which only the code that waits for it reads."""
    return getattr(handle._callback, "__module__", "") == "aiosqlite.core"  # type: ignore[attr-defined]


def _ends_a_wait(handle: asyncio.Handle) -> bool:
    """Return whether a cancellation just before *handle* has the same effect on its task as one before the wait ended.

    That holds where no code has looked at the result of the wait: in a call of ``aiosqlite``, and in ``asyncio.sleep``. It
    also holds for a handle that continues no task.
    """
    task = _task(handle)
    if task is None:
        return True
    coroutine: Any = task.get_coro()
    while (inner := getattr(coroutine, "cr_await", None)) is not None and hasattr(inner, "cr_code"):
        coroutine = inner
    code = getattr(coroutine, "cr_code", None)
    if code is None or getattr(coroutine, "cr_await", None) is None:
        return False
    return code is asyncio.sleep.__code__ or code.co_filename.endswith("/aiosqlite/core.py")


def _described(held: list[asyncio.Handle]) -> tuple[str, Place | None]:
    """Return a description of the lanes that the callbacks *held* run in, and the line at which the first task continues."""
    lanes: dict[str, None] = {}
    place: Place | None = None
    for handle in held:
        lanes[handle._context.get(LANE, "") or "main"] = None  # type: ignore[attr-defined]
        task = _task(handle)
        if task is not None and place is None:
            place = place_of_coroutine(task.get_coro())
    return f"{', '.join(lanes)} {'goes' if len(lanes) == 1 else 'go'} on", place
