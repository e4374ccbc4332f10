"""Races as tests of pytest: how they are run, saved, replayed and shown. Imported when the first race is collected."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.control.repeating.replays import replay
from harness.control.run import run
from harness.errors import BadInput, HarnessError
from harness.interleaving import result_of
from harness.racing import Undecided, judge, scenario_of
from harness.result import Result
from harness.saved.counterexample import Counterexample, load, save
from harness.scenario import Scenario
from harness.verdict import Verdict

__all__ = ["ScenarioItem", "allowed_lines", "items_of", "others_than_recorded", "racer"]

_ALLOWED: pytest.StashKey[dict[str, Result]] = pytest.StashKey()
"""Tests whose races touched what no schedule decides and their scenario allows, with what came of them."""

_BUDGET: dict[str, Any] = {"max_executions": 1_000, "seconds": 20.0, "seed": 0}
"""What each race may take, unless the command line or the test says otherwise."""


def items_of(parent: pytest.Module | pytest.Class, name: str, scenario: Scenario) -> list[pytest.Item]:
    """Return the tests of *scenario*, an attribute called *name*: itself, then each of its variants."""
    found = [scenario, *(replace(each, variant=variant) for variant, each in scenario.variants.items())]
    return [
        ScenarioItem.from_parent(parent, name=f"{name}[{each.variant}]" if each.variant else name, scenario=each)
        for each in found
    ]


class ScenarioItem(pytest.Item):
    """A scenario as a test: every rule must hold. A faulty variant of one: some rule must break."""

    def __init__(self, *, scenario: Scenario, **options: Any) -> None:
        super().__init__(**options)
        self.scenario = scenario

    def runtest(self) -> None:
        """Race the scenario; raises the errors of ``harness.race``, and ``NotCaught`` for a variant in which nothing failed."""
        if self.config.getoption("--harness-replay") is not None:
            _replay(self.config, self.nodeid, self.scenario)
        elif not self.scenario.variant:
            _judge(self.config, self.nodeid, _run(self.config, self.scenario, {}), scenario=self.scenario)
        elif (result := _run(self.config, self.scenario, {"explain": False})).verdict is not Verdict.INVALID:
            raise NotCaught(self.scenario, result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the failure as text, without a traceback through the harness."""
        error = excinfo.value
        if isinstance(error, (AssertionError, HarnessError)):
            return str(error).strip()
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return the file that defines the test, and the name of the test."""
        return self.path, None, self.name


class NotCaught(AssertionError):
    """A faulty variant broke no rule."""

    def __init__(self, scenario: Scenario, result: Result) -> None:
        scope = (
            f"in any interleaving{result.delays and f' with {result.delays}'}"
            if result.complete
            else f"within {result.bound or 'its budget'}"
        )
        super().__init__(
            f"{scenario.name}: the faulty variant {scenario.variant!r} was not caught: no rule broke {scope}. "
            f"{' '.join(result.reasons)}".strip()
        )


def racer(config: pytest.Config, nodeid: str) -> Callable[..., Result]:
    """Return the function behind the fixture ``race`` in the test *nodeid*."""

    def race(**options: Any) -> Result:
        """Race as ``harness.race`` does."""
        __tracebackhide__ = True
        check = options.pop("check", True)
        names = ("setup", "worker", "invariant", "always", "workers", "kills", "allows", "delays")
        scenario = scenario_of(**{name: options.pop(name) for name in names if name in options})
        if config.getoption("--harness-replay") is not None:
            return _replay(config, nodeid, scenario)
        result = _run(config, scenario, options)
        if check:
            _judge(config, nodeid, result, scenario=scenario)
        return result

    return race


def others_than_recorded(config: pytest.Config, items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return those of *items* that are scenarios, but not the one that the recording is of."""
    found = _recorded(config)
    wanted = found.scenario, found.variant
    return [
        item
        for item in items
        if isinstance(item, ScenarioItem) and (item.scenario.name, item.scenario.variant) != wanted
    ]


