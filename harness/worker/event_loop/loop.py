"""A deterministic event loop: asyncio's own, with virtual time and with quiescence in the place of a selector.

When no callback is ready the loop is idle: the runtime lets a library thread run, or tells the controller that the worker is
quiescent. ``turns.py`` defines the order in which callbacks run.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from harness.worker.event_loop.turns import Turns, whose
from harness.worker.runtime import LANE, Aborted, Runtime
from harness.worker.source import Place, place_of_coroutine
from harness.worker.virtual.rebind import Replacement

__all__ = ["VirtualLoop", "replacements"]


class VirtualLoop(Turns):
    """An event loop without sockets; its time is the runtime's clock."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self._clock_resolution = 1e-9
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._in_threads: dict[str, None] = {}
        self.take_orders: Callable[[], None] = lambda: None
        self.set_exception_handler(_ignore)
        self.set_task_factory(_in_own_lane)  # type: ignore[arg-type]

    # The methods that BaseEventLoop requires of a concrete loop

    def time(self) -> float:
        """Return the virtual time in seconds."""
        clock = self._runtime.clock
        clock.read = True
        return clock.now

    def _write_to_self(self) -> None:
        self._runtime.wake_home()

    def run_forever(self) -> None:
        """Run until stopped; while this loop runs, its timers are the timers of the worker."""
        if self._runtime.begun and self._runtime.strand() is not self._runtime.home:
            self._runtime.fail("it runs an event loop in another thread than the main one, which is not controlled")
        home = self._runtime.home
        outer, self._runtime.sleeper = self._runtime.sleeper, self
        # A call that runs a loop (``asyncio.run``) consists of many tasks, each in a lane of its own.
        of_call, home.lane = home.lane, None
        self._delivering = True
        try:
            super().run_forever()
        finally:
            self._runtime.sleeper, home.lane = outer, of_call

    # Connections

    async def create_unix_connection(self, protocol_factory: Any, path: Any = None, **options: Any) -> Any:
        """Connect to the server at *path*."""
        return self._runtime.dial(self, protocol_factory, socket.AF_UNIX, path)

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, *, ssl: Any = None, **options: Any
    ) -> Any:
        """Connect to the server at *host* and *port*."""
        if ssl:
            self._runtime.fail("it encrypts a connection, which is not controlled")
        return self._runtime.dial(self, protocol_factory, socket.AF_INET, (host, port))

    # Being idle

    def be_idle(self) -> None:
        """Wait, as nothing is ready to run here, until a callback is ready, a timer is due or an order comes.

        When the execution is over and no other thread can run, unwind the tasks instead.
        """
        runtime = self._runtime
        if not runtime.aborting or runtime.others_ready:
            if not runtime.inbox:  # else an order came while a statement or a lock held the loop up
                runtime.idle()
            self.take_in()
        else:
            self._cancel_all()

    def take_in(self) -> None:
        """Take in the orders that have come from the controller, and cancel the task that is to lose its result, if any."""
        runtime = self._runtime
        if runtime.loses:
            # Cancelled before the callback with the result has run: the operation has happened, but its result is lost.
            self.cancel(runtime.loses)
            runtime.loses = ""
        if runtime.inbox:
            self.take_orders()

    def _cancel_all(self) -> None:
        """Unwind every task, then stop: the execution is over, and no thread has anything left to do."""
        pending = [task for task in self._tasks.values() if not task.done()]
        for task in pending:
            task.cancel()
        if not pending:
            self.stop()
        self._runtime.one_more_round()

    def cancel(self, lane: str) -> asyncio.Task[Any] | None:
        """Cancel the task that *lane* began with, if it has not ended; return it."""
        task = self._tasks.get(lane)
        if task is not None:
            task.cancel()
        return task

    def renew(self) -> bool:
        """Make this loop, which is at rest, as good as new.

        Return False, and change nothing, if the code under test has set a task factory, debug mode or a default executor.
        """
        if self.get_task_factory() is not _in_own_lane or self.get_debug() or self._default_executor is not None:  # type: ignore[attr-defined]
            return False
        self.set_exception_handler(_ignore)
        self._tasks.clear()
        self._in_threads.clear()
        self._scheduled.clear()
        return True

    @property
    def at_rest(self) -> bool:
        """Whether no callback, no timer and no unfinished task is left."""
        return not self._ready and self.next_timer() is None and all(task.done() for task in self._tasks.values())

    def next_timer(self) -> tuple[float, str, Place | None, tuple[tuple[str, float], ...]] | None:
        """Return the earliest timer: its due time, its lane, the line that waits for it, and each call's earliest due time.

        Times are in virtual seconds. Return None if no timer is set.
        """
        scheduled = self._scheduled
        live = [handle for handle in scheduled if not handle._cancelled] if scheduled else None
        if not live:
            return None
        handle: Any = min(live)
        lane = handle._context.get(LANE, "") or "main"
        task = self._tasks.get(lane)
        first: dict[str, float] = {}
        for other in live:
            family = whose(other)
            first[family] = min(first.get(family, math.inf), other._when)  # type: ignore[attr-defined]
        place = place_of_coroutine(task.get_coro()) if task is not None else None
        return handle._when, lane, place, tuple(sorted(first.items()))

    # Lanes

    def start(self, coroutine: Coroutine[Any, Any, Any], lane: str) -> asyncio.Task[Any]:
        """Start *coroutine* as a task in *lane*, and return the task."""
        context = contextvars.copy_context()
        context.run(LANE.set, lane)
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=self, context=context, name=lane)
        self._tasks[lane] = task
        return task

    def child_lane(self) -> str:
        """Return the lane of a task that the running task starts: ``c0/1``, ``c0/2`` ... in the order of starting."""
        return self._runtime.child_lane(LANE.get() or "main")

    def waiting_places(self) -> list[tuple[str, Place | None]]:
        """Return the lane of every unfinished task, and the line at which the task waits."""
        return [(lane, place_of_coroutine(task.get_coro())) for lane, task in self._tasks.items() if not task.done()]

    def unfinished(self) -> list[tuple[str, Any]]:
        """Return the lane and the coroutine of every unfinished task."""
        return [(lane, task.get_coro()) for lane, task in self._tasks.items() if not task.done()]

    # Threads

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Run *func* in *executor*, or, where there is none (``to_thread``), in a controlled thread of its own.

        That thread works for the lane that asked, because that lane mostly waits for it. If another thread already works
        for that lane, the new thread gets a lane of its own.
        """
        if executor is not None or self._default_executor is not None:  # type: ignore[attr-defined]
            return super().run_in_executor(executor, func, *args)
        future: asyncio.Future[Any] = self.create_future()
        asking = lane = self._runtime.lane()
        if asking in self._in_threads:
            lane = self._runtime.child_lane(asking)
        self._in_threads[lane] = None

        def run() -> None:
            try:
                result = func(*args)
            except Aborted:
                raise
            except BaseException as error:
                self.call_soon_threadsafe(_settle, future, None, error)
            else:
                self.call_soon_threadsafe(_settle, future, result, None)
            finally:
                self._runtime.threads -= 1
                self._in_threads.pop(lane, None)

        self._runtime.live += 1
        self._runtime.threads += 1
        future.add_done_callback(self._one_less)
        self._runtime.spawn(run, lane)
        return future

    def _one_less(self, _: object) -> None:
        self._runtime.live -= 1


def _ignore(_loop: asyncio.AbstractEventLoop, _context: dict[str, Any]) -> None:
    """Ignore errors that no code awaited: only the answers to clients count."""


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _in_own_lane(loop: VirtualLoop, coroutine: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
    """Create a task as asyncio does, in a lane named after the task that starts it."""
    lane = loop.child_lane()
    context: contextvars.Context = options.pop("context", None) or contextvars.copy_context()
    context.run(LANE.set, lane)
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, context=context, **options)
    loop._tasks[lane] = task
    loop._runtime.live += 1
    task.add_done_callback(loop._one_less)
    return task


def replacements(runtime: Runtime) -> list[Replacement]:
    """Return the replacements that make ``asyncio.run`` and ``asyncio.new_event_loop`` use a deterministic loop."""
    return [
        Replacement(asyncio.new_event_loop, lambda: VirtualLoop(runtime), asyncio.events, "new_event_loop"),
    ]
