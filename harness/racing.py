"""The sixty-second way: race a plain function in N worker processes with one call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from harness.faults import Faults
from harness.result import Result
from harness.scenario import Call, Check, Client, Scenario, Workload
from harness.schedulers.base import Scheduler
from harness.verdict import Verdict

__all__ = ["RaceFound", "Undecided", "judge", "race", "scenario_of"]


class RaceFound(AssertionError):
    """A race was found. ``result`` holds the counterexample; the text shows it."""

    def __init__(self, text: str, result: Result) -> None:
        super().__init__(text)
        self.result = result


class Undecided(AssertionError):
    """Nothing can be said: the verdict is unknown, which is never a pass. ``result`` says why."""

    def __init__(self, text: str, result: Result) -> None:
        super().__init__(text)
        self.result = result


def race(
    *,
    setup: Callable[[Path], Any],
    worker: Callable[..., Any] | Sequence[Callable[..., Any]],
    invariant: Callable[[Path], Any] | None = None,
    workers: int = 2,
    always: Callable[[Path], Any] | None = None,
    kills: int = 0,
    scheduler: str | Scheduler = "portfolio",
    max_executions: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    isolation: str | None = None,
    patience: float | None = None,
    allows: tuple[str, ...] = (),
    delays: int = 1,
    check: bool = True,
) -> Result:
    """Race *worker* in *workers* real processes over the state that *setup* made, in every interleaving.

    - ``setup(db)`` makes the shared state; ``db`` is the path of a database file to create (other files may go beside it).
    - ``worker(db)`` or ``worker(db, number)`` runs once in each process; a sequence gives each process its own function.
      An exception that leaves it is a failure.
    - ``invariant(db)`` must hold when all workers have ended, ``always(db)`` after every step: a false answer or an
      ``AssertionError`` breaks it. Both see a copy of the files.
    - *allows*: names of what no schedule decides that may be touched all the same, as in ``Scenario``.
    - *delays*: how many processes may be held up in one execution until another's sleep or deadline has passed.
    - *kills*: how many workers the schedule may kill with SIGKILL, at any point.
    - The other parameters are those of ``harness.run``.

    Sync or async functions, lambdas and closures. Returns the result. With *check*, raises ``RaceFound`` for an invalid
    verdict and ``Undecided`` for an unknown one.
    """
    __tracebackhide__ = True  # pytest then ends the traceback at the test's own call
    scenario = scenario_of(
        setup=setup, worker=worker, invariant=invariant, always=always, workers=workers, kills=kills, allows=allows,
        delays=delays,
    )  # fmt: skip
    from harness.control.run import run

    result = run(
        scenario, workers=workers, scheduler=scheduler, max_executions=max_executions, seconds=seconds, seed=seed,
        isolation=isolation, patience=patience,
    )  # fmt: skip
    if check:
        judge(result)
    return result


def judge(result: Result, command: str = "") -> None:
    """Raise ``RaceFound`` if *result* is invalid and ``Undecided`` if it is unknown, with the transcript for a text.

    *command* replays it.
    """
    __tracebackhide__ = True
    if result.verdict is Verdict.VALID:
        return
    from harness.reports.text.transcript import transcript_of

    text = "\n" + transcript_of(result, command=command)
    if result.counterexample is None or result.counterexample.failure is None:
        raise Undecided(text, result)
    raise _kind_of_race(*result.counterexample.failure.sort)(text, result)


@cache
def _kind_of_race(kind: str, rule: str) -> type[RaceFound]:
    """Return a type for each rule that can break: Hypothesis tells failures apart by type and place."""
    return type("RaceFound", (RaceFound,), {"__module__": __name__, "__doc__": f"{kind} {rule} is broken."})


def scenario_of(
    *,
    setup: Callable[[Path], Any],
    worker: Callable[..., Any] | Sequence[Callable[..., Any]],
    invariant: Callable[[Path], Any] | None = None,
    always: Callable[[Path], Any] | None = None,
    workers: int = 2,
    kills: int = 0,
    allows: tuple[str, ...] = (),
    delays: int = 1,
) -> Scenario:
    """Return the scenario that ``race`` explores."""
    functions = [worker] * workers if callable(worker) else list(worker)
    names = [getattr(function, "__name__", "worker") for function in functions]
    if len(set(names)) < len(names) and not callable(worker):
        names = [f"{name}{number}" for number, name in enumerate(names)]

    def workload(count: int) -> Workload:
        return Workload(
            tuple(
                Client((Call(names[number], (number,) if _takes_number(functions[number]) else (), number),))
                for number in range(count)
            ),
            count,
        )

    return Scenario(
        name=names[0],
        setup=setup,
        operations=dict(zip(names, functions, strict=True)),
        workload=workload,
        at_end=(Check(getattr(invariant, "__name__", "invariant"), invariant),) if invariant else (),
        invariants=(Check(getattr(always, "__name__", "always"), always),) if always else (),
        faults=Faults(kill=True, most=kills),
        workers=workers,
        allows=allows,
        delays=delays,
        ordered=False,
    )


def _takes_number(function: Callable[..., Any]) -> bool:
    """Whether *function* takes the worker's number after the path."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in positional if p.default is p.empty]
    return len(required) >= 2