def allowed_lines(config: pytest.Config) -> list[str]:
    """Return a line for each race of the session that touched something uncontrolled that its scenario allows."""
    return [
        f"{nodeid}: {result.verdict}, {'complete, ' if result.complete else ''}but for what it allows: "
        f"{', '.join(result.allowed)}"
        for nodeid, result in config.stash.get(_ALLOWED, {}).items()
    ]


# --- what is done ---------------------------------------------------------------------------------


def _run(config: pytest.Config, scenario: Scenario, given: dict[str, Any]) -> Result:
    said = {name: config.getoption(f"--harness-{name.replace('_', '-')}") for name in _BUDGET}
    budget = {name: default if said[name] is None else said[name] for name, default in _BUDGET.items()}
    budget["isolation"], budget["patience"] = _isolation(config)
    return run(scenario, **{**budget, **{name: value for name, value in given.items() if value is not None}})


def _isolation(config: pytest.Config) -> tuple[str | None, float | None]:
    """Return isolation and patience as the command line says, else the ini file; None is the scenario's."""
    patience = config.getoption("--harness-patience")
    try:
        in_ini = float(config.getini("harness_patience") or "nan")
    except ValueError:
        raise pytest.UsageError(
            f"harness_patience should be a number of seconds: {config.getini('harness_patience')!r}"
        ) from None
    if patience is None and in_ini == in_ini:
        patience = in_ini
    return config.getoption("--harness-isolation") or config.getini("harness_isolation") or None, patience


def _judge(config: pytest.Config, nodeid: str, result: Result, *, scenario: Scenario) -> None:
    __tracebackhide__ = True
    if result.allowed:
        config.stash.setdefault(_ALLOWED, {})[nodeid] = result
    if result.counterexample is None:
        judge(result)
        return
    path = _saved(config, result, scenario, nodeid=nodeid)
    judge(result, command=_command(nodeid, path) if path is not None else "")


def _command(nodeid: str, path: Path) -> str:
    return f"pytest {shlex.quote(nodeid)} --harness-replay {shlex.quote(str(path))}"


def _saved(config: pytest.Config, result: Result, scenario: Scenario, *, nodeid: str) -> Path | None:
    """Save the counterexample where the command line says, else in pytest's cache, if there is one; a page beside it."""
    report = config.getoption("--harness-report")
    cache = getattr(config, "cache", None)
    if report is not None:
        folder = Path(report)
    elif cache is not None:
        folder = Path(cache.mkdir("harness"))
    else:
        return None
    path = save(Counterexample.of(result), folder)
    shown = path if not path.is_absolute() or report is not None else _from_here(path)
    if report is not None:
        from harness.cli.reporting import write_page

        write_page(load(path), scenario, _command(nodeid, shown), out=str(path.with_suffix(".html")))
    return shown


def _from_here(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _recorded(config: pytest.Config) -> Counterexample:
    try:
        return load(Path(config.getoption("--harness-replay")))
    except BadInput as error:
        raise pytest.UsageError(str(error)) from None


def _replay(config: pytest.Config, nodeid: str, scenario: Scenario) -> Result:
    """Make the recorded choices again; raises ``RaceFound`` where it fails again, ``Undecided`` where that can't be said."""
    __tracebackhide__ = True
    found = _recorded(config)
    if (found.scenario, found.variant) != (scenario.name, scenario.variant):
        pytest.skip(f"The recording is of {found.scenario!r}, this races {scenario.name!r}.")
    isolation, patience = _isolation(config)
    again = replay(scenario, found, isolation=isolation, patience=patience)
    assert again.execution is not None or again.divergence
    if again.verdict is Verdict.UNKNOWN or again.execution is None:
        raise Undecided(
            f"\nThe recording can't be followed, so the verdict is unknown.\n{again.divergence}", _nothing(found)
        )
    result = replace(result_of(scenario, again.execution, found.workers), explanation=found.explanation)
    judge(result, command=_command(nodeid, Path(config.getoption("--harness-replay"))))
    return result


def _nothing(found: Counterexample) -> Result:
    return Result(found.scenario, found.variant, Verdict.UNKNOWN, 1, False, 0, 0.0)
