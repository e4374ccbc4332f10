"""Secrets leave no execution: labels stand for them, equal ones for equal ones, and a replay still fits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness import registry
from harness.control.run import run
from harness.errors import BadInput
from harness.result import Execution, Failure
from harness.saved.counterexample import Counterexample, load, save
from harness.scenario import Workload
from harness.values.history import Event, History
from harness.values.redaction import Redactor, redacted, same
from tests.reports.made_up import step

ONE, OTHER = "t1.Zm9vYmFyYmF6", "t2.c29tZXRoaW5n"


def told(client: str, value: object) -> Event:
    """Return that a client was told *value*."""
    return Event("ok", client, 0, 0, "issue", ("alpha",), 3, 0.0, value)


def execution(*events: Event, message: str = "") -> Execution:
    """Return one in which a step has both secrets in it."""
    steps = (step("w0:c0", "sql", "INSERT INTO tokens VALUES (?, ?)", 1, detail=f"({ONE!r}, {OTHER!r})"),)
    return Execution(Workload(()), 0, steps, History(events, (f"c0: {ONE}",)), Failure("at end", "rule", message, 0))


def test_every_text_is_cleaned_and_equal_secrets_stay_equal() -> None:
    """Values, arguments, parameters, messages, what was left open: one label for each secret."""
    events = (
        told("c1", {"id": "t1", "Access-Token": ONE}),
        told("c0", [{"secret": OTHER}]),
        told("c2", {"token": ONE}),
    )
    clean, text = redacted(execution(*events, message=f"{ONE} is not {OTHER}"))
    assert ONE not in repr(clean)
    assert OTHER not in repr(clean)
    assert clean.steps[0].detail == "('<secret 2>', '<secret 1>')"
    assert [event.value for event in clean.history] == [
        {"id": "t1", "Access-Token": "<secret 2>"},
        [{"secret": "<secret 1>"}],
        {"token": "<secret 2>"},
    ]
    assert clean.failure is not None
    assert clean.failure.message == "<secret 2> is not <secret 1>"
    assert text(f"also {ONE}") == "also <secret 2>"


def test_the_label_does_not_depend_on_who_was_told_first() -> None:
    """So steps of two interleavings compare equal."""
    events = told("c0", {"token": ONE}), told("c1", {"token": OTHER})
    assert redacted(execution(*events))[0].steps == redacted(execution(*reversed(events)))[0].steps


def test_what_was_cut_short_or_escaped_is_found() -> None:
    """A beginning of six characters with dots after it counts as the secret it begins, and so does its ``repr``."""
    redactor = Redactor([told("c0", {"token": ONE}), told("c1", {"token": "quo'te\\d text"})])
    assert redactor.text(f"({ONE[:9]}...") == "(<secret 1>"
    assert redactor.text(repr("quo'te\\d text")) == '"<secret 2>"'
    assert redactor.text(json.dumps({"a": "quo'te\\d text"})) == '{"a": "<secret 2>"}'


def test_nothing_else_is_touched() -> None:
    """Short texts, numbers, other names: without a secret the execution is the very same."""
    events = told("c0", {"token": "short", "id": ONE, "password": 12345678}), told("c1", None)
    before = execution(*events)
    assert redacted(before)[0] is before


def test_a_scenario_marks_more() -> None:
    """Its patterns are looked for everywhere, with a label for each different text."""
    clean, _ = redacted(execution(told("c0", f"{ONE} and t3.x")), (r"t\d\.\w+",))
    assert clean.steps[0].detail == "('<secret 1>', '<secret 2>')"
    assert [event.value for event in clean.history] == ["<secret 1> and <secret 3>"]


def test_a_pattern_that_is_none_is_refused() -> None:
    """With the value and what to do."""
    with pytest.raises(BadInput, match=r"re\.escape"):
        replace(registry.find("issue-token"), secrets=("(",))


@pytest.mark.parametrize(
    ("recorded", "found", "answer"),
    [
        ("sql SELECT", "sql SELECT", True),
        ("sql ('<secret 1>',)", f"sql ({ONE!r},)", True),
        ("sql ('<secret 1>',)", "sql (None,)", False),
        ("sql SELECT", "sql INSERT", False),
    ],
)
def test_a_label_in_a_recording_fits_any_text(recorded: str, found: str, answer: bool) -> None:
    """And nothing else does."""
    assert same(recorded, found) is answer


@pytest.mark.forks
@pytest.mark.slow
def test_no_token_is_in_what_a_run_gives(tmp_path: Path) -> None:
    """Of the real store: the random part of a token, 43 characters, is in no value, message, explanation or file."""
    result = run(registry.find("rotate-token", "t11-read-after-commit"))
    assert result.counterexample is not None
    values = [event.value for event in result.counterexample.history if event.kind == "ok"]
    assert any("<secret 1>" in str(value) for value in values)
    path = save(Counterexample.of(result), tmp_path)
    assert not _long_random(repr(result) + repr(result.counterexample) + repr(result.explanation) + path.read_text())
    assert load(path) == Counterexample.of(result)


def _long_random(text: str) -> list[str]:
    import re

    return re.findall(r"[0-9a-f]{16}\.[A-Za-z0-9_-]{20,}", text)
