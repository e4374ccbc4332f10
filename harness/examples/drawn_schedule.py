"""The schedule of a Hypothesis example, drawn before the execution: points at which a task is left or a fault injected.

A point names a client, its call, and the number of steps that the call has made by then. So it means the same whatever
the other points are: Hypothesis can take out a point, a client or a call, and the rest stays. Without points, each task
runs until it ends or waits. As with the change points of PCT (Burckhardt and others, "A randomized scheduler with
probabilistic guarantees of finding bugs", ASPLOS 2010), a few points suffice for most bugs. docs/decisions/0012
compares this with one choice for each step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from harness.faults import Faults
from harness.result import Execution
from harness.scenario import Workload
from harness.schedulers.base import Option, View
from harness.values.names import FAULT_MARK, Choice

__all__ = ["Planned", "steps_of_a_call"]

_POINTS = 12
"""So many points are drawn at once, at most."""

_OTHERS = 4
"""Among so many others a point can choose, if there are no more clients."""

_SIDES, _DIGITS = 4, 4
"""In a scattered call so many numbers below so many are drawn as one: 0 to go on, or which other task comes."""

_CALLS = 4
"""Among so many calls of a client a point chooses, if it makes no more."""

_LONG = 1_000
_LONGEST_CALL = 200
_STEPS_OF_KIND = {"cancel": ("cancel", "lost")}

_CALL = "call "

Place = tuple[str, int]
"""A client, and the number of its call."""

Point = tuple[int, int]
"""What comes there, a number of kind of fault or -1 for another task; and which of those that are possible."""


def steps_of_a_call(execution: Execution) -> int:
    """Return how many steps a call took in *execution*, of the client with the longest."""
    steps = Counter(step.task.client for step in execution.steps)
    clients = enumerate(execution.workload.clients)
    longest = max(-(-steps[f"c{number}"] // max(len(client.calls), 1)) for number, client in clients)
    return min(max(longest, 1), _LONGEST_CALL)


class Planned:
    """A scheduler that takes its choices from numbers: *draw* returns one from 0 (the simplest) to below its argument.

    *faults* and *workload* are those of the execution, *steps* is the usual number of steps in a call. It serves one
    execution. ``told`` is the number of steps that a recording must have: after them everything goes by default.
    """

    name = "hypothesis"

    def __init__(self, draw: Callable[[int], int], faults: Faults, workload: Workload, *, steps: int) -> None:
        self._draw = draw
        self._calls = [len(client.calls) for client in workload.clients]
        # What is too much is the last one, which it stays when one before it is taken out.
        self._numbers = max(_CALLS, *self._calls)
        # More than seen, because a client that waits and tries again takes longer. Later points are drawn when reached.
        self._length = steps + steps // 4 + 2
        self._kinds = _prefixes(faults)
        self._others = max(_OTHERS, len(self._calls) - 1)
        self._points: dict[Place, dict[int, list[Point]]] = {}
        self._horizon: dict[Place, int] = {}
        self._made = {f"c{number}": (-1, 0) for number in range(len(self._calls))}
        self._seen = self._rests = 0
        self._chosen: tuple[Place, int] | None = None
        self.told = 0
        # Drawn for one client too, so that with a client less the numbers that follow mean the same.
        self._first = self._draw(max(len(self._calls), 2))
        self._plan()

    def __repr__(self) -> str:
        return f"<Planned {self._points}>"

    def start(self, previous: Execution | None) -> bool:
        """Run once per example."""
        return previous is None

    def choose(self, view: View) -> str | None:
        """Return the default choice, or the one that the drawn points have here instead."""
        for step in view.steps[self._seen :]:
            if (client := step.task.client) in self._made and not step.is_fault:
                call, steps = self._made[client]
                self._made[client] = (call + 1, 1) if step.kind == "call" else (call, steps + 1)
        self._seen = len(view.steps)
        last = view.steps[-1].lane if view.steps else ""
        choice = self._choice(view.options, last)
        if choice != view.options[0].choice:
            self.told = self._seen + 1
        return choice

    def ahead(self, view: View) -> int:
        """Return how many steps the client just chosen goes on before the plan has something for it."""
        if self._chosen is None:
            return _LONG
        place, made = self._chosen
        planned = [at for at, points in self._points.get(place, {}).items() if points and at > made]
        return min(*planned, self._horizon.get(place, self._length), made + _LONG) - made - 1

    # Drawing

    def _plan(self) -> None:
        """Draw the points: first how many, so that they are as many in a short example as in a long one."""
        count = _POINTS
        while count == _POINTS:
            count = self._draw(_POINTS + 1)
            for _ in range(count):
                at, what = divmod(self._draw(self._length * self._width), self._width)
                client, call = divmod(self._draw(len(self._calls) * self._numbers), self._numbers)
                self._add((f"c{client}", min(call, self._calls[client] - 1)), at, what)
        if self._draw(2):
            self._scatter()

    def _scatter(self) -> None:
        """Draw for every step whether the task is left there: many switches soon show races that need no exact place."""
        for call in range(max(self._calls)):
            for client, calls in enumerate(self._calls):
                for start in range(0, self._length if call < calls else 0, _DIGITS):
                    drawn = self._draw(_SIDES**_DIGITS)
                    for at in range(start, start + _DIGITS):
                        drawn, side = divmod(drawn, _SIDES)
                        if side:
                            self._points.setdefault((f"c{client}", call), {}).setdefault(at, []).append((-1, side - 1))

    @property
    def _width(self) -> int:
        """How many things can come at one place: half are switches, so that faults do not crowd them out."""
        return (2 * len(self._kinds) or 1) * self._others

    def _add(self, place: Place, at: int, what: int) -> None:
        kind, which = divmod(what, self._others)
        point = kind - len(self._kinds) if self._kinds else -1, which
        self._points.setdefault(place, {}).setdefault(at, []).append(point)

    def _number(self, size: int) -> int:
        return self._draw(size) if size > 1 else 0

    def _extend(self, place: Place, made: int) -> None:
        """Draw the points of the next stretch of a call that has made more steps than were planned for."""
        while made >= (start := self._horizon.get(place, self._length)):
            at = self._draw(2 * self._length) - self._length
            self._horizon[place] = start + (at + 1 if at >= 0 else self._length)
            if at >= 0:
                self._add(place, start + at, self._draw(self._width))

    # Choosing

    def _choice(self, options: Sequence[Option], last: str) -> str:
        tasks = [option for option in options if not option.fault]
        if not tasks:
            return options[self._number(len(options))].choice
        if not tasks[0].lane:
            return self._at_rest(options)
        chosen = self._default(tasks, last)
        if chosen.group:
            group = [option for option in tasks if option.group == chosen.group]
            chosen = group[self._number(len(group))]
        while points := self._due(chosen):
            kind, which = points.pop(0)
            if kind >= 0:
                found = self._faults(options, kind, chosen.task.client)
            else:
                found = [option for option in tasks if option.lane != chosen.lane]
                # Where all others sleep, leaving the task means holding it up until they wake.
                found = found or [option for option in options if Choice(option.choice).is_delay]
            if found:
                chosen = found[self._which(which, len(found))]
                if chosen.fault:
                    break
        return chosen.choice

    def _at_rest(self, options: Sequence[Option]) -> str:
        """Return the choice where no task can go on: to let time pass, or a fault.

        When all calls have ended, it is the last moment at which an answer can be lost. A client that waits again and
        again comes here each time; the later, the less often a fault is drawn.
        """
        self._rests += 1
        if self._rests > _LONG or self._draw(1 + self._rests) != 1:
            return options[0].choice
        return options[1 + self._number(len(options) - 1)].choice

    def _due(self, option: Option) -> list[Point] | None:
        """Return the points that are at *option*'s next step, and note where that is."""
        client = option.task.client
        self._chosen = None
        if client not in self._made:
            return None
        call, steps = self._made[client]
        place, steps = ((client, call + 1), 0) if option.operation.startswith(_CALL) else ((client, call), steps)
        self._chosen = place, steps
        self._extend(place, steps)
        return self._points.get(place, {}).get(steps)

    def _default(self, tasks: list[Option], last: str) -> Option:
        """Return the option without a point: the task that ran last, or its call; otherwise the next client in turn."""
        if tasks[0].continues:
            return next((option for option in tasks if option.continues and option.lane == last), tasks[0])
        if all(option.task.client in self._made for option in tasks):
            return min(tasks, key=self._turn)
        # Timers are no client's, so there is no point at which they could be told to wait.
        return tasks[self._number(len(tasks))]

    def _turn(self, option: Option) -> int:
        """Return when a client comes in turn, from the one drawn to be first."""
        return (int(option.task.client[1:]) - self._first) % len(self._calls)

    def _faults(self, options: Sequence[Option], kind: int, client: str) -> list[Option]:
        """Return the possible faults of that kind, those that strike *client* first."""
        found = [option for option in options if option.fault and option.choice.startswith(self._kinds[kind])]
        return sorted(found, key=lambda option: option.task.client != client)

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
