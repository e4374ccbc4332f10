"""The page on adding a resource: its toy, added to the list, finds the race and the outcomes of trying everything."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.control.run import run
from harness.scenario import Scenario
from harness.verdict import Verdict
from harness.worker import main
from harness.worker.instrument.installed import Context, resources

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-resource.md"
FILES = dict(re.findall(r"<!-- file: ([\w.]+) -->\n```python\n(.*?)```", PAGE.read_text(), re.S))


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scenario]:
    """The scenario of the page, with its resource in the list."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    shelves = importlib.import_module("shelves")

    def with_shelves(context: Context) -> tuple[Any, ...]:
        return *resources(context), shelves.Shelves(context.runtime)

    monkeypatch.setattr(main, "resources", with_shelves)
    yield importlib.import_module("races").SHELF
    for name in FILES:
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.mark.forks
def test_it_finds_the_lost_update(scenario: Scenario) -> None:
    """With one preemption, between a reading and the writing after it."""
    result = run(scenario)
    assert result.verdict is Verdict.INVALID
    assert result.counterexample is not None
    assert result.counterexample.preemptions == 1
    assert [step.text for step in result.counterexample.steps if step.kind == "shelf"].count("put shelf") == 2


@pytest.mark.forks
def test_the_reduction_loses_no_outcome(scenario: Scenario) -> None:
    """It finds what trying every order finds, in fewer executions."""
    free = replace(scenario, at_end=())
    reduced = run(free, scheduler="exhaustive", outcomes=True)
    brute = run(free, scheduler="brute", outcomes=True)
    assert reduced.complete
    assert brute.complete
    assert reduced.outcomes == brute.outcomes == 2
    assert reduced.executions < brute.executions


@pytest.mark.forks
def test_without_the_line_in_the_list_nothing_is_claimed(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mapping alone is noticed, and the verdict is unknown where it is not allowed."""
    monkeypatch.setattr(main, "resources", resources)
    result = run(replace(scenario, allows=(), at_end=()))
    assert result.verdict is Verdict.UNKNOWN
    assert "shelf" in " ".join(result.reasons)
