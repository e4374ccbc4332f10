"""The messages of an execution in transit: requests to workers, answers to clients, and notices that a client has left.

The schedule chooses when each message arrives, and at which worker.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.boundary.wire import Message
from harness.control.execution.actors import Move, WorkerState
from harness.values.history import Access
from harness.values.names import Task

__all__ = ["Network", "answer", "request"]

_SHOWN = 200


def request(name: str) -> Access:
    """Return the access, a write, that is made by every step that decides whether or when request *name* arrives."""
    return Access(f"request:{name}", "w")


def answer(name: str) -> Access:
    """Return the access, a write, that is made by every step that decides the fate of the answer to *name*."""
    return Access(f"answer:{name}", "w")


class Network:
    """The messages in transit.

    ``clients`` is the process that runs all clients; None where calls go to workers directly: then there are no
    messages.
    """

    def __init__(self, states: list[WorkerState]) -> None:
        self._workers = [state for state in states if state.role == "worker"]
        self._probed = next((state for state in states if state.role == "probe"), None)
        self.clients = next((state for state in states if state.role == "clients"), None)
        self.requests: dict[str, list[Move]] = {}
        self.answers: dict[str, Move] = {}
        self._awaited: set[str] = set()
        self._left: dict[str, WorkerState] = {}
        self._served_by: dict[str, WorkerState] = {}

    def __repr__(self) -> str:
        return f"<Network requests={list(self.requests)} answers={list(self.answers)}>"

    @property
    def busy(self) -> bool:
        """Whether a request or an answer is on its way."""
        return bool(self.requests or self.answers)

    def moves(self) -> list[Move]:
        """Return every delivery that is possible now.

        Workers that have served no request yet are alike, so a request can go to only the first of them.
        """
        found = list(self.answers.values())
        if self.requests:
            fresh = next((state for state in self._workers if not state.used), None)
            for moves in self.requests.values():
                found += [
                    move
                    for move in moves
                    if (move.state.used or move.state is fresh or move.state is self._probed) and not move.state.down
                ]
        if self._left:
            found += self._departures()
        return found

    def key(self, name: Callable[[int], object]) -> object:
        """Return a value that is equal for equal sets of messages.

        *name* turns the number of the step that caused a message into an identity that other interleavings share.
        """
        if self.clients is None:
            return None
        last = [(each, moves[0].message, name(moves[0].cause)) for each, moves in self.requests.items()]
        back = [(each, move.message, name(move.cause)) for each, move in self.answers.items()]
        left = [(each, state.name) for each, state in self._left.items()]
        served = [(each, state.name) for each, state in self._served_by.items()]
        return repr([sorted(self._awaited), *map(sorted, (map(repr, each) for each in (last, back, left, served)))])

    # Requests

    def sent(self, name: str, content: Message, cause: int) -> None:
        """Record that a client has sent the request *name*; *cause* is the number of that step."""
        self._awaited.add(name)
        self._offer(name, content, cause)

    def _offer(self, name: str, content: Message, cause: int) -> None:
        probing = self._probed is not None and name.startswith("probe#")
        targets = [self._probed] if probing and self._probed is not None else self._workers
        method, target, _, body = content
        moves = self.requests[name] = []
        for state in targets:
            move = Move(state, name, name, "request", f"{method} {target.decode()}", _shown(body))
            move.message, move.cause = content, cause
            moves.append(move)

    def arrives(self, move: Move) -> None:
        """Record that the worker of *move* has taken in its request."""
        name = move.lane
        del self.requests[name]
        move.state.used = True
        move.state.requests[name] = None
        self._served_by[name] = move.state

    def lose(self, name: str) -> None:
        """Drop the request *name*, or its answer, whichever is in transit."""
        self.requests.pop(name, None)
        self.answers.pop(name, None)

    def duplicate(self, name: str, cause: int) -> None:
        """Add a second delivery of the request *name*, still in transit; no client waits for the copy's answer."""
        copy = f"{name}b"
        while copy in self.requests or copy in self._served_by:
            copy += "b"
        content = self.requests[name][0].message
        assert content is not None
        self._offer(copy, content, cause)

    # Answers

    def responded(self, name: str, status: int, headers: Message, body: bytes, cause: int) -> bool:
        """Record that a worker has answered, and return whether a client waits for that.

        The status 0 means that the worker closed the connection.
        """
        self._left.pop(name, None)
        if name not in self._awaited or self.clients is None:
            return False
        text = f"{status} {_shown(body)}".rstrip() if status else "connection closed"
        move = Move(self.clients, name, Task(name).client, "answer", text)
        # The answer goes on with its request, so without a preemption it is what arrives next.
        move.family = name
        move.message, move.cause = (status, headers, body), cause
        self.answers[name] = move
        return True

    def answered(self, name: str) -> None:
        """Record that the answer has arrived."""
        del self.answers[name]
        self._awaited.discard(name)

    def gave_up(self, name: str) -> None:
        """Record that the client no longer waits for the answer.

        If the application has asked to be told (``listens``), word of that is in transit from now on.
        """
        self._awaited.discard(name)
        self.answers.pop(name, None)

    def listens(self, name: str) -> None:
        """Record that the application has asked to be told when the client of *name* leaves."""
        self._left.setdefault(name, self._served_by[name])

    def told(self, name: str) -> None:
        """Record that the application was told that the client of *name* has left."""
        self._left.pop(name, None)

    def _departure(self, name: str, state: WorkerState) -> Move:
        return Move(state, f"{name}~", name, "disconnect", "the client has gone")

    def _departures(self) -> list[Move]:
        return [self._departure(name, state) for name, state in self._left.items() if name not in self._awaited]

    def ended(self, name: str) -> None:
        """Record that no worker serves the request any longer."""
        self._left.pop(name, None)

    def crashed(self, state: WorkerState, cause: int) -> list[Access]:
        """Record that the process of *state* is dead and its connections are closed; return the accesses of that."""
        touched = []
        for name in state.requests:
            self._left.pop(name, None)
            if name in self._awaited and name not in self.answers:
                self.responded(name, 0, (), b"", cause)
                touched.append(answer(name))
        state.requests.clear()
        return touched


def _shown(body: bytes) -> str:
    text = body.decode(errors="replace")
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
