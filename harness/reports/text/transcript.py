"""The transcript of a failing execution: each task's steps in order, and the point where the rule broke."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from harness.reports.text.summary import summary
from harness.reports.text.terminal import (
    columns,
    counted,
    escaped,
    one_line,
    padded,
    paragraph,
    shortened,
    styled,
    wrapped,
)
from harness.reports.text.why import explanation_lines
from harness.result import Execution, Failure, Result, delay_count, fault_count
from harness.saved.counterexample import Counterexample
from harness.values.explanation import Explanation
from harness.values.history import Event, Outcome, Step
from harness.values.names import Choice

__all__ = ["title_of", "title_of_counterexample", "transcript", "transcript_of"]

Line = tuple[str, str]
"""A style, and the text to show in it."""

_MOST_STEPS, _AT_EACH_END = 240, 100
_SOURCE = 28
_LEAST_TEXT = 30
_TEXT_LINES, _TOLD_LINES = 3, 2
_SHOWS_ITS_KIND = ("call", "fetch", "await")
_PREEMPTED = "> took over from a task that could have gone on (a preemption)"


def transcript_of(result: Result, *, command: str = "", width: int = 80, colour: bool = False) -> str:
    """Return the transcript of the counterexample in *result*, or the summary if there is none."""
    if result.counterexample is None:
        return summary(result, width=width)
    title = title_of(
        result.scenario, result.variant, result.workers, skew=result.counterexample.skew, allowed=result.allowed
    )
    why = result.explanation or result.unexplained
    return transcript(result.counterexample, title=title, command=command, why=why, width=width, colour=colour)


def transcript(
    race: Execution | Counterexample,
    *,
    title: str = "",
    command: str = "",
    why: Explanation | str = "",
    width: int = 80,
    colour: bool = False,
) -> str:
    """Return *race* as text of at most *width* columns, ending with the *command* that replays it.

    1. The scenario, the rule that broke, and *why*: an explanation, or the reason why there is none.
    2. A line per step: its number, its task (each in a column of its own), its text, its source line. Under it, its
       consequences: an error, or the answer to a client. The point where the rule broke.
    3. The final answer to each client.
    """
    if isinstance(race, Counterexample):
        title = title or title_of_counterexample(race)
    lines: list[Line] = [("title", line) for line in wrapped(escaped(title), width)]
    lines += _found(race, width)
    lines += explanation_lines(why, race, width)
    lines += _steps(race, width)
    lines += _told(race, width)
    if command:
        # Not wrapped, so that it can be copied.
        lines += [("", ""), ("", "To replay it:"), ("", f"  {escaped(command)}")]
    return "\n".join(styled(style, text.rstrip(), colour=colour) for style, text in lines) + "\n"


def title_of_counterexample(race: Counterexample) -> str:
    """Return the first line of the transcript of *race*."""
    return title_of(race.scenario, race.variant, race.workers, skew=race.skew, allowed=race.allowed)


def title_of(
    scenario: str, variant: str, workers: int, *, skew: Sequence[float] = (), allowed: Sequence[str] = ()
) -> str:
    """Return the first line of a transcript.

    *skew* has for each worker the seconds by which its clock is ahead. *allowed* names events that no schedule decides
    and that the scenario allows.
    """
    clocks = [
        f"the clock of worker {number} {abs(by):g} s {'ahead' if by > 0 else 'behind'}"
        for number, by in enumerate(skew)
        if by and number < workers
    ]
    others = [f"allowed: {', '.join(allowed)}"] if allowed else []
    name = f"{scenario}{f', variant {variant}' if variant else ''}"
    return ", ".join([f"{name}: {counted(workers, 'worker')}", *clocks, *others])


def _found(race: Execution | Counterexample, width: int) -> Iterator[Line]:
    if (failure := race.failure) is not None:
        yield from (("broken", line) for line in wrapped(f"Broken: {_rule(failure)}", width))
        yield from (("", line) for line in paragraph(failure.message, width, "  "))
    steps = race.steps
    switches = counted(sum(step.preempts for step in steps), "preemption")
    delays = counted(held_up, "delay") + ", " if (held_up := delay_count(steps)) else ""
    size = f"{counted(len(steps), 'step')}, {switches}, {delays}{counted(fault_count(steps), 'fault')}."
    schedule = wrapped(f"{size} Schedule: {escaped(str(race.schedule))}", width, most=4)
    yield from (("dim", line) for line in schedule)


def _rule(failure: Failure) -> str:
    return one_line(f"{failure.kind} '{failure.rule}'" if failure.rule else failure.kind)


# --- the steps ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Layout:
    """The columns of a line: number and mark, the task's label, the step's text, the source line."""

    number: int
    tasks: dict[str, int]
    """For each task's label, its column, counted from the end of the mark."""
    labels: int
    area: int
    """The number of columns from the end of the labels to the end of the line."""
    text: int
    """The number of those columns for the step's text; the source line comes after them."""
    source: int

    def line(self, number: str, mark: str, label: str, *, text: str, source: str) -> str:
        """Return the first line of a step."""
        where = padded(" " * self.tasks.get(label, 0) + label, self.labels)
        return f"{number:>{self.number}} {mark:1} {where} " + self._with(text, source)

    def under(self, text: str, source: str = "") -> str:
        """Return a line without number or task."""
        return " " * (self.number + 3 + self.labels + 1) + self._with(text, source)

    def _with(self, text: str, source: str) -> str:
        return f"{padded(text, self.text)}  {' ' * (self.source - columns(source))}{source}" if source else text


