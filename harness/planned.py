"""What a Hypothesis example says of a schedule, drawn before the execution: where a task is left, where a fault comes.

A point is a client and how many steps it has made by then, so it means the same whatever the other points say: Hypothesis
can take one out, or a client, and the rest stays. Without any point, each task runs until it ends or waits. As change
points do in PCT (Burckhardt and others, "A randomized scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010),
few suffice for most bugs. Figures beside one choice for each step: docs/decisions/0012.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from harness.faults import Faults
from harness.result import Execution
from harness.scenario import Workload
from harness.schedule import FAULT_MARK
from harness.schedulers.base import Option, View

__all__ = ["Planned", "steps_of_a_call"]

_POINTS = 12
"""So many points are drawn at once, at most."""

_OTHERS = 4
"""Among so many others a point can choose, if there are no more clients."""

_LONG = 1_000
_LONGEST_CALL = 200
_STEPS_OF_KIND = {"cancel": ("cancel", "lost")}

Point = tuple[int, int]
"""What comes there, a number of kind of fault or -1 for another task; and which of those that are possible."""


def steps_of_a_call(execution: Execution) -> int:
    """Return how many steps a call took in *execution*, of the client with the longest."""
    steps = Counter(_client(step.lane) for step in execution.steps)
    clients = enumerate(execution.workload.clients)
    longest = max(-(-steps[f"c{number}"] // max(len(client.calls), 1)) for number, client in clients)
    return min(max(longest, 1), _LONGEST_CALL)


class Planned:
    """A scheduler whose choices come from numbers that *draw* gives, each from 0 (the simplest) to below its argument.

    *faults* and *workload* are those of the execution, *steps* is what a call takes about. For one execution.
    ``told`` is how many of its steps a recording must have: after them everything goes by default.
    """

    name = "hypothesis"

    def __init__(self, draw: Callable[[int], int], faults: Faults, workload: Workload, steps: int) -> None:
        self._draw = draw
        self._clients = len(workload.clients)
        calls = max(len(client.calls) for client in workload.clients)
        # More than seen, as who waits and tries again takes longer; what is beyond is drawn when it comes to it.
        self._length = steps * calls + steps // 4 + 2
        self._kinds = _prefixes(faults)
        self._others = _OTHERS if self._clients <= _OTHERS + 1 else self._clients - 1
        self._points: dict[str, dict[int, list[Point]]] = {f"c{number}": {} for number in range(self._clients)}
        self._horizon = dict.fromkeys(self._points, self._length)
        self._steps: Counter[str] = Counter()
        self._seen = 0
        self._chosen = ""
        self.told = 0
        self._first = self._number(self._clients)
        self._plan()

    def __repr__(self) -> str:
        return f"<Planned {self._points}>"

    def start(self, previous: Execution | None) -> bool:
        """Run once per example."""
        return previous is None

    def choose(self, view: View) -> str | None:
        """Return what goes on by default, or what the plan has here instead."""
        for step in view.steps[self._seen :]:
            if not step.choice.startswith(FAULT_MARK):
                self._steps[_client(step.lane)] += 1
        self._seen = len(view.steps)
        choice = self._choice(view.options)
        if choice != view.options[0].choice:
            self.told = self._seen + 1
        return choice

    def ahead(self, view: View) -> int:
        """Return how many steps the client just chosen goes on before the plan has something for it."""
        made = self._steps[self._chosen]
        ahead = [at for at, points in self._points.get(self._chosen, {}).items() if points and at > made]
        end = min(ahead, default=made + _LONG)
        return min(end, self._horizon.get(self._chosen, end)) - made - 1

    # Drawing

    def _plan(self) -> None:
        """Draw the points: first how many, so that they are as many in a short example as in a long one."""
        count = _POINTS
        while count == _POINTS:
            count = self._draw(_POINTS + 1)
            for _ in range(count):
                # Both are drawn always, so that with a client less the numbers that follow mean the same.
                drawn, client = self._draw(self._length * self._width), self._draw(self._clients)
                at, what = divmod(drawn, self._width)
                self._add(f"c{client}", at, what)

    @property
    def _width(self) -> int:
        """How many things can come at one place: half are switches, so that faults do not crowd them out."""
        return (2 * len(self._kinds) or 1) * self._others

    def _add(self, client: str, at: int, what: int) -> None:
        kind, which = divmod(what, self._others)
        self._points[client].setdefault(at, []).append((kind - len(self._kinds) if self._kinds else -1, which))

    def _number(self, size: int) -> int:
        return self._draw(size) if size > 1 else 0

    def _extend(self, client: str, made: int) -> None:
        """Draw what comes in the next stretch of a client that has made more steps than was planned for."""
        while client in self._horizon and made >= self._horizon[client]:
            start = self._horizon[client]
            at = self._draw(2 * self._length) - self._length
            self._horizon[client] = start + (at + 1 if at >= 0 else self._length)
            if at >= 0:
                self._add(client, start + at, self._draw(self._width))

    # Choosing

    def _choice(self, options: Sequence[Option]) -> str:
        tasks = [option for option in options if not option.fault]
        if not tasks:
            return options[self._number(len(options))].choice
        chosen = tasks[0] if tasks[0].continues else min(tasks, key=self._turn)
        if chosen.group:
            group = [option for option in tasks if option.group == chosen.group]
            chosen = group[self._number(len(group))]
        while points := self._due(client := _client(chosen.lane)):
            kind, which = points.pop(0)
            found = self._faults(options, kind, client) if kind >= 0 else self._away(tasks, client)
            if found:
                chosen = found[self._which(which, len(found))]
                if chosen.fault:
                    return chosen.choice
        self._chosen = client
        return chosen.choice

    def _due(self, client: str) -> list[Point] | None:
        made = self._steps[client]
        self._extend(client, made)
        return self._points.get(client, {}).get(made)

    def _turn(self, option: Option) -> int:
        """Where no task goes on by itself: timers and the like first, then the clients from the one drawn to be first."""
        name = _client(option.lane)
        return (int(name[1:]) - self._first) % self._clients if name in self._points else -1

    def _away(self, tasks: list[Option], client: str) -> list[Option]:
        return [option for option in tasks if _client(option.lane) != client]

    def _faults(self, options: Sequence[Option], kind: int, client: str) -> list[Option]:
        """Return the possible faults of that kind, those that strike *client* first."""
        found = [option for option in options if option.fault and option.choice.startswith(self._kinds[kind])]
        return sorted(found, key=lambda option: _client(option.lane) != client)

    def _which(self, number: int, size: int) -> int:
        if size <= self._others:
            return number % size
        return (number + self._others * self._draw(-(-size // self._others))) % size


def _prefixes(faults: Faults) -> list[str]:
    """Return how the choices of each kind of fault begin."""
    found: list[str] = []
    for kind in faults.kinds:
        if kind == "clock":
            found += [f"{FAULT_MARK}clock:{jump:g}" for jump in faults.jumps]
        else:
            found += [f"{FAULT_MARK}{name}:" for name in _STEPS_OF_KIND.get(kind, (kind,))]
    return found


def _client(lane: str) -> str:
    """Return the client that a task works for: ``c0`` for ``c0/1``, a task it started, and ``c0#2``, its second request."""
    return lane.partition("/")[0].partition("#")[0]
