"""The pytest plugin: options, the fixture ``race``, scenarios as tests, and the end of worker processes.

It imports nothing heavy before a test needs it, because pytest loads it in every session.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the harness."""
    group = parser.getgroup("race-harness", "races between worker processes")
    group.addoption(
        "--harness-max-executions", type=int, metavar="N", help="at most N executions for each race (default: 1000)"
    )
    group.addoption("--harness-seconds", type=float, metavar="S", help="at most S seconds for each race (default: 20)")
    group.addoption("--harness-seed", type=int, metavar="N", help="seed of schedulers and of the code (default: 0)")
    group.addoption(
        "--harness-isolation",
        choices=("warm", "fork"),
        help="fork: fresh processes for each execution (default: the ini option's, else the scenario's)",
    )
    group.addoption(
        "--harness-patience",
        type=float,
        metavar="S",
        help="how long a worker may get nothing done before it counts as stuck (default: as for the isolation)",
    )
    parser.addini("harness_isolation", "warm or fork, as --harness-isolation", default="")
    parser.addini("harness_patience", "seconds, as --harness-patience", default="")
    group.addoption(
        "--harness-replay",
        metavar="FILE",
        help="only make the recorded choices in FILE again, in the test that they are of",
    )
    group.addoption(
        "--harness-postgres",
        metavar="URL",
        help="race over the PostgreSQL server there (default: one of each race's own)",
    )
    group.addoption("--harness-report", metavar="DIR", help="save counterexamples there, with a page for each")


def pytest_configure(config: pytest.Config) -> None:
    """Have races be over the PostgreSQL server that the command line names, if any."""
    url = config.getoption("--harness-postgres")
    if url is not None:
        from harness.errors import BadInput
        from harness.postgres.address import Address
        from harness.project.config import use_postgres

        try:
            Address.parse(url)
        except BadInput as error:
            raise pytest.UsageError(f"--harness-postgres: {error}") from None
        use_postgres(url)


def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: object) -> Any:
    """Collect a scenario that is named like a test: the reference as one test, and each faulty variant as another."""
    kind = type(obj)
    if kind.__module__ != "harness.scenario" or kind.__name__ != "Scenario" or not collector.funcnamefilter(name):
        return None
    from harness.pytest_items import items_of

    return items_of(collector, name, obj)  # type: ignore[arg-type]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With a recording to replay, leave out the scenarios that it is not of."""
    if config.getoption("--harness-replay") is None:
        return
    from harness.pytest_items import others_than_recorded

    left_out = others_than_recorded(config, items)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def race(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """``harness.race`` under the budget, the seed and the recording that the command line says.

    A failure is saved, and shown with the command that replays it.
    """
    from harness.pytest_items import racer

    return racer(request.config, request.node.nodeid)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """List the races that touched something uncontrolled that their scenario allows: nothing is claimed of that."""
    items = sys.modules.get("harness.pytest_items")
    lines = items.allowed_lines(config) if items is not None else []
    if lines:
        terminalreporter.section("races that allow what no schedule decides")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """End the processes that a Hypothesis test has left, before its fixtures are torn down."""
    staging = sys.modules.get("harness.examples.testbeds")
    if staging is not None:
        staging.close()


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a scenario among parameters by its name."""
    if type(val).__module__ == "harness.scenario" and type(val).__name__ == "Scenario":
        variant = getattr(val, "variant", "")
        return f"{val.name}-{variant}" if variant else str(val.name)  # type: ignore[attr-defined]
    return None