def _layout(steps: tuple[Step, ...], width: int) -> _Layout:
    number = max(4, len(str(len(steps))))
    order = {_label(step): (step.worker, step.lane) for step in steps}
    names = sorted(order, key=order.__getitem__)
    tasks: dict[str, int] = {}
    used = 0
    for name in names:
        tasks[name] = used
        used += columns(name) + 1
    if used > width * 2 // 5:
        tasks, used = dict.fromkeys(names, 0), max(map(columns, names), default=0) + 1
    area = width - number - 3 - used - 1
    source = max((columns(text) for step in steps for text in (_source(step), _caller(step))), default=0)
    if area - source - 2 < _LEAST_TEXT:
        source = 0
    text = area - (source + 2 if source else 0)
    # On a wide terminal, keep the source line close to the text.
    widest = max((columns(_what(step)) for step in steps), default=0)
    return _Layout(number, tasks, used, area, min(text, max(widest, _LEAST_TEXT)) if source else text, source)


def _label(step: Step) -> str:
    if step.worker < 0 and step.is_delay:
        return shortened(escaped("+".join(Choice(step.choice).held_up)), 16)
    return shortened(f"w{step.worker} {escaped(step.lane)}".rstrip(), 16)


def _source(step: Step) -> str:
    """Return the step's source file and line, short enough for a column."""
    if step.source is None:
        return ""
    return _short(f"{step.source.file.rpartition('/')[2]}:{step.source.line}")


def _caller(step: Step) -> str:
    """Return the line in another file that called the step's line, if it is known."""
    return _short(f"< {step.source.caller}") if step.source is not None and step.source.caller else ""


def _short(text: str) -> str:
    text = escaped(text)
    return text if columns(text) <= _SOURCE else "..." + text[3 - _SOURCE :]


def _steps(race: Execution | Counterexample, width: int) -> Iterator[Line]:
    steps, failure = race.steps, race.failure
    layout = _layout(steps, width)
    ends: dict[int, list[Event]] = defaultdict(list)
    for event in race.history:
        if event.kind != "invoke":
            ends[event.step].append(event)
    yield "", ""
    left_out = range(_AT_EACH_END, len(steps) - _AT_EACH_END) if len(steps) > _MOST_STEPS else range(0)
    now = 0.0
    for number, step in enumerate(steps):
        if number in left_out:
            if number == left_out.start:
                yield "dim", f"... {len(left_out):,} steps left out ..."
        else:
            # The line of a delay has already said that time passes.
            if step.now > now and not (number and steps[number - 1].is_delay):
                yield "dim", layout.under(f"-- time passes: {step.now:g} s --")
            yield from _step(layout, number, step)
            yield from (line for event in ends[number] for line in _ended(layout, event))
        now = step.now
        if failure is not None and failure.step == number:
            yield from _broken(failure, width)
    if failure is not None and not 0 <= failure.step < len(steps):
        yield from _broken(failure, width)
    if any(step.preempts for step in steps):
        yield from (("dim", line) for line in wrapped(_PREEMPTED, width))


