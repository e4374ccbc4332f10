"""The state of one execution between steps: workers, clients, messages, locks, time, and what can be done next."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from operator import attrgetter
from pathlib import Path

from harness.control.crew import Crew
from harness.control.delaying import Delaying
from harness.control.faulting import Faulting
from harness.control.lanes import ClientState, Move, WorkerState, callers, source_of
from harness.control.moves import Moves
from harness.control.network import Network
from harness.control.processes import Fleet
from harness.history import Event
from harness.scenario import Scenario, Workload
from harness.unseen import Touch

__all__ = ["Scene"]

_BY_ORDER = attrgetter("order")


class Scene:
    """See the module's text. ``events`` is the history so far, ``changed`` that the shared state may have changed."""

    def __init__(
        self, scenario: Scenario, fleet: Fleet, workload: Workload, seed: int, db: Path, concurrent: bool
    ) -> None:
        self._scenario, self._fleet = scenario, fleet
        self._concurrent = concurrent
        alone = [count <= 1 and scenario.app is None for count in callers(workload)]
        self._states = [
            WorkerState(worker, role, role == "probe" or (number < len(alone) and alone[number]))
            for number, (worker, role) in enumerate(zip(fleet.workers, fleet.roles, strict=True))
        ]
        self._clients = [ClientState(f"c{number}", client.calls) for number, client in enumerate(workload.clients)]
        self._probe = ClientState("probe", scenario.probe(workload)) if scenario.probe is not None else None
        self.crew = Crew(scenario, fleet, self._states, seed, db)
        self.network = Network(self._states)
        self.faulting = Faulting(scenario.faults, self._states, self.network)
        self.delaying = Delaying(scenario.delays)
        self.may_delay = self.more_delays = False
        """Whether more could have been held up than the bound on delays allows."""
        self.undivided = False
        """Whether an operation that waits for no lock could have been refused in the middle of another's statement."""
        self.tries_to_write: set[str] = set()
        self.wrote_at_once: set[str] = set()
        """The files that a transaction which had read would write, and those that one statement took and let go again."""
        self.now = 0.0
        self.last = ""
        self.last_state: WorkerState | None = None
        self.count = 0
        self.unended = sum(bool(client.calls) for client in self._clients)
        self.pool = Moves()
        self.failed: tuple[str, str] | None = None
        """The first exception that left an operation or an application and is not expected: its type, and in words."""
        self.continues = False
        self.events: list[Event] = []
        self.changed = False
        self.retracted = 0
        """How many answers counted as heard and were not."""
        self.abandoned: list[int] = []
        """The server's processes for sessions whose worker is dead."""
        self.notes: dict[str, None] = {}
        """What was left alone, in words."""
        self.unseen: dict[Touch, None] = {}
        """What was touched that no schedule decides, in the order of touching."""

    # Beginning and end

    def prepare(self, isolated: bool) -> None:
        """Have every worker open its application, in a fresh process each if *isolated*."""
        self.crew.prepare(self.now, isolated)
        for client in self._clients:
            self.offer(client)

    def probe(self) -> bool:
        """All is quiet: have the probe make its calls, on a worker that begins now; return whether there is one."""
        client, self._probe = self._probe, None
        if client is None or not client.calls:
            return False
        state = self._states[-1]
        if not self.crew.at_first_call:
            self.crew.open(state, self.now)
        self._clients.append(client)
        self.unended += 1
        self.faulting.left = self.delaying.left = 0
        # It comes after everything, so no step in particular brought it about.
        self.offer(client)
        return True

    # What can be done

    @property
    def all_ended(self) -> bool:
        """Whether every client has made its last call and heard of it, and no request is on its way or being served."""
        if self.unended:
            return False
        return not self.network.busy and not any(state.requests for state in self._states)

    def endings(self) -> list[Move]:
        """All calls have ended: return the kills by which somebody would not have heard of that."""
        return self.faulting.unheard_kills() if self.faulting.left else []

    def unfinished(self) -> list[str]:
        """The calls under way, in words."""
        calls = [f"{client.name} {client.calls[client.next_call]}" for client in self._clients if client.busy]
        return calls + [f"request {name} at {state.name}" for state in self._states for name in state.requests]

    def moves(self) -> list[Move]:
        """Return what can be done now, first what goes on with the call that ran last, faults last.

        Empty when only time can help. ``continues`` is set to whether the first one goes on with that call.
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
                # What a task has made ready goes on with it.
                move.family = last if move.state is self.last_state else move.lane
        if len(found) > 1:
            if self.delaying.held:
                found = self.delaying.last(found)
            first = [move for move in found if move.family == last and move.kind != "timer"]
            first.sort(key=lambda move: move.kind != "turn")
            for move in first:
                found.remove(move)
            found[:0] = first
        self.continues = bool(found) and found[0].family == last and found[0].kind != "timer"
        self.may_delay = False
        if found and (self.delaying.left or not self.more_delays) and (later := self.passable()):
            delay = self.delaying.move(found, later[0])
            found += [delay] if delay is not None else []
            self.may_delay = delay is not None
            self.more_delays |= delay is None
        if self.faulting.left:
            found += self.faulting.moves(any(client.busy for client in self._clients))
        return found

    def offer(self, client: ClientState, cause: int = -1) -> None:
        """Make the call that *client* makes next a possible move, once its worker can take it."""
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
        """Whether making *move* keeps other clients from calling its worker."""
        return move.client is not None and not self._concurrent and not move.state.alone

    def free_or_busy(self, state: WorkerState) -> None:
        """A worker that takes one call at a time has taken one, or ended it: hold the others back, or offer them."""
        if not self._concurrent and not state.alone:
            self.pool.hold_calls(state, bool(state.calls))

    def waiting(self, inside: bool) -> list[Move]:
        """Return what waits for a lock *inside* SQLite, or else what was refused one and would ask again."""
        return self.pool.waiting_for_locks(inside)

    def deadlines(self) -> list[float]:
        """Return the virtual times to come at which something that waits would go on, the first one first."""
        timers = [state.timer[0] for state in self._states if state.timer is not None]
        return sorted(time for time in (*self.pool.deadlines(), *timers) if time > self.now)

    def passable(self) -> list[float]:
        """Return the deadlines of others to which time may pass while all that can run is held up, in order.

        None while something waits inside a library for a lock, until it gives up: every program that waits so would fail
        somewhere. So would every one that waits for itself, but not for ever: the deadlines of a call that is held up are not
        passed for their own sake. Nor is the time-out of an HTTP client, unless messages may be lost: then the client is ready
        for it.
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
        """Return what is equal where the same wait at the same places, whatever the time."""
        timers = tuple([state.timer is not None for state in self._states])
        return self.pool.waiting_for(), timers, self.network.busy, tuple(self.crew.running)

    def be(self, now: float) -> None:
        """It is *now*: offer what has waited until then."""
        self.now = now
        self.pool.due(now)
        for state in self._states:
            if state.timer is not None and state.timer[0] <= now:
                move = state.timer[1]
                move.detail = f"at {now:g} s"
                self.pool.offer(move)

    def lives(self, worker: int) -> tuple[int, int]:
        """Return which process *worker* is by now, and how often it has begun."""
        return self._fleet.ids.of(worker), self._states[worker].beginnings

    def key(self, name: Callable[[int], object], ran: Mapping[str, int]) -> object:
        """Return what tells this moment from others, but for what is in processes and files; causes by their *name*."""
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
        begun = tuple(sorted(self.crew.running))
        return (
            (
                self.now,
                self._fleet.readings.digest(),
                self.last,
                self.faulting.left,
                self.delaying.key(),
                self.unended,
                begun,
            ),
            (tuple(states), tuple(timers), tuple(clients)),
            (self.pool.key(name, ran), self.network.key(name), self.faulting.key()),
        )

    def where_they_wait(self) -> list[str]:
        """Return at which lines threads wait for each other; ask the workers where their unfinished tasks do."""
        found: list[str] = []
        for state in self._states:
            for move in state.parked.values():
                if move.kind in ("lock", "thread"):
                    at = f" at {move.source}" if move.source else ""
                    found.append(f"{state.name} {move.lane} waits{at} ({move.text})")
            if self._concurrent and (state.calls or state.requests):
                news, _ = state.worker.ask("where", self.now)
                places = [(item[1], source_of(item[2])) for item in news if item[0] == "waiting"]
                found += [f"{state.name} {lane} waits at {source}" for lane, source in places if source]
        return found
