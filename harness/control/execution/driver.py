"""Runs single executions: lets one parked operation go at a time and records the steps and events that result."""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.control.execution.actors import Move
from harness.control.execution.fingerprint import StateFingerprint
from harness.control.execution.time_jumps import TimeJumps
from harness.control.execution.transitions import Transitions
from harness.control.execution.worker_pool import Broke
from harness.control.execution.workloads import check_workload
from harness.control.rules.observer import Broken, Observer
from harness.control.testbed.audit import Audit
from harness.control.testbed.processes import WorkerDied, WorkerPool, ending
from harness.control.testbed.shared_files import SharedState
from harness.errors import Unjudged
from harness.result import Execution, Failure
from harness.scenario import Scenario, Workload
from harness.schedulers.base import PASS, Scheduler, View
from harness.values.history import History, Step, looked_at_dates

__all__ = ["Driver"]

_SIGKILL = -9


class _Over(Exception):
    """Raised to end an execution with a failure."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure


class Driver:
    """Runs executions of one scenario, one after another, over one worker pool.

    With ``isolated`` each execution gets freshly forked workers; with ``wants_outcomes`` each carries a digest of its
    outcome (which costs a dump of the database). ``watch`` is called with the number of each step after which the
    shared state may have changed, and with -1 at the beginning.
    """

    def __init__(
        self, scenario: Scenario, worker_pool: WorkerPool, world: SharedState, observer: Observer, seed: int
    ) -> None:
        self.scenario, self.worker_pool, self.world, self.observer, self.seed = (
            scenario,
            worker_pool,
            world,
            observer,
            seed,
        )
        self.concurrent = scenario.concurrent
        self.audit = Audit(str(world.directory))
        self._checked: Workload | None = None
        self.isolated = False
        self.wants_outcomes = False
        self.watch: Callable[[int], None] | None = None

    def short(self) -> str:
        """Return why the machine, short of room or descriptors, makes executions unreliable; empty if it does not."""
        return self.world.environment_failure(History(()), []) or self.worker_pool.short()

    def run(self, scheduler: Scheduler, workload: Workload) -> Execution:
        """Run *workload* once under *scheduler*.

        1. Put the shared state back, and have every worker open its application.
        2. While something can run: ask the scheduler, let that operation go, wait until its worker is quiescent,
           note the step, and check the invariants if the shared state may have changed.
        3. When nothing can run, let virtual time jump to the next deadline; with none, it is a deadlock.
        4. When every call has ended: check what must hold at the end and what the clients were told.
        5. Have every worker close and clean up; replace those that can't.

        An exception of *scheduler* (``Diverged``, Hypothesis' own signals) is raised after step 5.
        """
        if workload is not self._checked:
            check_workload(workload, self.scenario, self.worker_pool.size)
            self._checked = workload
        return _Run(self, scheduler, workload).run()


class _Run:
    """One execution under way."""

    def __init__(self, driver: Driver, scheduler: Scheduler, workload: Workload) -> None:
        self.driver, self.scheduler, self.workload = driver, scheduler, workload
        self.scenario, self.worker_pool, self.observer = driver.scenario, driver.worker_pool, driver.observer
        self.stage = Transitions(
            driver.scenario, driver.worker_pool, workload, driver.seed, driver.world.db, driver.concurrent
        )
        self.steps: list[Step] = []
        self.causes: list[int] = []
        self.left_open: list[str] = []
        self.bounded = False
        self.waits_since = 0.0
        self.happened: tuple[str, ...] = ()
        self.ran: dict[str, int] = {}
        self.time_jumps = TimeJumps(self.stage, driver.world, self.steps)
        self.looks_ahead: Callable[[View], int] | None = getattr(scheduler, "ahead", None)
        self.fingerprint: StateFingerprint | None = None
        if getattr(scheduler, "wants_states", False):
            self.fingerprint = StateFingerprint(self.stage, driver.world, self.observer, self.scenario.ordered)

    def run(self) -> Execution:
        failure, abandoned, stuck, outcome = None, False, "", ""
        self.driver.world.reset()
        self.worker_pool.ids.begin()
        self.worker_pool.readings.begin()
        self.observer.begin()
        self._watched()
        try:
            self.stage.prepare(isolated=self.driver.isolated)
            self.driver.audit.begin()
            abandoned = not self._race()
            self.observer.at(self.stage.now, self.worker_pool.readings.latest)
            if not abandoned:
                self._check(self.observer.at_end(), "at end")
                self.left_open = self.stage.participants.finish(self.stage.now)
                self.stage.unseen.update(dict.fromkeys(self.driver.audit.looked()))
                history = self._history()
                self._check(self.observer.told(history), "postcondition")
                outcome = self.observer.outcome(history) if self.driver.wants_outcomes else ""
            self.happened = self.observer.happened(self._history(), self.steps, whole=not abandoned)
        except _Over as over:
            failure = over.failure
            if stuck := self.driver.world.environment_failure(self._history(), self.steps) or self.worker_pool.short():
                failure = None
        except Unjudged as error:
            stuck = str(error)
        finally:
            self.stage.participants.clear(self.stage.now)
        return Execution(
            workload=self.workload,
            seed=self.driver.seed,
            steps=tuple(self.steps),
            history=self._history(),
            failure=failure,
            abandoned=abandoned,
            bounded=self.bounded,
            stuck=stuck,
            outcome=outcome,
            causes=tuple(self.causes),
            happened=self.happened,
            states=tuple(self.observer.states),
            chances=tuple(self.stage.fault_offers.chances),
            more_delays=self.stage.more_delays,
            undivided=self.stage.undivided or not self.stage.tries_to_write.isdisjoint(self.stage.wrote_at_once),
            notes=(*self.stage.notes, *self.driver.audit.notes),
            unseen=tuple(self.stage.unseen),
            dates_seen=self.driver.world.shows_times or looked_at_dates(self.steps),
            skew=self.scenario.skew,
        )

    def _history(self) -> History:
        return History(tuple(self.stage.events), tuple(self.left_open))

    def _check(self, broken: Broken | None, kind: str) -> None:
        if broken is not None:
            raise _Over(Failure(kind, *broken, step=len(self.steps) - 1))

    # The race

    def _probes(self) -> bool:
        """Begin the probe if there is one, and return whether there is; to open its application is no step."""
        begun = self.stage.probe()
        self.driver.audit.forget()
        return begun

    def _race(self) -> bool:
        """Let operations go until nothing is left to do; return False if the scheduler abandoned the execution."""
        stage = self.stage
        while True:
            if stage.pool.woken:
                self._wake()
                continue
            moves = stage.moves()
            if stage.all_ended and (not moves or moves[0].fault):
                # All that can still go wrong is a kill that loses an answer.
                moves = stage.endings()
            if not moves:
                if stage.all_ended:
                    if self._asks_again() or self._probes():
                        continue
                    return True
                self._unblock()
                continue
            if moves[-1].fault:
                stage.fault_offers.offered(moves, self.steps[-1] if self.steps else None)
            if stage.continues:
                last = stage.last
                options = [move.continuing if move.family == last else move.fresh for move in moves]
            else:
                options = [move.fresh for move in moves]
                if moves[0].fault:
                    options.insert(0, PASS)
            state = self.fingerprint.state(self.ran, self.time_jumps.key()) if self.fingerprint is not None else 0
            view = View(
                options, self.steps, stage.now, stage.fault_offers.left > 0, stage.pool.asleep(), state, stage.delay_offers.left
            )  # fmt: skip
            over = len(self.steps) >= self.scenario.steps
            if over and (then := self.time_jumps.spins(self.scenario.steps)):
                stage.set_time(then)
                continue
            choice = self._fairly(moves) if over else self.scheduler.choose(view)
            if choice is None:
                return False
            if choice == PASS.choice:
                if stage.all_ended:
                    if self._asks_again() or self._probes():
                        continue
                    return True
                self._unblock()
                continue
            move = stage.pool.enabled.get(choice) or next((move for move in moves if move.choice == choice), None)
            if move is None:
                move = stage.pool.blocked_move(choice)
            # A call to a worker that takes one at a time changes the options of other clients: ask the scheduler again.
            ahead = 0 if over or stage.may_delay or stage.shuts_out(move) else self._ahead(view)
            self._take(move, stage.continues and move.family != stage.last and not move.fault, ahead)

    def _ahead(self, view: View) -> int:
        """Return how many more operations of the task just chosen may run without asking the scheduler."""
        if self.looks_ahead is None:
            return 0
        return max(0, min(self.looks_ahead(view), self.scenario.steps - len(self.steps) - 1))

    def _fairly(self, moves: list[Move]) -> str:
        """Return the choice that was made least recently; raises ``_Over`` if turns have been taken for too long.

        Used after too many steps, so that only an execution that a fair schedule does not end either is called endless.
        """
        self.bounded = True
        self._end_if_endless()
        names = [move.choice for move in moves if not move.fault]
        return min(names, key=lambda name: self.ran.get(name, -1), default=PASS.choice)

    def _end_if_endless(self) -> None:
        if len(self.steps) >= 2 * self.scenario.steps:
            raise _Over(
                Failure(
                    "no progress",
                    "every call ends",
                    f"after {len(self.steps)} steps, the last {self.scenario.steps} in turns, these calls have not "
                    f"ended: {', '.join(self.stage.unfinished())}",
                    len(self.steps) - 1,
                )
            )

    def _take(self, move: Move, preempts: bool = False, ahead: int = 0) -> None:
        stage = self.stage
        self.driver.world.set_time(stage.now)
        if self.waits_since:
            self.driver.world.waits(self.waits_since)
            self.waits_since = 0.0
        if self.fingerprint is not None:
            self.fingerprint.before()
        if move.kind == "delay":
            stage.delay_offers.until = self.time_jumps.next(stage.passable(), held_up=True)
            stage.delay_offers.tired = self.time_jumps.tired
        audit = self.driver.audit
        audit.before()
        try:
            steps = stage.take(move, preempts, ahead)
            stage.unseen.update(dict.fromkeys(audit.untold(steps, move.state.worker.number)))
        except WorkerDied as died:
            passed, last = stage.passed_before_death(move, died.passed if ahead else [], preempts)
            audit.died([step.kind for step in passed] + [last.kind], move.state.worker.number)
            self._record(move, passed)
            steps = [self._died(last, died.number)]
        if stage.delay_offers.held and move.kind != "delay":
            stage.delay_offers.stepped(steps)
        if stage.abandoned:
            self.driver.world.settle(stage.abandoned)
        if stage.pool.woken:
            # Sessions that the step unblocked go on in the server by themselves. Wait, or rules would see half of it.
            self.driver.world.await_unblocked(
                [pid for woken in stage.pool.woken.values() for pid in woken.state.sessions]
            )
        if not steps:
            return
        if self.fingerprint is not None:
            self.fingerprint.stepped(move, steps)
        self._record(move, steps)
        if steps[-1].waited:
            self.waits_since = time.perf_counter()
        self.ran[move.choice] = len(self.steps)
        if stage.changed or self.observer.looks_elsewhere:
            stage.changed = False
            self._watched()
            self.observer.at(stage.now, self.worker_pool.readings.latest)
            self._check(self.observer.invariants(steps[-1].lane), "invariant")
        if stage.failed is not None and self.scenario.raising_fails:
            name, message = stage.failed
            raise _Over(Failure("error", name, message, len(self.steps) - 1))

    def _watched(self) -> None:
        if self.driver.watch is not None:
            self.driver.watch(len(self.steps) - 1)

    def _record(self, move: Move, steps: list[Step]) -> None:
        """Record *steps* and their causes: for the first the cause of *move*, for each other one the step before it."""
        start = len(self.steps)
        # A report that a lock is still waited for is no step, but may set a timer, whose cause is then one too high.
        first = min(move.cause, start - 1)
        self.causes += [first, *range(start, start + len(steps) - 1)][: len(steps)]
        self.steps += steps

    def _wake(self) -> None:
        """Have the first session that the server may have unblocked report whether it still waits.

        That is no choice of the scheduler, because the server alone decides which session gets a lock.
        """
        stage = self.stage
        move = min(stage.pool.woken.values(), key=lambda move: move.order)
        last = stage.last
        self._take(move)
        stage.last = last

    def _died(self, move: Move, number: int) -> Step:
        """Return the step in which a worker died by itself, if SIGKILL ended it: that is a crash like any other.

        Every other ending is a failure (``_Over``). Raises ``Broke`` if the system killed it for lack of memory.
        """
        code = self.worker_pool.reap(move.state.worker)
        if self.fingerprint is not None:
            self.fingerprint.lost = True
        step = self.stage.lost(move, ending(code))
        if code == _SIGKILL and self.worker_pool.lacked_memory():
            raise Broke(
                f"Worker {number} was killed by the system for lack of memory, so what it did can't be judged. "
                "Give the machine or the container more."
            )
        if code != _SIGKILL:
            self._record(move, [step])
            message = f"worker {number} {ending(code)} during {move.text or move.kind}"
            raise _Over(Failure("worker died", "", message, len(self.steps) - 1))
        return step

    def _asks_again(self) -> bool:
        """Retry blocked moves, which wait inside a library or in memory, until one goes on; return whether one did."""
        for move in self.stage.waiting(inside=True):
            before = len(self.steps)
            self._take(move)
            if len(self.steps) > before:
                return True
        return False

    def _unblock(self) -> None:
        """Find a way on when nothing can run; raises ``_Over`` if there is none, which is a deadlock.

        1. Retry blocked moves, because a lock inside SQLite may have been released unnoticed.
        2. Else let virtual time pass to the next deadline.
        3. Else retry operations that were refused a lock, in turns, until there are too many steps.
        """
        stage = self.stage
        if self._asks_again():
            return
        if later := stage.deadlines():
            stage.set_time(self.time_jumps.next(later, len(self.steps) >= self.scenario.steps))
            stage.delay_offers.tired = self.time_jumps.tired
            return
        if refused := stage.waiting(inside=False):
            # No lock will be released and no time-out is left: only asking again may help, and that not for ever.
            self._take(min(refused, key=lambda move: self.ran.get(move.choice, -1)))
            self._end_if_endless()
            return
        waits = stage.where_they_wait()
        message = "no call can go on, and no time-out will help: " + "; ".join(waits or stage.unfinished())
        raise _Over(Failure("deadlock", "every call ends", message, len(self.steps) - 1))