def _step(layout: _Layout, number: int, step: Step) -> Iterator[Line]:
    source = _source(step)
    style = "broken" if step.is_fault else "waiting" if step.waited or step.gave_up else ""
    first, *more = wrapped(_what(step), layout.text, _TEXT_LINES, hang=2)
    caller = _caller(step)
    if source and not layout.source:
        first, *more = _with_source([first, *more], f"({source} {caller})" if caller else f"({source})", layout.text)
    elif caller and not more:
        more = [""]
    mark = ">" if step.preempts else ""
    yield style, layout.line(str(number), mark, _label(step), text=first, source=source if layout.source else "")
    for position, line in enumerate(more):
        yield style, layout.under(f"  {line}".rstrip(), caller if layout.source and position == 0 else "")
    if waiting := _waiting(step):
        yield "waiting", layout.under(f"  {waiting}")
    if step.error:
        lines = wrapped(f"! {one_line(step.error)}", layout.area - 2, _TOLD_LINES)
        yield from (("error", layout.under(f"  {line}")) for line in lines)


def _with_source(lines: list[str], source: str, width: int) -> list[str]:
    """Return *lines* with *source* after them: on the same line if there is one line and it fits, else below."""
    if len(lines) == 1 and columns(lines[0]) + 2 + columns(source) <= width:
        return [f"{lines[0]}  {source}"]
    return [*lines, *wrapped(source, width - 2)]


def _what(step: Step) -> str:
    text, detail = one_line(step.text), one_line(step.detail)
    if step.is_delay:
        return f"*** {text} ***"
    if step.is_fault:
        return f"*** {step.kind} worker {step.worker}: {text} ***"
    kind = f"{step.kind} " if step.kind in _SHOWS_ITS_KIND and not text.startswith(step.kind) else ""
    return f"{kind}{text}  {detail}".strip() or step.kind


def _waiting(step: Step) -> str:
    if step.gave_up:
        return "<gave up>"
    if step.waited:
        return "<still waiting ...>" if step.resumed else "<waiting ...>"
    return "<... went on>" if step.resumed else ""


def _ended(layout: _Layout, event: Event) -> Iterator[Line]:
    style = "told" if event.kind == "ok" else "error"
    lines = wrapped(f"=> {escaped(event.client)} {_ending(event)}", layout.area - 2, _TOLD_LINES)
    return ((style, layout.under(f"  {line}")) for line in lines)


def _ending(end: Event | Outcome) -> str:
    operation = one_line(end.operation)
    if end.kind == "ok":
        return f"is told: {operation} returned {one_line(repr(end.value))}"
    if end.kind == "fail":
        return f"is told: {operation} raised {one_line(end.error)}: {one_line(str(end.value))}".removesuffix(": ")
    if end.kind == "info":
        return f"is told nothing: nobody knows whether {operation} happened"
    return f"is told nothing: {operation} has not ended"


def _broken(failure: Failure, width: int) -> Iterator[Line]:
    return (("broken", line) for line in wrapped(f"*** BROKEN HERE: {_rule(failure)}", width))


# --- the end --------------------------------------------------------------------------------------


def _told(race: Execution | Counterexample, width: int) -> Iterator[Line]:
    outcomes = race.history.outcomes()
    if outcomes:
        yield from (("", ""), ("", "What each client was told:"))
    for outcome in outcomes:
        arguments = ", ".join(map(repr, outcome.arguments))
        call = shortened(one_line(f"{outcome.operation}({arguments})"), width // 2)
        text = f"{escaped(outcome.client)} (worker {outcome.worker}): {call} -> {_short_ending(outcome)}"
        style = {"ok": "told", "fail": "error"}.get(outcome.kind, "waiting")
        yield from ((style, line) for line in _hanging(text, width))
    for left in race.history.left_open:
        what = "Left running" if left.partition(": ")[2].startswith("thread ") else "Left in a transaction"
        yield from (("error", line) for line in _hanging(f"{what}: {left}", width))


def _short_ending(outcome: Outcome) -> str:
    if outcome.kind == "ok":
        return one_line(repr(outcome.value))
    if outcome.kind == "fail":
        return f"{one_line(outcome.error)}: {one_line(str(outcome.value))}".removesuffix(": ")
    if outcome.kind != "info":
        return "not ended"
    return f"nobody knows ({'it was cancelled' if outcome.error else 'its worker died'})"


def _hanging(text: str, width: int) -> Iterable[str]:
    first, *more = wrapped(one_line(text), width - 6, most=5)
    return [f"  {first}", *(f"      {line}" for line in more)]
