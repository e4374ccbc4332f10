"""An interleaving as a literal: short enough to be pasted into a test, and checked against a scenario there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from harness.errors import BadInput
from harness.result import Execution, Result
from harness.scenario import Call, Client, Scenario, Workload
from harness.values.redaction import redacted
from harness.values.schedule import Schedule
from harness.verdict import Verdict

__all__ = ["Interleaving", "parse_calls", "result_of", "text_of_calls"]

_END_OF_CALL = re.compile(r"\)@w([0-9]{1,3})(?=, | \| |$)")
_CLIENT = re.compile(r"w([0-9]{1,3}):c([0-9]{1,3})(?![^/#+])")


@dataclass(frozen=True, slots=True, repr=False)
class Interleaving:
    """Choices, and the workload they are about (None: the scenario's own).

    Of its execution it need say only the beginning: after the last choice every task runs until it ends or waits. One that
    ``interleavings`` gave carries the execution that came of it, and what ``repr`` shows makes the same again.
    """

    schedule: Schedule
    workload: Workload | None = None
    execution: Execution | None = field(default=None, compare=False)
    of_scenario: Scenario | None = field(default=None, compare=False)

    @classmethod
    def of(cls, schedule: str = "", calls: str = "", *, workers: int = 2) -> Interleaving:
        """Return the interleaving with the choices *schedule*, for example ``w0:c0*3 w1:c1``.

        *calls* is the workload over *workers* workers, if it is not the scenario's own. Commas separate the calls of a
        client, bars the clients: ``issue('a')@w0, rotate('a')@w0 | issue('b')@w1``. Raises ``BadInput`` for a text that
        can't be read.
        """
        return cls(Schedule.parse(schedule), Workload(parse_calls(calls), workers) if calls else None)

    def __repr__(self) -> str:
        parts = [repr(str(self.schedule))] if len(self.schedule) or self.workload else []
        if self.workload is not None:
            parts.append(repr(text_of_calls(self.workload)))
            if self.workload.workers != 2:
                parts.append(f"workers={self.workload.workers}")
        return f"Interleaving.of({', '.join(parts)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Have Hypothesis print it as ``repr`` does, and not field by field."""
        printer.text(repr(self))

    def check(self, scenario: Scenario, *, workers: int | None = None) -> Execution:
        """Return the execution of *scenario* in this interleaving; for a literal it is run now, in fresh processes.

        What a literal says that can't be done is left out, so that it outlives changes of the code under test. Raises
        ``RaceFound`` if a rule is broken, ``Undecided`` if nothing can be said, ``BadInput`` for a client or a worker
        (of *workers*) that there is not.
        """
        __tracebackhide__ = True
        from harness.racing import judge

        count = scenario.workers if workers is None else workers
        execution = self.execution
        if execution is None or self.of_scenario is not scenario:
            execution = self._run(scenario, count)
        judge(result_of(scenario, redacted(execution, scenario.secrets)[0], count))
        return execution

    def _run(self, scenario: Scenario, workers: int) -> Execution:
        from harness.control.repeating.shrink import Following
        from harness.examples.executing import run_now

        workload = self.workload or scenario.workload(workers)
        self._require(scenario, workload, workers)
        return run_now(scenario, workers, Following(self.schedule.choices), workload=workload)

    def _require(self, scenario: Scenario, workload: Workload, workers: int) -> None:
        for choice in self.schedule:
            if (found := _CLIENT.match(choice)) is None or scenario.app is not None:
                continue
            worker, client = map(int, found.groups())
            if worker >= workers or client >= len(workload.clients):
                raise BadInput(
                    f"The interleaving has the choice {choice!r}, but there are {workers} workers and "
                    f"{len(workload.clients)} clients, each numbered from 0. Was it made with another workload?"
                )


def result_of(scenario: Scenario, execution: Execution, workers: int) -> Result:
    """Return the result of a run that consists of one *execution* of *scenario*."""
    failed = execution.failure is not None
    unknown = (execution.stuck,) if execution.stuck else ()
    return Result(
        scenario=scenario.name,
        variant=scenario.variant,
        verdict=Verdict.INVALID if failed else Verdict.UNKNOWN if unknown else Verdict.VALID,
        executions=1,
        complete=False,
        failures=int(failed),
        seconds=0.0,
        workers=workers,
        scheduler="hypothesis",
        seed=execution.seed,
        bound="1 execution",
        reasons=unknown,
        counterexample=execution if failed else None,
        first_failure=1 if failed else None,
        steps=len(execution.steps),
    )


def text_of_calls(workload: Workload) -> str:
    """Return the calls of *workload* as ``Interleaving.of`` takes them."""
    return " | ".join(", ".join(map(str, client.calls)) for client in workload.clients)


def parse_calls(text: str) -> tuple[Client, ...]:
    """Return the clients that *text* lists with their calls; raises ``BadInput`` if it can't be read."""
    clients: list[list[Call]] = [[]]
    rest = text
    while True:
        call, length = _first_call(rest, text)
        clients[-1].append(call)
        rest = rest[length:]
        if not rest:
            return tuple(Client(tuple(calls)) for calls in clients)
        if rest.startswith(" | "):
            clients.append([])
        rest = rest[3:] if rest.startswith(" | ") else rest[2:]


def _first_call(rest: str, whole: str) -> tuple[Call, int]:
    name, bracket, _ = rest.partition("(")
    for end in _ends(rest) if bracket and name else ():
        try:
            arguments = ast.literal_eval(f"[{rest[len(name) + 1 : end.start()]}]")
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue  # the text of a call within an argument
        return Call(name, tuple(arguments), int(end.group(1))), end.end()
    raise BadInput(
        f"The calls {whole!r} can't be read from {rest[:60]!r} on. A call is OPERATION(ARGUMENTS)@wN, for example "
        "issue('alpha')@w0; ', ' stands between calls of one client, ' | ' between clients."
    )


def _ends(rest: str) -> Iterator[re.Match[str]]:
    return _END_OF_CALL.finditer(rest)
