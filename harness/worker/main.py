"""The main function of a worker process, which inherits its instrumentation by the fork and gets its orders by a pipe."""

from __future__ import annotations

import asyncio
import contextvars
import faulthandler
import gc
import inspect
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from harness.boundary import messages
from harness.boundary.flight_recorder import End
from harness.boundary.inherited_locks import Common
from harness.boundary.wire import Message, Peer, PeerGone
from harness.scenario import Scenario, database
from harness.worker.event_loop.loop import VirtualLoop
from harness.worker.imported import libraries_since
from harness.worker.inspection import Looking
from harness.worker.instrument.installed import Context, resources
from harness.worker.instrument.resource import Beginning, Resource
from harness.worker.page_copies import Seen
from harness.worker.roles import program_of
from harness.worker.runtime import Aborted, Runtime
from harness.worker.session import Session
from harness.worker.virtual.clock import Clock
from harness.worker.virtual.randomness import Randomness
from harness.worker.virtual.rebind import rebind

__all__ = ["STACK_SIGNAL", "Instrumented", "instrument"]

STACK_SIGNAL = signal.SIGRTMIN + 7
"""The signal at which a worker writes the Python stacks of its threads."""


class Instrumented:
    """The instrumentation of a process that forks workers. It is made once, before any worker, and workers inherit it."""

    def __init__(self, scenario: Scenario, common: Common, seen: Seen) -> None:
        self.clock = Clock(common.readings)
        self.runtime = Runtime(Peer(-1, -1), self.clock)
        randomness = Randomness(self.runtime.lane)
        self.resources = resources(Context(self.runtime, self.clock, randomness, scenario, common))
        # These are called in every execution, so methods that do nothing, inherited from ``Resource``, are left out.
        self._begins = self._own("begin")
        self._none_left, self._left_open, self._running = (
            self._own(name) for name in ("none_left", "left_open", "running")
        )
        self.directory = ""
        stand_ins = [each for resource in self.resources for each in resource.replacements()]
        for resource in self.resources:
            stand_ins = resource.replaced(stand_ins)
        self.not_looked_for = rebind(stand_ins, seen.originals, seen.without_originals)
        for resource in self.resources:
            resource.after_replacing(seen)

    def _own(self, name: str) -> list[Callable[..., Any]]:
        """Return the method *name* of each resource with a class that overrides it (``Resource`` has one that does nothing)."""
        return [
            getattr(resource, name)
            for resource in self.resources
            if getattr(type(resource), name) is not getattr(Resource, name)
        ]

    def _begin(self, beginning: Beginning, alone: bool = True) -> None:
        self.runtime.begin(alone)
        for begin in self._begins:
            begin(beginning)

    def _allow(self, scenario: Scenario, role: str) -> None:
        """Prepare for the delays and faults that *scenario* allows."""
        faults, runtime = scenario.faults, self.runtime
        runtime.delays = bool(scenario.delays)
        runtime.asks_errors = bool(faults.most and faults.errors)
        runtime.cancels = bool(faults.most and faults.cancel)
        # The clients are in one process but share no memory, so the order of their turns does not matter.
        runtime.has_turns = role != "clients"
        settles = [settle for resource in self.resources if (settle := resource.settles(scenario)) is not None]

        def settle_all() -> None:
            for settle in settles:
                settle()

        # It is called for each report, and mostly there is only one function to call: then no loop is needed.
        runtime.before_report = settles[0] if len(settles) == 1 else settle_all

    def serve(self, end: End, scenario: Scenario, role: str, number: int) -> None:
        """Run, as process *number* with *role*, the executions that are ordered at *end*; exit when its other end is gone."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # Standard output belongs to the controller: a line that the code under test prints there would spoil its JSON.
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        faulthandler.register(STACK_SIGNAL, file=end.stacks, all_threads=True)
        gc.disable()
        # Otherwise code that has set up no logging would write the same lines in each of thousands of executions.
        logging.lastResort = logging.NullHandler()
        sys.unraisablehook = _unless_aborted(sys.unraisablehook)
        self.clock.be(scenario, role, number)
        runtime = self.runtime
        peer = runtime.peer = end.peer
        runtime.trail = end.trail
        runtime.be_home(threading.get_ident())
        for resource in self.resources:
            resource.watch()
        runtime.look = Looking(runtime, self._tables).look
        self._allow(scenario, role)
        session = Session(runtime, program_of(scenario, role, runtime), self)
        imported = tuple(sys.modules)
        peer.send(([messages.hello(os.getpid())], None))
        take: dict[str, Callable[..., Any]] = {
            # For "abort" and "finish" the execution is over here already: it ended with its last call, or never began.
            "abort": lambda *_: peer.send(([messages.closed([], "")], None)),
            "finish": lambda *_: peer.send(([messages.closed([], "")], None)),
            "modules": lambda: peer.send(([libraries_since(imported)], None)),
            "look": lambda *_: peer.send(([], None)),
            "call": partial(self._begin_with_call, session, number),
            "prepare": partial(self._begin_by_opening, session, number),
        }
        try:
            while True:
                kind, *fields = peer.receive()
                take[kind](*fields)
        except (PeerGone, BrokenPipeError):
            os._exit(0)

    def _begin_with_call(
        self,
        session: Session,
        number: int,
        now: float,
        lane: str,
        operation: str,
        arguments: Sequence[Any],
        ahead: int,
        beginning: tuple[str, str, bool],
    ) -> None:
        seed, db, alone = beginning
        self._begin(Beginning(number, f"{seed}/w{number}", now, db, self.directory), alone)
        self.runtime.go_ahead(lane, ahead)
        # It runs in a context of its own, so that the context variables that it sets are gone afterwards.
        contextvars.copy_context().run(session.run_call, lane, operation, arguments, db)

    def _begin_by_opening(self, session: Session, number: int, now: float, seed: str, db: str, alone: bool) -> None:
        self._begin(Beginning(number, f"{seed}/w{number}", now, db, self.directory), alone)
        contextvars.copy_context().run(session.run, db)

    def _tables(self, text: Callable[[Any], str]) -> list[Message]:
        return [news for resource in self.resources for news in resource.tables(text)]

    # Answers to the session's questions about leftovers

    def in_transaction(self) -> list[str]:
        """Return a description of every transaction that is still open."""
        return [text for left_open in self._left_open for text in left_open()]

    def touched(self) -> bool:
        """Return whether a resource was used before the race, since the last call of this function."""
        # ``sum`` and not ``any``: every resource must be asked, because it forgets when it is asked.
        return sum(resource.ran_before() for resource in self.resources) > 0

    def none(self) -> bool:
        """Return whether no connection, descriptor, file lock or library thread is left."""
        return not self.runtime.threads and all(none_left() for none_left in self._none_left)

    def running(self) -> list[str]:
        """Return a description of every thread that would keep the process from ending."""
        return [text for running in self._running for text in running()]

    def clean(self) -> None:
        """End the threads and close the connections that are left."""
        for resource in self.resources:
            resource.clean()

    def set_up(self, setup: Callable[[Any], Any], db: str, seed: str) -> None:
        """Run *setup* over *db*, under virtual time and randomness seeded by *seed*; raises the exceptions of *setup*."""
        self.runtime.be_home(threading.get_ident())
        self._begin(Beginning(-1, f"{seed}/setup", 0.0, db, self.directory))
        value = setup(database(db))
        if inspect.isawaitable(value):
            loop = VirtualLoop(self.runtime)
            asyncio.set_event_loop(loop)
            loop.run_until_complete(value)
        self.clock.set_up()
        self.clean()


def _unless_aborted(hook: Callable[[sys.UnraisableHookArgs], Any]) -> Callable[[sys.UnraisableHookArgs], None]:
    """Return a hook that calls *hook*, except for ``Aborted``.

    An ``Aborted`` that ends an execution inside a finalizer arrives here, because no exception leaves a finalizer.
    """

    def report(args: sys.UnraisableHookArgs) -> None:
        if not issubclass(args.exc_type, Aborted):
            hook(args)

    return report


def instrument(scenario: Scenario, common: Common, seen: Seen) -> Instrumented:
    """Instrument this process, and those that it will fork, for *scenario*; they share the memory *common*.

    *seen* has the results of an earlier search of the modules. Opens no database.
    """
    return Instrumented(scenario, common, seen)
