"""Offers the faults that can be injected into an execution now, and counts how many are left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from harness.control.execution.actors import Move, WorkerState
from harness.control.execution.network import Network
from harness.control.testbed.processes import Worker
from harness.coverage.pairs import operation
from harness.faults import Faults
from harness.values.history import Event, Step

__all__ = ["FaultOffers"]


class _Nobody:
    number = -1


class FaultOffers:
    """The faults of one execution. ``left`` is how many may still be injected."""

    def __init__(self, faults: Faults, states: list[WorkerState], network: Network) -> None:
        self._faults, self._network = faults, network
        self._workers = [state for state in states if state.role == "worker"]
        self._world = WorkerState(cast(Worker, _Nobody()), "", False)
        self.left = faults.most if faults.kinds else 0
        self._unheard: dict[str, tuple[WorkerState, Event | None]] = {}
        self.chances: dict[tuple[str, str], None] = {}
        """The kinds of fault that could be injected, each with the operation of the step before."""

    def __repr__(self) -> str:
        return f"<FaultOffers left={self.left}>"

    def jump_of(self, move: Move) -> float:
        """Return the seconds by which *move* has the clock jump."""
        return next(jump for jump in self._faults.jumps if move.choice == f"!clock:{jump:g}")

    def moves(self, under_way: bool) -> list[Move]:
        """Return every fault that can be injected now. The clock may jump only if a call is *under_way*."""
        faults = self._faults
        found: list[Move] = []
        used = [state for state in self._workers if state.used]
        if faults.kill:
            found += [Move(state, f"!kill:{state.name}", "", "kill", "SIGKILL") for state in used if not state.down]
            found += self.unheard_kills()
        if faults.cancel or faults.errors:
            for state in used:
                found += self._at(state)
        if faults.lose or faults.duplicate:
            found += self._of_messages()
        for jump in faults.jumps if under_way else ():
            found.append(Move(self._world, f"!clock:{jump:g}", "", "clock", f"the clock jumps by {jump:g} s"))
        return found

    def offered(self, moves: list[Move], after: Step | None) -> None:
        """Record that the faults among *moves* could be injected after the step *after* (None: before the first)."""
        before = operation(after) if after is not None else ""
        self.chances.update({(move.kind, before): None for move in moves if move.fault and move.kind != "delay"})

    # Answers that nobody has heard yet

    def answered(self, state: WorkerState, name: str, event: Event | None) -> None:
        """Record that the worker of *state* has answered the call of lane *name* or, without *event*, a request."""
        if self._faults.kill and self.left:
            self._unheard.pop(name, None)
            self._unheard[name] = state, event

    def goes_on(self, name: str) -> None:
        """Record that the client of the call or request *name* has gone on, so no kill can lose its answer any more."""
        self._unheard.pop(name, None)

    def heard(self, state: WorkerState) -> None:
        """Take all answers of the worker of *state* for heard: its process is gone, so no kill can lose them."""
        for name in [name for name, (whose, _) in self._unheard.items() if whose is state]:
            del self._unheard[name]

    def unheard_from(self, state: WorkerState, lane: str) -> list[tuple[str, Event | None]]:
        """Return the answers of the worker of *state* that nobody has heard yet, from the one to *lane* on."""
        found = [(name, event) for name, (whose, event) in self._unheard.items() if whose is state]
        return found[[name for name, _ in found].index(lane) :]

    def unheard_kills(self) -> list[Move]:
        """Return, for each answer that nobody has heard yet, the kill of its worker before the answer left."""
        return [
            Move(state, f"!kill:{state.name}:{name}", name, "kill", f"SIGKILL before {name} has its answer")
            for name, (state, _) in self._unheard.items()
        ]

    def key(self) -> object:
        """Return the part of a state fingerprint that stands for unheard answers."""
        if not self.left:
            return ()
        return tuple(
            tuple(name for name, (whose, _) in self._unheard.items() if whose is state) for state in self._workers
        )

    def _at(self, state: WorkerState) -> Iterator[Move]:
        """Yield the cancellations of tasks and the errors of operations that are possible in one worker."""
        parked = [move for move in state.parked.values() if move.key is not None]
        if self._faults.cancel and all(move.movable for move in parked):
            for lane in (*state.calls, *state.requests):
                yield Move(state, f"!cancel:{state.name}:{lane}", lane, "cancel", "cancelled")
                for move in parked:
                    if move.family == lane and move.kind != "turn" and not move.blocked and not move.awaits:
                        yield _of(move, "lost", lane)
        for move in parked:
            for error in move.errors:
                if error in self._faults.errors and not move.blocked and not move.awaits:
                    yield _of(move, error, move.lane)

    def _of_messages(self) -> Iterator[Move]:
        for name, moves in self._network.requests.items():
            text = moves[0].text
            if self._faults.lose:
                yield self._message("lose", name, f"request lost: {text}")
            if self._faults.duplicate:
                yield self._message("duplicate", name, f"request delivered twice: {text}")
        if self._faults.lose:
            for name, move in self._network.answers.items():
                yield self._message("lose", name, f"answer lost: {move.text}")

    def _message(self, kind: str, name: str, text: str) -> Move:
        return Move(self._world, f"!{kind}:{name}", name, kind, text)


def _of(move: Move, kind: str, lane: str) -> Move:
    """Return the move that injects the fault *kind* into the parked operation *move*."""
    fault = Move(move.state, f"!{kind}:{move.choice}", lane, kind, move.text, move.detail, move.source, key=move.key)
    fault.of, fault.cause = move, move.cause
    return fault
