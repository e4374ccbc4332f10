"""Delays in the exhaustive search: which delays of a process to try, and which choices are redundant after one.

A delay lets time pass although a task could run. It conflicts with reading the clock. It is tried where a race asks for
it: two dependent steps between which time passed by itself. So a delay comes as late as possible, right before the step
that others are to overtake. Where time did not pass by itself (a time-out that was called off), there is no such race,
and the delay is always tried. A timer that is due is always tried too, where a step of its process comes first, which
may call it off.

A step that changes a file sets its modification time. This too conflicts with a delay if code looks at file times; as
long as no execution has shown that, executions that differ only in file times count as equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.schedulers.base import Option
from harness.schedulers.tree.dependence import PROBE, Race, Seen, bits, depend, initials_of, unit_of
from harness.schedulers.tree.node import Node
from harness.values.history import Access, Step
from harness.values.names import Choice

__all__ = ["before_a_delay", "comes_by_itself", "delayed_races", "timers_overtaken"]

_OWN_WAITS = ("lock", "thread", "notify")
"""Kinds of waits whose time-out the code under test sets itself, and is told of when it passes."""


def _reads_the_clock(accesses: Sequence[Access], dates: bool) -> bool:
    return any(access.resource == "clock" or (dates and access.resource == "dated") for access in accesses)


def delayed_races(steps: Sequence[Step], causes: Sequence[int] = (), dates: bool = True) -> Iterator[Race]:
    """Yield the races among *steps* that a delay of the earlier step reverses: time passes between the two.

    *steps* and *causes* are those of ``races``. If *dates* is true, it matters when files were changed. A step before
    which time passes conflicts with each step that read the clock. If the time passed until a lock's time-out inside a
    library, the steps before it are left out: no task was delayed for it.
    """
    if not steps or steps[-1].now <= steps[0].now:
        return
    before: list[int] = []
    last_of_lane: dict[str, int] = {}
    seen = Seen()
    readers = barred = older = 0
    for number, step in enumerate(steps):
        passes = number > 0 and step.now > steps[number - 1].now
        if passes:
            older = (1 << number) - 1
            if step.gave_up and step.kind not in _OWN_WAITS:
                barred = older
        previous = causes[number] if causes else last_of_lane.get(step.lane, -1)
        known = before[previous] if previous >= 0 else 0
        dependent = seen.ordered_before(step, timed=False)
        past = 1 << number | known
        left = dependent & ~past
        while left:
            past |= before[left.bit_length() - 1]
            left &= ~past
        before.append(past)
        last_of_lane[step.lane] = number
        seen.add(step, number)
        pairs = (dependent | readers if passes else dependent) & ~known & older & ~barred
        if step.kind != PROBE and (passes or not step.is_fault):
            for earlier in bits(pairs):
                if steps[earlier].lane != step.lane and not steps[earlier].is_fault:
                    yield Race(earlier, initials_of(steps, before, earlier, number), number, delayed=True)
        if step.kind != "sleep" and _reads_the_clock(step.accesses, dates):
            readers |= 1 << number


def comes_by_itself(delay: Option, events: Sequence[Step]) -> bool:
    """Return whether time reaches the end of *delay* in *events*, those after the decision, as it would by the delay.

    That is so if, until then, only steps of the delayed processes and messages ran, and the next step then is not one
    of theirs.
    """
    held = Choice(delay.choice).held_up
    for step in events:
        if step.now > events[0].now:
            return f"delay until {step.now!r}" == delay.operation and unit_of(step) not in held
        if unit_of(step) not in held:
            return False
    return False


def timers_overtaken(nodes: Sequence[Node], steps: Sequence[Step]) -> Iterator[tuple[Node, str, Step]]:
    """Yield each node where a timer was due but its process made another step; with the timer's choice and the step."""
    for node, step in zip(nodes, steps, strict=True):
        timer = Choice(step.choice).timers
        if step.choice != timer and any(option.choice == timer for option in node.options or ()):
            yield node, timer, step


def before_a_delay(node: Node, delay: Step, dates: bool = True) -> dict[str, Sequence[Access]]:
    """Return the choices tried at *node* that are redundant right after *delay*, with their footprints.

    A choice is redundant if the delay right after it has the same outcome. So it must not depend on the delay (it did
    not read the clock), must not change a file if *dates* is true, and after it the same delay must be possible, or
    time must pass by itself to the same moment.
    """
    until = next(option.operation for option in node.options or () if option.choice == delay.choice)
    return {
        name: accesses
        for name, (accesses, _) in node.touched.items()
        if not Choice(name).is_fault
        and not depend(accesses, delay.accesses)
        and not (dates and _reads_the_clock(accesses, dates))
        and _then(node, name, delay.choice, until)
    }


def _then(node: Node, choice: str, delay: str, until: str) -> bool:
    child = node.children.get(choice)
    if child is None:
        return False
    if any(option.choice == delay and option.operation == until for option in child.options or ()):
        return True
    return not child.options and any(
        name.startswith("@") and f"delay until {name[1:]}" == until for name in child.children
    )
