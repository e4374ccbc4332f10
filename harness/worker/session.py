"""Runs an execution inside a worker: opens the application, runs the calls that the controller orders, closes, cleans up."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from harness.boundary import messages
from harness.project.applications import NotServed
from harness.scenario import database
from harness.values.plain import plain
from harness.worker.error_text import said
from harness.worker.event_loop.loop import VirtualLoop
from harness.worker.roles import Program
from harness.worker.runtime import LANE, Aborted, Runtime

__all__ = ["Session"]

_EXECUTIONS_BETWEEN_COLLECTIONS = 256


class Leftovers(Protocol):
    """The open connections and threads of the code under test, as far as a session needs to know them."""

    def in_transaction(self) -> list[str]: ...

    def running(self) -> list[str]: ...

    def none(self) -> bool: ...

    def touched(self) -> bool: ...

    def clean(self) -> None: ...


class Session:
    """Runs the executions of one worker, one after another."""

    def __init__(self, runtime: Runtime, program: Program, left: Leftovers) -> None:
        self._runtime, self._program = runtime, program
        self._left = left
        self._concurrent = runtime.takes_calls = program.concurrent
        self._made_loop: VirtualLoop | None = None
        self._app: Any = None
        self._finished = self._ends_itself = False
        self._unbegun: set[str] = set()
        """The lanes of calls whose task has not run yet."""
        self._count = 0
        self._orders: dict[str, Callable[..., None]] = {
            "finish": self._finish,
            "call": self._begin_call,
            "cancel": self._cancel,
        }
        """The orders that the event loop takes in, by kind; all others are for the program."""

    def run(self, db: str) -> None:
        """Run one execution over the database file *db*, from opening the application to the last clean-up."""
        self._finished = False
        self._unbegun.clear()
        self._program.begin()
        try:
            self._race(database(db))
        except Aborted:
            pass
        finally:
            closed = self._end()
        self._runtime.peer.send(([messages.closed(*closed)], None))

    def run_call(self, lane: str, operation: str, arguments: Sequence[Any], db: str) -> None:
        """Run an execution that begins with a call, and ends by itself when the code under test has left nothing behind.

        It is for programs that open nothing, and saves the messages that begin and end an execution.
        """
        runtime = self._runtime
        self._finished, self._app = False, database(db)
        self._unbegun.clear()
        runtime.controlled = True
        self._program.begin()
        try:
            self._call_first(lane, operation, arguments)
            if self._nothing_left():
                runtime.before_report()
                runtime.news.append(messages.closed([], ""))
                runtime.clock.stepped()
                runtime.controlled = False
                self._app = None
                self._collect()
                runtime.peer.send((runtime.news, None))
                return
            # It was already told to finish, while its loop still ran, if leftovers kept it from ending by itself.
            if not self._finished:
                if self._concurrent:
                    self._loop.run_forever()
                else:
                    self._one_by_one()
        except Aborted:
            pass
        closed = self._end()
        runtime.peer.send(([messages.closed(*closed)], None))

    def _call_first(self, lane: str, operation: str, arguments: Sequence[Any]) -> None:
        """Run the call; in an event loop, if the program needs one, together with the calls that come meanwhile."""
        if not self._concurrent:
            self._call_now(lane, operation, arguments)
            return
        self._ends_itself = True
        self._loop.take_orders = self._take_orders
        self._begin_call(lane, operation, arguments)
        self._loop.run_forever()
        self._ends_itself = False

    @property
    def _loop(self) -> VirtualLoop:
        """The event loop of this execution, made when it is first needed."""
        if self._made_loop is None:
            self._made_loop = VirtualLoop(self._runtime)
            asyncio.set_event_loop(self._made_loop)
        return self._made_loop

    def _race(self, db: Path) -> None:
        runtime = self._runtime
        runtime.opening, runtime.found_something = True, False
        # Asked to clear it: uses of resources while the execution before this one was closed are not this application's.
        self._left.touched()
        try:
            self._app = self._open(self._program.open, db) if self._program.open else db
        except Aborted:
            raise
        except NotServed as error:
            runtime.news.append(messages.refused(str(error)))
        except BaseException as error:
            runtime.news.append(messages.unopened(f"{type(error).__name__}: {error}"))
        runtime.opening = False
        if self._left.touched() or runtime.found_something:
            runtime.news.append(messages.touches())
        runtime.take_control()
        if self._concurrent:
            self._loop.take_orders = self._take_orders
            self._loop.run_forever()
        else:
            self._one_by_one()

    def _open(self, function: Callable[[Path], Any], db: Path) -> Any:
        """Open the application and return it.

        The calls see the context variables that it sets, as tasks would that it had started.
        """
        value = function(db)
        if not inspect.isawaitable(value):
            return value
        app, context = self._complete(_and_its_context, value)
        for variable, held in context.items():
            if variable is not LANE:
                variable.set(held)
        return app

    def _one_by_one(self) -> None:
        """Run calls in the main thread, each when the controller orders it."""
        runtime = self._runtime
        while not self._finished and not runtime.aborting:
            runtime.idle()
            while runtime.inbox:
                kind, _, *fields = runtime.inbox.popleft()
                if kind == "finish":
                    self._finished = True
                else:
                    self._call_now(*fields[:3])

    def _call_now(self, lane: str, operation: str, arguments: Sequence[Any]) -> None:
        runtime = self._runtime
        runtime.home.lane = lane
        token = LANE.set(lane)
        runtime.live += 1
        runtime.clock.called(lane)
        try:
            value = self._complete(self._program.operations[operation], self._app, *arguments)
            runtime.news.append(messages.returned(lane, "ok", plain(value), ""))
        except Aborted:
            raise
        except BaseException as error:
            runtime.news.append(messages.returned(lane, "fail", said(error), type(error).__name__))
        finally:
            runtime.clock.returned(lane)
            runtime.live -= 1
            LANE.reset(token)
            runtime.home.lane = None

    def _complete(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call *function* and return its value; if that is awaitable, run it to its end in the loop and return its result."""
        value = function(*arguments)
        if not inspect.isawaitable(value):
            return value
        lane = LANE.get() or "main"
        return self._loop.run_until_complete(self._loop.start(_awaited(value), lane))

    # Calls in the event loop

    def _take_orders(self) -> None:
        inbox = self._runtime.inbox
        while inbox:
            kind, _, *fields = inbox.popleft()
            take: Callable[..., None] = self._orders.get(kind, self._program.take)
            take(*fields)

    def _finish(self) -> None:
        self._finished = True
        self._loop.stop()

    def _begin_call(self, lane: str, operation: str, arguments: Sequence[Any], *_: object) -> None:
        self._unbegun.add(lane)
        self._loop.start(self._call(lane, operation, arguments), lane)

    def _cancel(self, lane: str) -> None:
        """Cancel the call in *lane*. A task cancelled before its first step never runs, so its end is reported here."""
        task = self._loop.cancel(lane)
        if task is None or lane not in self._unbegun:
            return
        self._unbegun.discard(lane)

        def ended(_: object) -> None:
            self._runtime.news.append(messages.returned(lane, "fail", "", "CancelledError"))
            self._end_if_last()

        task.add_done_callback(ended)

    def _end_if_last(self) -> None:
        """End an execution that ends by itself, if its last call has ended and nothing is left."""
        runtime = self._runtime
        if self._ends_itself and not runtime.live and not runtime.inbox and self._left.none():
            self._loop.stop()

    async def _call(self, lane: str, operation: str, arguments: Sequence[Any]) -> None:
        runtime = self._runtime
        self._unbegun.discard(lane)
        runtime.live += 1
        runtime.clock.called(lane)
        try:
            value = self._program.operations[operation](self._app, *arguments)
            if inspect.isawaitable(value):
                value = await value
            runtime.news.append(messages.returned(lane, "ok", plain(value), ""))
        except Aborted:
            raise
        except BaseException as error:
            if not runtime.aborting:
                runtime.news.append(messages.returned(lane, "fail", said(error), type(error).__name__))
        finally:
            runtime.clock.returned(lane)
            runtime.live -= 1
            self._end_if_last()

    # The end

    def _end(self) -> tuple[list[str], str]:
        """End the execution here; return its leftovers, and the text of the error that closing the application raised.

        The leftovers are descriptions of the open transactions and of the threads that would keep the process from ending.
        """
        runtime = self._runtime
        runtime.lose_control()
        left_open = self._left.in_transaction() if not runtime.aborting else []
        failed = ""
        if not runtime.aborting and self._app is not None:
            try:
                self._complete(self._program.close, self._app)
            except Exception as error:
                failed = f"{type(error).__name__}: {said(error)}"
        self._app = None
        if runtime.threads:
            left_open += self._unwind_threads()
        runtime.aborting = True
        self._left.clean()
        self._end_threads_and_tasks()
        self._collect()
        runtime.begun = False
        return left_open, failed

    def _unwind_threads(self) -> list[str]:
        """Let the threads of the code under test run as far as they can, then unwind them.

        Return descriptions of the threads that were left before they were unwound; none if the execution was aborted.
        """
        runtime = self._runtime
        left: list[str] = []
        if not runtime.aborting:
            runtime.drain()
            left = self._left.running()
        runtime.abort()
        runtime.drain()
        return left

    def _nothing_left(self) -> bool:
        """Return whether the code under test has left no connection, thread, task or timer behind; renew the loop if so."""
        if self._finished or self._runtime.aborting or self._runtime.others_ready or not self._left.none():
            return False
        if self._made_loop is not None:
            if not self._made_loop.at_rest:
                return False
            self._renew_loop()
        return True

    def _renew_loop(self) -> None:
        """Keep the event loop for the next execution if it can be made as good as new, because a new one costs 0.6 ms."""
        if self._made_loop is not None and not (self._made_loop.at_rest and self._made_loop.renew()):
            self._made_loop.close()
            self._made_loop = None

    def _collect(self) -> None:
        """Collect garbage now and then between executions, at moments that do not depend on the code that ran."""
        self._count += 1
        if self._count % _EXECUTIONS_BETWEEN_COLLECTIONS == 0:
            gc.collect()

    def _end_threads_and_tasks(self) -> None:
        """Let library threads end, and unwind the tasks that are left."""
        if self._made_loop is not None:
            self._made_loop.run_forever()
            self._renew_loop()
        elif self._runtime.others_ready:
            self._runtime.idle()


async def _awaited(value: Any) -> Any:
    return await value


async def _and_its_context(value: Any) -> tuple[Any, contextvars.Context]:
    return await value, contextvars.copy_context()
