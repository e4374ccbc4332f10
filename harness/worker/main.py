"""The main function of a worker process: its instrumentation is inherited by the fork, its orders come by pipe."""

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
from collections.abc import Callable
from typing import Any

from harness.boundary.flight_recorder import End
from harness.boundary.inherited_locks import Common
from harness.boundary.wire import Peer, PeerGone
from harness.scenario import Scenario, database, is_url
from harness.worker.event_loop import loop as loops
from harness.worker.event_loop.loop import VirtualLoop
from harness.worker.imported import libraries_since
from harness.worker.inspection import Looking
from harness.worker.instrument import audit_hook, c_libraries, declared, offspring, proc, sockets, unexplored
from harness.worker.instrument.files import file_locks, objects, os_functions
from harness.worker.instrument.files.opening import Files
from harness.worker.instrument.outside import Outside
from harness.worker.instrument.postgresql import psycopg
from harness.worker.instrument.postgresql.sessions import Sessions
from harness.worker.instrument.postgresql.transport import Dialler
from harness.worker.instrument.process_locks import ProcessLocks
from harness.worker.instrument.sqlite import aiosqlite, connections
from harness.worker.instrument.sqlite.databases import Databases
from harness.worker.instrument.sqlite.native import Native
from harness.worker.instrument.threads import real_threads as thread_starts
from harness.worker.instrument.threads.made_before import MadeBefore
from harness.worker.instrument.threads.real_threads import Threads
from harness.worker.page_copies import Seen
from harness.worker.roles import program_of
from harness.worker.runtime import Aborted, Runtime
from harness.worker.session import Session
from harness.worker.virtual import clock as clocks
from harness.worker.virtual import randomness as random_streams
from harness.worker.virtual.clock import Clock
from harness.worker.virtual.process_ids import Identity
from harness.worker.virtual.randomness import Randomness
from harness.worker.virtual.rebind import rebind
from harness.worker.virtual.sleep import sleeper

__all__ = ["STACK_SIGNAL", "Instrumented", "instrument"]

STACK_SIGNAL = signal.SIGRTMIN + 7
"""The signal at which a worker writes the Python stacks of its threads."""


