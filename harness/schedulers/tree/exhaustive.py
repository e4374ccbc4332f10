"""Every interleaving, or one of each class of equivalent ones; fewest preemptions and faults first.

The search is stateless: each execution begins anew, follows a prefix to a decision, makes another choice there and
continues without preemption. With ``reduction``, the choices to try come from the races seen (source sets), and
executions that would only repeat an equivalent one are cut short by sleep sets (Godefroid 1996). Without it, every
choice is tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.coverage.pairs import operation
from harness.errors import Diverged
from harness.result import Execution
from harness.schedulers.base import PASS, Option, SearchReport, View
from harness.schedulers.tree.delays_tried import before_a_delay, comes_by_itself, delayed_races, timers_overtaken
from harness.schedulers.tree.dependence import Race, depend, is_event, races
from harness.schedulers.tree.events import causes_among_events, pending_events, shown
from harness.schedulers.tree.frontier import Entry, Frontier
from harness.schedulers.tree.node import Node, part_seen
from harness.values.history import Access, Step
from harness.values.names import DELAY, Choice

__all__ = ["Exhaustive", "gives_way"]

_LONG = 1_000
"""Unlimited look-ahead: more steps than any execution has."""

_STANDING = ("!kill", "!cancel", "!lose", "!duplicate")
"""Faults after which the task that ran last can still continue."""


class Exhaustive:
    """Covers every interleaving at schedule-point granularity. ``complete`` is true if nothing is left to try.

    If *reduction* is False, every order of every pair of steps is tried; the reduction is tested against this. With
    *preemptions*, only executions with at most that many preemptions are run; ``cut`` is true if others were left out.
    """

    def __init__(self, reduction: bool = True, preemptions: int | None = None) -> None:
        self.name = "exhaustive" if reduction else "brute"
        self._reduction, self._most = reduction, preemptions
        self.cut = False
        self._root = Node(None, "", 0, 0, {})
        self._frontier: Frontier[Node] = Frontier(fair=reduction)
        self._limited = self._ended = False
        self._node = self._root
        self._prefix: list[str] = []
        self._target = ""
        self._pending: tuple[Node, str] | None = None
        self._newest: Node | None = None
        self._events: list[Step] = []
        self._nodes: list[Node] = []
        self._seen, self._depth, self._asked = 0, 0, -1
        self._races_ask_for_delays, self._dates_matter = reduction, not reduction
        self._options: Sequence[Option] = ()

    @property
    def complete(self) -> bool:
        """Whether every interleaving was covered and no limit was hit."""
        return self._ended and not self._limited

    @property
    def seen(self) -> float:
        """The estimated part of the tree that was seen, from 0 to 1 (``part_seen``)."""
        return part_seen(self._root, self._left())

    def report(self) -> SearchReport:
        """Return whether the search is complete or left something out, and how much of the tree was seen."""
        return SearchReport(complete=self.complete, cut=self.cut, seen=self.seen)

    def _left(self) -> Iterator[Node]:
        """Yield the node of each branch that is still to be tried, including that of the execution under way."""
        ends = [(node, choice) for *_, node, choice in self._frontier]
        for node, choice in ends if self._pending is None else [*ends, self._pending]:
            if choice not in node.children and not self._covered(node, choice):
                yield node

    def start(self, previous: Execution | None) -> bool:
        """Learn from *previous*, then turn to the cheapest choice not yet tried; return whether there is one."""
        if previous is None or self._matters_now(previous):
            self._begin()
            return True
        self._learn(previous)
        return self._turn()

    def _matters_now(self, execution: Execution) -> bool:
        """Return whether to restart the search because *execution* is the first to show that file times matter.

        The search has left out choices as if they did not. A restart is not needed in the first execution: nothing was
        left out yet.
        """
        if self._dates_matter or not execution.dates_seen:
            return False
        anew, limited = self._pending is not None, self._limited
        if anew:  # not in the first execution, in which no delay was made
            Exhaustive.__init__(self, preemptions=self._most)
        self._dates_matter, self._limited = True, limited
        return anew

    def _turn(self) -> bool:
        """Turn to the cheapest choice not yet tried; return whether there is one."""
        if not self._next():
            self._ended = True
            return False
        self._begin()
        return True

    def _begin(self) -> None:
        """Go back to the root of the tree."""
        self._node, self._events, self._nodes, self._seen, self._depth = self._root, [], [], 0, 0
        self._asked = -1

    def _next(self) -> bool:
        self._pending = None
        found = self._cheapest()
        if found is not None:
            self._pending = found.node, found.choice
            self._prefix, self._target = found.node.path(), found.choice
        return found is not None

    def _cheapest(self) -> Entry[Node] | None:
        """Take the cheapest entry that is neither tried nor redundant off the frontier; None if there is none."""
        while self._frontier:
            entry = self._frontier.take()
            if entry.choice not in entry.node.children and not self._covered(entry.node, entry.choice):
                return entry
        return None

    # Choosing

    def choose(self, view: View) -> str | None:
        """Return the prefix's next choice, then the target, then the default; None if all options are redundant."""
        self._follow(view.steps)
        self._pass_time(view.now)
        self._options = view.options
        self._node.delays = view.delays
        node, depth = self._node, self._depth
        if depth < len(self._prefix):
            return self._in_prefix(self._prefix[depth], view)
        if depth == len(self._prefix) and self._target:
            target, self._target = self._target, ""
            return self._in_prefix(target, view)
        if node.options is None:
            return self._first(node, view)
        return self._default(node, view) if node is self._newest else None

    def ahead(self, view: View) -> int:
        """Return how often the prefix repeats its choice; past its end, the task continues as long as possible."""
        depth = self._depth
        if depth >= len(self._prefix):
            return 0 if view.faults_left else _LONG
        end = depth + 1
        while end < len(self._prefix) and self._prefix[end] == self._prefix[depth]:
            end += 1
        return end - depth - 1

    def _first(self, node: Node, view: View) -> str | None:
        """Return the default at a new decision, and note the options that must be tried whatever happens."""
        node.options, self._newest = tuple(view.options), node
        choice = self._default(node, view)
        self._try_always(node, view.options, view.steps[-1] if view.steps else None)
        return choice

    def _try_always(self, node: Node, options: Sequence[Option], last: Step | None) -> None:
        """Note faults to be tried, and without reduction all other options; *last* is the step before."""
        for option in options:
            always = not self._races_ask_for_delays if Choice(option.choice).is_delay else option.fault
            if always or not (self._reduction or option.choice == PASS.choice):
                self._try(node, option.choice, (operation(last) if last else "", Choice(option.choice).head))

    def _default(self, node: Node, view: View) -> str | None:
        """Return the first option that is not redundant and was not found blocked here before, or None."""
        for option in view.options:
            choice = option.choice
            if choice == PASS.choice:
                # Not noted as tried: it leads to a node of its own in the tree (time passes), or is no event.
                return choice
            if not option.fault and choice not in node.sleep and choice not in node.waited:
                node.waited.add(choice)
                node.tried.add(choice)
                for other in node.alternatives(choice):
                    self._try(node, other)
                return choice
        return None

    def _in_prefix(self, choice: str, view: View) -> str:
        if any(option.choice == choice for option in view.options):
            return choice
        # The prefix has neither the passing of time nor attempts that only waited. So *choice* may be possible only
        # after time passes, or after all other options were found blocked.
        if choice in view.waiting and self._asked != len(view.steps):
            self._asked = len(view.steps)
            return choice
        for option in view.options:
            if not option.fault:
                return option.choice
        raise Diverged(len(view.steps), choice, "this cannot run now, and nothing else can")

    def _try(self, node: Node, choice: str, shows: tuple[str, str] = ("", "")) -> None:
        """Note *choice* to be tried at *node*; of equally cheap choices, one with a rare *shows* comes first."""
        if choice in node.tried:
            return
        node.tried.add(choice)
        if choice not in node.sleep:
            cost, preempts = node.price(choice)
            if self._most is not None and preempts > self._most:
                self.cut = True
            else:
                self._push(cost, shows, node, choice)
        for other in node.alternatives(choice):
            self._try(node, other, shows)

    def _push(self, cost: int, shows: tuple[str, str], node: Node, choice: str) -> None:
        self._frontier.put(cost, shows, node, choice)

    def _covered(self, node: Node, choice: str) -> bool:
        """Return whether the fault *choice* at *node* only repeats the same fault injected earlier.

        It does if it depends on no step between the two places. Of equivalent places for a fault, the earliest is the
        one that is run, so no choice after the earlier fault is left out because of the later one.
        """
        if not self._reduction or not Choice(choice).is_fault or Choice(choice).is_delay:
            return False
        if self._most is not None and Choice(choice).head not in _STANDING:
            # Other faults end the last task's turn without a preemption. Injected earlier, such a fault may cost one
            # preemption more, which the bound may not allow.
            return False
        passed: list[Sequence[Access]] = []
        while (parent := node.parent) is not None and node.via in parent.touched and gives_way(node.via, choice):
            passed.append(parent.touched[node.via][0])
            known = parent.touched.get(choice)
            if known is not None:
                return not any(depend(known[0], accesses) for accesses in passed)
            node = parent
        return False

    # Following what happens

    def _follow(self, steps: Sequence[Step]) -> None:
        chosen = steps[self._seen].choice if self._seen < len(steps) else ""
        for number, step in enumerate(steps[self._seen :]):
            self._seen += 1
            if is_event(step):
                if number and self._node.options is None:
                    # An operation that a server unblocked, or that was retried, was not chosen among options.
                    others = [] if step.resumed else [option for option in self._options if option.choice != chosen]
                    self._passed(step, others)
                self._advance(step)

    def _passed(self, step: Step, others: Sequence[Option]) -> None:
        """Fill in the decision of *step*, which ran without asking; *others* were options at the decision before."""
        node, choice = self._node, step.choice
        others = [option._replace(continues=False) for option in others]
        node.options = Option(choice, step.lane, continues=True), *others
        node.tried.add(choice)
        node.waited.add(choice)
        self._try_always(node, others, step)

    def _advance(self, step: Step) -> None:
        self._pass_time(step.now)
        node, depth, choice = self._node, self._depth, step.choice
        if depth < len(self._prefix) and self._prefix[depth] != choice:
            raise Diverged(self._seen - 1, self._prefix[depth], f"{step.digest} ran instead")
        known = node.touched.get(choice)
        if known is not None and known[1] != step.digest:
            raise Diverged(self._seen - 1, known[1], step.digest)
        if (child := node.children.get(choice)) is None:
            asleep = self._asleep(node, step) if self._reduction and self._most is None else {}
            node.touched[choice] = step.accesses, step.digest
            child = Node(node, choice, *node.price(choice), asleep)
            node.children[choice] = child
        self._nodes.append(node)
        self._events.append(step)
        self._node, self._depth = child, depth + 1

    def _asleep(self, node: Node, step: Step) -> dict[str, Sequence[Access]]:
        """Return the sleep set after *step* at *node*: earlier choices independent of it, with their footprints."""
        if step.is_delay:
            return before_a_delay(node, step, self._dates_matter)
        before = {name: seen[0] for name, seen in node.touched.items() if gives_way(step.choice, name)}
        before.update(node.sleep)
        return {
            other: accesses
            for other, accesses in before.items()
            if other != step.choice and not depend(accesses, step.accesses)
        }

    def _pass_time(self, now: float) -> None:
        """Move to the child node for the time *now*, if time has passed since the last step.

        Unless a delay was chosen, time passes only when nothing can run. So no choice is left to try before it, and the
        sleep set of the child is empty.
        """
        node = self._node
        if now <= node.now:
            return
        name = f"@{now!r}"
        if name not in node.children:
            asleep = node.sleep if Choice(node.via).is_delay else {}
            node.children[name] = child = Node(node, name, node.cost, node.preempts, asleep)
            child.now = now
        self._node = node.children[name]
        self._depth += 1

    def _learn(self, execution: Execution) -> None:
        if execution.bounded or execution.stuck:
            self._limited = True
        self._conclude(execution.steps, execution.causes)

    def _conclude(self, steps: Sequence[Step], causes: Sequence[int]) -> None:
        """Note the choices that the races of an ended execution ask for; *causes* are as in ``Execution``."""
        self._follow(steps)
        if not self._reduction:
            return
        if self._races_ask_for_delays:
            self._try_delays()
        for node, timer, step in timers_overtaken(self._nodes, self._events):
            self._try(node, timer, (operation(step), timer))
        among_events = causes_among_events(steps, causes)
        for race in delayed_races(self._events, among_events, self._dates_matter):
            if self._nodes[race.position].delays:
                self._reverse(race.position, race, shown(self._events, race))
        # An operation that waits for ever is no event, but had it come first it would have been one.
        pending = pending_events(steps, causes)
        events = [*self._events, *(step for step, _ in pending)]
        for race in races(events, [*among_events, *(cause for _, cause in pending)]):
            if race.position >= len(self._events):
                continue
            positions = {race.position}
            if self._most is not None:
                # Under a preemption bound, also switch to the other task where the earlier step's block begins: that
                # costs no preemption. Coons, Musuvathi and McKinley, "Bounded partial-order reduction" (OOPSLA 2013).
                positions.add(self._start_of_block(race.position))
            for position in positions:
                self._reverse(position, race, shown(events, race))

    def _try_delays(self) -> None:
        """Note each delay to be tried that could be made and that no race would ask for.

        No race asks for a delay if time did not reach the delay's end by itself as it would have by the delay, or if
        the execution ended before.
        """
        for number, node in enumerate([*self._nodes, self._node]):
            for option in node.options or ():
                if Choice(option.choice).is_delay and not comes_by_itself(option, self._events[number:]):
                    self._try(node, option.choice, ("", DELAY))

    def _reverse(self, position: int, race: Race, shows: tuple[str, str]) -> None:
        """Note the choices at event number *position* that let one of the race's initials come first."""
        node = self._nodes[position]
        for choice in self._untried(node, race.initials, race.delayed):
            self._try(node, choice, shows)

    def _untried(self, node: Node, initials: Sequence[str], delayed: bool) -> list[str]:
        """Return the choices to be tried at *node* so that one of *initials* comes first there.

        Without a preemption bound, there are none if one of *initials* was tried or is asleep. If none of *initials* is
        an option, these are all options, or only the delays if the race is *delayed*.
        """
        if self._most is not None:
            possible = [option.choice for option in node.options or () if not option.fault]
            found = [choice for choice in initials if choice in possible]
            if delayed and not found:
                return [option.choice for option in node.options or () if Choice(option.choice).is_delay]
            return found or possible
        if node.options is None or any(choice in node.tried or choice in node.sleep for choice in initials):
            return []
        possible = [option.choice for option in node.options]
        chosen = next((choice for choice in reversed(initials) if choice in possible), None)
        if delayed and not chosen:
            return [choice for choice in possible if Choice(choice).is_delay and choice not in node.tried]
        return [chosen] if chosen else possible

    def _start_of_block(self, position: int) -> int:
        """Return the number of the first event of the uninterrupted block of one client that ends at *position*."""
        family = _family(self._events[position])
        while position and _family(self._events[position - 1]) == family:
            position -= 1
        return position


def gives_way(choice: str, other: str) -> bool:
    """Return whether *other* may be taken to come first if *choice* and *other* are independent.

    Faults come before plain steps, and among themselves in the order of their names.

    Delays are not ordered so: they come as late as possible (``delayed.py``).
    """
    if Choice(choice).is_delay or Choice(other).is_delay:
        return False
    return not Choice(choice).is_fault or (Choice(other).is_fault and other < choice)


def _family(step: Step) -> str:
    return step.task.family
