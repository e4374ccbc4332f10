"""The content of a counterexample's report, as one value. All decisions are made here; renderers make none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.checks.linearizability import Linearizability
from harness.reports.lanes import Lane, Lanes
from harness.reports.messages import Blocked, Message, blocked_spans, messages
from harness.reports.orders import Orders, orders_of
from harness.reports.rows import changed_first
from harness.reports.text.transcript import title_of_counterexample
from harness.reports.text.why import place_of, sentences
from harness.saved.counterexample import Counterexample
from harness.values.explanation import Named, Window
from harness.values.history import Access, Outcome, Step
from harness.values.tables import TablesAt

__all__ = ["RaceWindow", "Report", "ReportStep", "Role", "Told", "as_data", "report_of"]

_ROLES = ("opens", "intrudes", "closes")
_VERBS = {"r": "reads", "w": "writes", "a": "makes or removes"}
_OTHERS = {
    "*": "everything",
    "client": "what is known to client",
    "clock": "the clock",
    "dated": "the date of a file",
    "dates": "the dates of files",
    "list": "the entries of",
    "name": "what lies at",
}


@dataclass(frozen=True, slots=True)
class ReportStep:
    """One step as it is shown.

    ``lane`` is the number of its lane, None if it concerns a whole process (``worker``), a message or the clock.
    ``state`` says how the step waited for a lock, empty if it did not; ``marks`` are ``preempts``, ``fault``,
    ``violation`` and roles in race windows, such as ``opens 1``. ``touches`` is its footprint in words; ``does`` is
    ``writes``, ``reads`` or empty, for shared data. ``told`` are the answers that clients got after the step.
    ``rows_of`` is the number of the statement whose rows it fetches; ``place`` is its most telling source line.
    """

    number: int
    lane: int | None
    worker: int
    choice: str
    kind: str
    text: str
    parameters: str
    file: str
    line: int
    function: str
    caller: str
    now: float
    touches: tuple[str, ...]
    does: str
    state: str
    error: str
    marks: tuple[str, ...]
    told: tuple[str, ...]
    rows_of: int | None
    place: str

    @property
    def fault(self) -> bool:
        """Whether the step is an injected fault."""
        return "fault" in self.marks


@dataclass(frozen=True, slots=True)
class Role:
    """A step with a role in a race window: ``number`` is None if only a neighbouring schedule has the step."""

    number: int | None
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class RaceWindow:
    """A race window: a step of one task (``intrudes``) between two steps of another (``opens`` and ``closes``).

    ``at`` is the number of the step at which the intruding task took over.
    """

    at: int
    preempts: bool
    lane: int | None
    opens: Role | None
    intrudes: Role | None
    closes: Role | None


@dataclass(frozen=True, slots=True)
class Told:
    """A client's call and its answer: ``kind`` is ``ok``, ``fail``, ``info`` or ``pending``."""

    client: str
    worker: int
    call: str
    kind: str
    answer: str
    invoked: int
    ended: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything in the report of one counterexample.

    ``violation`` is the number of the step after which the rule broke, None if it broke elsewhere. ``no_tables`` says
    why no tables were recorded. ``orders`` is set if the broken rule is linearizability. ``command`` replays the
    counterexample.
    """

    title: str
    scenario: str
    variant: str
    workers: int
    scheduler: str
    seed: int
    schedule: str
    kind: str
    rule: str
    message: str
    violation: int | None
    why: tuple[str, ...]
    preemptions: int
    faults: tuple[int, ...]
    lanes: tuple[Lane, ...]
    steps: tuple[ReportStep, ...]
    blocked: tuple[Blocked, ...]
    messages: tuple[Message, ...]
    windows: tuple[RaceWindow, ...]
    told: tuple[Told, ...]
    left_open: tuple[str, ...]
    tables: tuple[TablesAt, ...]
    no_tables: str
    orders: Orders | None
    passing: str
    made_with: tuple[str, ...]
    command: str

    def __repr__(self) -> str:
        return f"<Report {self.title} steps={len(self.steps)}>"


def report_of(
    counterexample: Counterexample,
    *,
    command: str = "",
    tables: Sequence[TablesAt] = (),
    no_tables: str = "",
    linearizability: Linearizability | None = None,
) -> Report:
    """Return the report of *counterexample*.

    *command* replays it. *tables* are the changes its steps made to the database, *no_tables* is the reason why they
    are not known. *linearizability* is the answer of the check, if linearizability is the rule that broke.
    """
    failure, why, made = counterexample.failure, counterexample.explanation, counterexample.made_with
    lanes = Lanes(counterexample.steps, counterexample.workers)
    windows = why.windows if why is not None else ()
    critical = why.critical if why is not None else None
    return Report(
        title=title_of_counterexample(counterexample),
        scenario=counterexample.scenario,
        variant=counterexample.variant,
        workers=counterexample.workers,
        scheduler=counterexample.scheduler,
        seed=counterexample.seed,
        schedule=str(counterexample.schedule),
        kind=failure.kind,
        rule=failure.rule,
        message=failure.message,
        violation=failure.step if 0 <= failure.step < len(counterexample.steps) else None,
        why=tuple(sentences(why, counterexample)) if why is not None else (),
        preemptions=counterexample.preemptions,
        faults=tuple(n for n, step in enumerate(counterexample.steps) if step.is_fault),
        lanes=lanes.lanes,
        steps=tuple(_steps(counterexample, lanes, windows)),
        blocked=blocked_spans(counterexample.steps, lanes),
        messages=messages(counterexample.steps, lanes),
        windows=tuple(_window(window, lanes) for window in windows),
        told=tuple(map(_told, counterexample.history.outcomes())),
        left_open=counterexample.history.left_open,
        tables=tuple(TablesAt(at.step, tuple(map(changed_first, at.tables))) for at in tables),
        no_tables=no_tables,
        orders=orders_of(linearizability) if linearizability is not None else None,
        passing=str(critical.passing) if critical is not None else "",
        made_with=(f"harness {made.harness}", f"Python {made.python}", f"SQLite {made.sqlite}"),
        command=command,
    )


def as_data(report: Report) -> dict[str, Any]:
    """Return *report* as plain data that JSON can represent."""
    data = asdict(report)
    data["lanes"] = [{**asdict(lane), "name": lane.name} for lane in report.lanes]
    return data


# --- steps ----------------------------------------------------------------------------------------


def _steps(counterexample: Counterexample, lanes: Lanes, windows: Sequence[Window]) -> Iterator[ReportStep]:
    steps = counterexample.steps
    marks = _marks(counterexample, windows)
    told: dict[int, list[str]] = defaultdict(list)
    for outcome in counterexample.history.outcomes():
        if outcome.ended is not None:
            told[outcome.ended].append(f"{outcome.client} {_is_told(outcome)}")
    statements: dict[tuple[int, str], int] = {}
    place = place_of(counterexample)
    for number, step in enumerate(steps):
        source = step.source
        yield ReportStep(
            number=number,
            lane=lanes.of(step),
            worker=step.worker,
            choice=step.choice,
            kind=step.kind,
            text=step.text,
            parameters=step.detail,
            file=source.file if source else "",
            line=source.line if source else 0,
            function=source.function if source else "",
            caller=source.caller if source else "",
            now=step.now,
            touches=tuple(dict.fromkeys(map(_touches, step.accesses))),
            does=_does(step),
            state=_state(step),
            error=step.error,
            marks=tuple(marks[number]),
            told=tuple(told[number]),
            rows_of=statements.get((step.worker, step.lane)) if step.kind == "fetch" else None,
            place=place(step),
        )
        if step.kind == "sql":
            statements[step.worker, step.lane] = number


def _touches(access: Access) -> str:
    kind, name = access.what.kind, access.what.name
    verb = _VERBS.get(access.mode, access.mode)
    if kind == "lock":
        return f"{verb} the lock of {name}"
    if kind == "process":
        return f"{verb} the memory of worker {name}"
    if kind == "life":
        return f"ends or begins worker {name}" if access.mode == "w" else f"asks whether worker {name} lives"
    if kind == "data":
        return f"{verb} {name}"
    if access.resource == "history":
        return "a call begins" if access.mode == "i" else "a call ends"
    return f"{verb} {_OTHERS.get(kind, kind)} {name}".rstrip()


def _does(step: Step) -> str:
    modes = {access.mode for access in step.accesses if access.what.is_data}
    return "writes" if "w" in modes else "reads" if modes else ""


def _state(step: Step) -> str:
    if step.gave_up:
        return "gave up"
    if step.waited:
        return "still waits" if step.resumed else "waits"
    return "went on" if step.resumed else ""


def _marks(counterexample: Counterexample, windows: Sequence[Window]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    for number, step in enumerate(counterexample.steps):
        if step.is_fault:
            found[number].append("fault")
        if step.preempts:
            found[number].append("preempts")
    for place, window in enumerate(windows, 1):
        for role, named in zip(_ROLES, (window.opens, window.intruding, window.closes), strict=True):
            if named is not None and named.number is not None:
                found[named.number].append(f"{role} {place}")
    found[counterexample.failure.step].append("violation")
    return found


def _window(window: Window, lanes: Lanes) -> RaceWindow:
    interrupted = window.opens or window.closes
    return RaceWindow(
        at=window.at,
        preempts=window.preempts,
        lane=lanes.of(interrupted.step) if interrupted is not None else None,
        opens=_role(window.opens),
        intrudes=_role(window.intruding),
        closes=_role(window.closes),
    )


def _role(named: Named | None) -> Role | None:
    if named is None:
        return None
    step = named.statement or named.step
    return Role(named.number, step.text or step.kind, str(named.step.source or ""))


# --- clients --------------------------------------------------------------------------------------


def _told(outcome: Outcome) -> Told:
    arguments = ", ".join(map(repr, outcome.arguments))
    call = f"{outcome.operation}({arguments})"
    return Told(outcome.client, outcome.worker, call, outcome.kind, _answer(outcome), outcome.invoked, outcome.ended)


def _answer(outcome: Outcome) -> str:
    if outcome.kind == "ok":
        return repr(outcome.value)
    if outcome.kind == "fail":
        return f"{outcome.error}: {outcome.value}" if outcome.value not in (None, "") else outcome.error
    return "nobody knows whether it happened" if outcome.kind == "info" else "not ended"


def _is_told(outcome: Outcome) -> str:
    if outcome.kind == "ok":
        return f"is told: {outcome.operation} returned {_answer(outcome)}"
    if outcome.kind == "fail":
        return f"is told: {outcome.operation} raised {_answer(outcome)}"
    return f"is told nothing: nobody knows whether {outcome.operation} happened"
