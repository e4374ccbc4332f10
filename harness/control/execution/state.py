"""The state of one execution between steps: workers, clients, messages, locks, time, and the moves that can be made."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from operator import attrgetter
from pathlib import Path

from harness.boundary import messages
from harness.control.execution.actors import ClientState, Move, WorkerState, callers, source_of
from harness.control.execution.delays import DelayOffers
from harness.control.execution.fault_offers import FaultOffers
from harness.control.execution.moves import Moves
from harness.control.execution.network import Network
from harness.control.execution.worker_pool import ExecutionWorkers
from harness.control.testbed.processes import WorkerPool
from harness.scenario import Scenario, Workload
from harness.values.history import Event
from harness.values.uncontrolled import Touch

__all__ = ["ExecutionState"]

_BY_ORDER = attrgetter("order")


class ExecutionState:
    """The execution state. ``events`` is the history so far, ``changed`` whether the shared state may have changed."""

    def __init__(
        self, scenario: Scenario, worker_pool: WorkerPool, workload: Workload, seed: int, db: Path, concurrent: bool
    ) -> None:
        self._scenario, self._worker_pool = scenario, worker_pool
        self.expected_errors, self.allows = scenario.expected_errors, scenario.allows
        self._concurrent = concurrent
        alone = [count <= 1 and scenario.app is None for count in callers(workload)]
        self._states = [
            WorkerState(worker, role, role == "probe" or (number < len(alone) and alone[number]))
            for number, (worker, role) in enumerate(zip(worker_pool.workers, worker_pool.roles, strict=True))
        ]
        self._clients = [ClientState(f"c{number}", client.calls) for number, client in enumerate(workload.clients)]
        self._probe = ClientState("probe", scenario.probe(workload)) if scenario.probe is not None else None
        self.participants = ExecutionWorkers(scenario, worker_pool, self._states, seed, db)
        self.network = Network(self._states)
        self.fault_offers = FaultOffers(scenario.faults, self._states, self.network)
        self.delay_offers = DelayOffers(scenario.delays)
        self.may_delay = self.more_delays = False
        """Whether a delay is among the moves now; whether one was ever left out, such as one beyond the bound."""
        self.undivided = False
        """Whether an operation ran that waits for no lock: it could be refused in the middle of another's statement."""
        self.tries_to_write: set[str] = set()
        self.wrote_at_once: set[str] = set()
        """The files that transactions tried to write after reading them, and those that lone statements wrote.

        SQLite refuses the first at once while the second is under way; here the second is never seen under way.
        """
        self.now = 0.0
        self.last = ""
        self.last_state: WorkerState | None = None
        self.count = 0
        self.unended = sum(bool(client.calls) for client in self._clients)
        self.pool = Moves()
        self.failed: tuple[str, str] | None = None
        """The first unexpected exception that left an operation or an application: its type, and a message."""
        self.continues = False
        self.events: list[Event] = []
        self.changed = False
        self.retracted = 0
        """The number of answers that had counted as heard, until a kill showed that they were not."""
        self.abandoned: list[int] = []
        """The process ids of a database server's sessions whose worker is dead."""
        self.notes: dict[str, None] = {}
        """Actions of the code under test that are left uncontrolled, in words."""
        self.unseen: dict[Touch, None] = {}
        """Everything touched that no schedule controls, in the order of touching."""

    # Beginning and end

    def prepare(self, isolated: bool) -> None:
        """Have every worker open its application, in a fresh process each if *isolated*."""
        self.participants.prepare(self.now, isolated)
        for client in self._clients:
            self.offer(client)

    def probe(self) -> bool:
        """Offer the probe's calls, on a worker that begins now; return whether there is a probe that has not begun.

        To be called when every other call has ended. No fault and no delay comes after this.
        """
        client, self._probe = self._probe, None
        if client is None or not client.calls:
            return False
        state = self._states[-1]
        if not self.participants.at_first_call:
            self.participants.open(state, self.now)
        self._clients.append(client)
        self.unended += 1
        self.fault_offers.left = self.delay_offers.left = 0
        # The probe comes after all other steps, so no single one of them is its cause.
        self.offer(client)
        return True

    # What can be done

    @property
    def all_ended(self) -> bool:
        """Whether every call has ended, no message is in transit, and no request is being served."""
        if self.unended:
            return False
        return not self.network.busy and not any(state.requests for state in self._states)

    def endings(self) -> list[Move]:
        """Return the kills that can still come when all calls have ended: those by which a client gets no answer."""
        return self.fault_offers.unheard_kills() if self.fault_offers.left else []

    def unfinished(self) -> list[str]:
        """Return the calls under way and the requests being served, in words."""
        calls = [f"{client.name} {client.calls[client.next_call]}" for client in self._clients if client.busy]
        return calls + [f"request {name} at {state.name}" for state in self._states for name in state.requests]

    def moves(self) -> list[Move]:
        """Return the enabled moves: first those that go on with the task that ran last, and the faults at the end.

        The list is empty when only the passing of time can help. ``continues`` is set to whether the first move goes on
        with that task.
        """
        found = self.pool.enabled.sorted.copy()
        if any(state.down for state in self._states):
            found = [move for move in found if move.client is None or not move.state.down]
        if self.network.clients is not None:
            found += self.network.moves()
            found.sort(key=_BY_ORDER)
        last = self.last
        for move in found:
            if move.kind == "turn":
                # The event loop's next turn goes on with the task that ran last: it runs what that task has made ready.
                move.family = last if move.state is self.last_state else move.lane
        if len(found) > 1:
            if self.delay_offers.held:
                found = self.delay_offers.last(found)
            first = [move for move in found if move.family == last and move.kind != "timer"]
            first.sort(key=lambda move: move.kind != "turn")
            for move in first:
                found.remove(move)
            found[:0] = first
        self.continues = bool(found) and found[0].family == last and found[0].kind != "timer"
        self.may_delay = False
        if found and (self.delay_offers.left or not self.more_delays) and (later := self.passable()):
            delay = self.delay_offers.move(found, later[0])
            found += [delay] if delay is not None else []
            self.may_delay = delay is not None
            self.more_delays |= delay is None
        if self.fault_offers.left:
            found += self.fault_offers.moves(any(client.busy for client in self._clients))
        return found

    def offer(self, client: ClientState, cause: int = -1) -> None:
        """Offer the next call of *client* as a move; it waits while its worker can take no other call."""
        call = client.call
        if call is None:
            return
        state = self.network.clients or (self._states[-1] if client.name == "probe" else self._states[call.worker])
        name = client.lane if client.lane not in state.parked else f"{client.lane}+call"
        arguments = ", ".join(map(repr, call.arguments))
        probes = client.name == "probe" and not client.next_call
        move = Move(
            state, name, client.lane, "probe" if probes else "call", f"{call.operation}({arguments})", client=client
        )
        move.cause = cause
        self.pool.offer(move, waits=not self._concurrent and bool(state.calls))

    def shuts_out(self, move: Move) -> bool:
        """Return whether making *move* keeps other clients from calling its worker."""
        return move.client is not None and not self._concurrent and not move.state.alone

    def free_or_busy(self, state: WorkerState) -> None:
        """Hold back other calls to *state*'s worker while it has one, or offer them, if it takes one call at a time."""
        if not self._concurrent and not state.alone:
            self.pool.hold_calls(state, bool(state.calls))

    def waiting(self, inside: bool) -> list[Move]:
        """Return the moves that wait for a lock *inside* SQLite, or else those that were refused one and retry."""
        return self.pool.waiting_for_locks(inside)

    def deadlines(self) -> list[float]:
        """Return, in order, the virtual times after now at which a waiting move or a timer is due."""
        timers = [state.timer[0] for state in self._states if state.timer is not None]
        return sorted(time for time in (*self.pool.deadlines(), *timers) if time > self.now)

    def passable(self) -> list[float]:
        """Return, in order, the deadlines to which time may pass while every enabled move is held up by a delay.

        A delay must not make every program fail that has a time-out. So there are none while a move waits inside a
        library for a lock, until it gives up. The deadlines of a call that is itself held up, such as its time-outs, do
        not count. No time-out of an HTTP client is passed, unless messages may be lost: a client is then expected to be
        ready for it.
        """
        if not self.pool.anything_waits and all(state.timer is None for state in self._states):
            return []
        held = {(move.state.name, lane) for move in self.pool.enabled.values() for lane in move.whose}
        found, limit = self.pool.passable(held), math.inf
        for state in self._states if found is not None else ():
            if state.timer is None:
                continue
            if state.role == "clients" and not self._scenario.faults.lose:
                limit = min(limit, state.timer[0])
            elif found is not None:
                found += [when for lane, when in state.timers if (state.name, lane) not in held]
        return sorted(time for time in found or () if self.now < time < limit)

    def waiting_for(self) -> object:
        """Return a value that is equal if the same moves wait at the same lines, whatever the time."""
        timers = tuple([state.timer is not None for state in self._states])
        return self.pool.waiting_for(), timers, self.network.busy, tuple(self.participants.running)

    def set_time(self, now: float) -> None:
        """Set the virtual time to *now*, in seconds, and offer the moves and timers that are due."""
        self.now = now
        self.pool.due(now)
        for state in self._states:
            if state.timer is not None and state.timer[0] <= now:
                move = state.timer[1]
                move.detail = f"at {now:g} s"
                self.pool.offer(move)

    def lives(self, worker: int) -> tuple[int, int]:
        """Return the virtual process id of *worker* at present, and how often it has begun."""
        return self._worker_pool.ids.of(worker), self._states[worker].beginnings

    def is_down(self, worker: int) -> bool:
        """Return whether *worker* was killed, and no process has taken its place yet."""
        return self._states[worker].down

    def key(self, name: Callable[[int], object], ran: Mapping[str, int]) -> object:
        """Return a value that is equal for equal execution states, without the content of processes and files.

        *name* turns the number of a step that caused a move into an identity that other interleavings share; *ran* says
        when each choice was made last.
        """
        states = [
            (
                state.used,
                state.opens_quietly,
                state.down,
                self.lives(state.worker.number),
                state.holds,
                tuple(state.requests),
            )
            for state in self._states
        ]
        timers = [state.timer and (state.timers, name(state.timer[1].cause)) for state in self._states]
        clients = [(client.name, client.next_call, client.busy, client.cancelled) for client in self._clients]
        begun = tuple(sorted(self.participants.running))
        return (
            (
                self.now,
                self._worker_pool.readings.digest(),
                self.last,
                self.fault_offers.left,
                self.delay_offers.key(),
                self.unended,
                begun,
            ),
            (tuple(states), tuple(timers), tuple(clients)),
            (self.pool.key(name, ran), self.network.key(name), self.fault_offers.key()),
        )

    def where_they_wait(self) -> list[str]:
        """Return in words where threads wait for each other, and where the workers' unfinished tasks wait."""
        found: list[str] = []
        for state in self._states:
            for move in state.parked.values():
                if move.kind in ("lock", "thread"):
                    at = f" at {move.source}" if move.source else ""
                    found.append(f"{state.name} {move.lane} waits{at} ({move.text})")
            if self._concurrent and (state.calls or state.requests):
                news, _ = state.worker.ask(messages.where(self.now))
                places = [(item[1], source_of(item[2])) for item in news if item[0] == "waiting"]
                found += [f"{state.name} {lane} waits at {source}" for lane, source in places if source]
        return found