class Instrumented:
    """The instrumentation of a process that forks workers. Made once, before any of them, and inherited."""

    def __init__(self, scenario: Scenario, common: Common, seen: Seen) -> None:
        self.clock = Clock(common.readings)
        self.runtime = Runtime(Peer(-1, -1), self.clock)
        self.outside = Outside(self.runtime)
        c_libraries.install(self.outside)
        self.randomness = Randomness(self.runtime.lane)
        self.native = Native()
        self.databases = Databases(self.runtime, self.native)
        self.files = Files(self.runtime)
        self.files.shared.elsewhere = self.outside.looked_at
        self.databases.also_held = self.files.locks.held
        self.databases.files.watch(self.files)
        self.threads = Threads(self.runtime)
        self.locks_before = MadeBefore(self.threads)
        self.process_locks = ProcessLocks(self.runtime, common.inherited, scenario.operations)
        self.identity = Identity(self.runtime, common.ids)
        self.sessions = Sessions(self.runtime, self.clock)
        self.dialler = Dialler(self.runtime, self.sessions)
        self.directory = ""
        aiosqlite.install(self.runtime)
        unexplored.refuse(VirtualLoop, self.runtime)
        sleep = sleeper(self.runtime)
        self.native.install_time_and_randomness(self.clock.of_day, self.randomness.bytes, sleep)
        clocks.install(self.clock, sleep)
        stand_ins = (
            random_streams.replacements(self.randomness)
            + connections.replacements(self.databases)
            + objects.replacements(self.files)
            + os_functions.replacements(self.files)
            + file_locks.replacements(self.files.locks)
            + loops.replacements(self.runtime)
            + declared.replacements(scenario.points, self.runtime)
            + thread_starts.replacements(self.threads)
            + psycopg.replacements(self.runtime, self.sessions)
            + self.process_locks.replacements()
            + self.identity.replacements()
        )
        self.not_looked_for = rebind(proc.over(self.identity, stand_ins), seen.originals, seen.without_originals)
        self.locks_before.replace(seen.without_locks)

    def _begin(self, seed: str, now: float, db: str, alone: bool = True) -> None:
        self.runtime.begin(alone)
        self.outside.begin(self.directory)
        if is_url(db):
            self.sessions.begin(db)
            self.runtime.dial = self.dialler.dial
        self.clock.begin(now)
        self.randomness.begin(seed)
        self.native.reseed()
        self.threads.begin()
        self.process_locks.begin()

    def _allow(self, scenario: Scenario, role: str) -> None:
        """Prepare for the delays and faults that *scenario* allows."""
        faults = scenario.faults
        self.runtime.delays = bool(scenario.delays)
        self._jumps = self.runtime.delays or bool(faults.most and faults.jumps)
        self.runtime.asks_errors = bool(faults.most and faults.errors)
        self.runtime.cancels = bool(faults.most and faults.cancel)
        # Clients in one process have no memory in common.
        self.runtime.has_turns = role != "clients"

    def serve(self, end: End, scenario: Scenario, role: str, number: int) -> None:
        """Be process *number* with *role*: run the executions that are ordered at *end* until the other end is gone."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # Standard output is the controller's: a line of the code under test in it would spoil its JSON.
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        faulthandler.register(STACK_SIGNAL, file=end.stacks, all_threads=True)
        gc.disable()
        # What the code logs where it has set up no logging would be repeated thousands of times.
        logging.lastResort = logging.NullHandler()
        sys.unraisablehook = _unless_aborted(sys.unraisablehook)
        self.clock.be(scenario, role, number)
        runtime = self.runtime
        peer = runtime.peer = end.peer
        runtime.trail = end.trail
        runtime.be_home(threading.get_ident())
        self._watch_outside()
        runtime.look = Looking(runtime, self.databases).look
        self._allow(scenario, role)
        runtime.before_report = self._settle if self._jumps or self.process_locks.watches else self.databases.settle
        session = Session(runtime, program_of(scenario, role, runtime), self)
        imported = tuple(sys.modules)
        peer.send(([("hello", os.getpid())], None))
        try:
            while True:
                order = peer.receive()
                if order[0] in ("abort", "finish"):
                    # The execution is over here already: it ended with its last call, or never began.
                    peer.send(([("closed", [], "")], None))
                elif order[0] == "modules":
                    peer.send(([libraries_since(imported)], None))
                elif order[0] == "look":
                    peer.send(([], None))
                elif order[0] == "call":
                    now, ahead, (seed, db, alone) = order[1], order[5], order[6]
                    self.identity.be(number)
                    self._begin(f"{seed}/w{number}", now, db, alone)
                    self.files.begin(self.directory)
                    runtime.go_ahead(order[2], ahead)
                    # What it puts into context variables is gone with it.
                    contextvars.copy_context().run(session.run_call, order, db)
                else:
                    _, now, seed, db, alone = order
                    self.identity.be(number)
                    self._begin(f"{seed}/w{number}", now, db, alone)
                    self.files.begin(self.directory)
                    contextvars.copy_context().run(session.run, db)
        except (PeerGone, BrokenPipeError):
            os._exit(0)

    def _watch_outside(self) -> None:
        """Report from now on the uncontrolled actions of this process."""
        offspring.watch(self.runtime, self.outside)
        unexplored.name_it(self.runtime)
        sockets.install(self.outside)
        audit_hook.install(self.outside)

    def _settle(self) -> None:
        """Where time may pass at any moment, a step that looked at the clock, or dated a file, says so."""
        self.databases.settle()
        if self.process_locks.watches:
            self.process_locks.say_what_memory()
        clock, touched = self.clock, self.runtime.touched
        if self._jumps and (clock.read or clock.dated or clock.told_dates):
            for resource, whether in (("clock", clock.read), ("dated", clock.dated), ("dates", clock.told_dates)):
                if whether:
                    touched(resource, "r")
            clock.read = clock.dated = clock.told_dates = False

    # What the session asks about leftovers

    def in_transaction(self) -> list[str]:
        """Return a description of every connection that is still in a transaction."""
        return self.databases.in_transaction() + self.sessions.in_transaction()

    def touched(self) -> bool:
        """Return whether a statement ran before the race, since last asked."""
        outside, self.databases.outside = self.databases.outside, 0
        return outside > 0

    def none(self) -> bool:
        """Return whether no connection, descriptor, lock on a file and library thread is left."""
        return (
            self.databases.none_open
            and self.files.none_held()
            and self.sessions.none()
            and not self.runtime.threads
            and not aiosqlite.any_alive()
        )

    def running(self) -> list[str]:
        """Return a description of every thread that would keep the process from ending."""
        return self.threads.left()

    def clean(self) -> None:
        """End the threads and close the connections that were left."""
        aiosqlite.stop_all()
        self.databases.close_all()
        self.sessions.clean()
        self.files.clean()
        self.threads.clean()
        self.locks_before.reset()

    def set_up(self, setup: Callable[[Any], Any], db: str, seed: str) -> None:
        """Run *setup* over *db*, under virtual time and seeded randomness; its exceptions are raised."""
        self.runtime.be_home(threading.get_ident())
        self.identity.be_setup()
        self._begin(f"{seed}/setup", 0.0, db)
        value = setup(database(db))
        if inspect.isawaitable(value):
            loop = VirtualLoop(self.runtime)
            asyncio.set_event_loop(loop)
            loop.run_until_complete(value)
        self.clock.set_up()
        self.clean()


def _unless_aborted(hook: Callable[[sys.UnraisableHookArgs], Any]) -> Callable[[sys.UnraisableHookArgs], None]:
    """Return *hook*, but for our own ending of an execution where it was in a finalizer, out of which nothing is raised."""

    def report(args: sys.UnraisableHookArgs) -> None:
        if not issubclass(args.exc_type, Aborted):
            hook(args)

    return report


def instrument(scenario: Scenario, common: Common, seen: Seen) -> Instrumented:
    """Instrument this process and those it will fork for *scenario*, which have *common* memory. Opens no database."""
    return Instrumented(scenario, common, seen)
