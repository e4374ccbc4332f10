"""Transcripts: golden files for people to review, and what holds for every text that may be in one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.reports.text.terminal import columns
from harness.reports.text.transcript import transcript, transcript_of
from harness.result import Execution, Failure, Result
from harness.values.history import Source
from harness.verdict import Verdict
from tests.reports.made_up import CASES, WIDTHS, blocked, event, golden, killed, rendered, step

COMMAND = "harness replay x.json"


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_transcript_is_as_reviewed(name: str, width: int) -> None:
    """It equals its golden file; `python -m tests.reports.made_up` writes those anew."""
    assert rendered(name, width) == golden(name, width).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("width", [40, 60, 80, 81, 100, 140])
def test_no_line_is_wider_than_asked(name: str, width: int) -> None:
    """Every line fits, but for the command, which is there to be copied."""
    lines = rendered(name, width).splitlines()
    assert [line for line in lines[:-1] if columns(line) > width] == []


@pytest.mark.slow
@given(
    text=st.text(max_size=60),
    detail=st.text(max_size=60),
    error=st.text(max_size=30),
    rule=st.text(max_size=60),
    message=st.text(max_size=100),
    file=st.text(max_size=40),
    width=st.integers(40, 120),
)
def test_any_text_is_made_harmless(
    text: str, detail: str, error: str, rule: str, message: str, file: str, width: int
) -> None:
    """Whatever the code under test says: every line fits and holds nothing that a terminal obeys."""
    base = blocked()
    ran = step("w0:c0", "sql", text, detail=detail, error=error)._replace(source=Source(file, 3, "f"))
    race = Execution(base.workload, 0, (ran, *base.steps[1:]), base.history, Failure("invariant", rule, message, 0))
    shown = transcript(race, title=f"a {text}", width=width)
    assert [line for line in shown.split("\n") if columns(line) > width or not line.isprintable()] == []


def test_colours_change_nothing_but_colours() -> None:
    """Without its colours, a coloured transcript is the plain one."""
    import re

    coloured = transcript(blocked(), command=COMMAND, colour=True)
    assert "\x1b[1;31m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == transcript(blocked(), command=COMMAND)


def test_the_break_is_marked_after_its_step() -> None:
    """A rule that breaks in the middle is marked there, not at the end."""
    base = blocked()
    race = Execution(base.workload, 0, base.steps, base.history, Failure("invariant", "one", "two", 2))
    lines = transcript(race).splitlines()
    place = lines.index("*** BROKEN HERE: invariant 'one'")
    assert lines[place - 1].split()[0] == "2"
    assert lines[place + 1].split()[0] == "3"


def test_a_failure_before_any_step_is_shown() -> None:
    """Where nothing ran, the rule is still marked as broken."""
    base = blocked()
    race = Execution(base.workload, 0, (), base.history.__class__(), Failure("at end", "empty", "it is not", -1))
    assert "*** BROKEN HERE: at end 'empty'" in transcript(race)


def test_many_tasks_share_one_column() -> None:
    """Where a column for each task does not fit, each line names its task in the same place."""
    tasks = [f"w{number}:c{number}" for number in range(9)]
    base = blocked()
    race = Execution(base.workload, 0, tuple(step(task, "sql", "SELECT 1", 7) for task in tasks), base.history)
    lines = [line for line in transcript(race).splitlines() if "SELECT 1" in line]
    assert {line.index("SELECT") for line in lines} == {lines[0].index("SELECT")}
    assert [line[7:12] for line in lines] == [f"w{number} c{number}" for number in range(9)]


def test_the_middle_of_an_endless_execution_is_left_out() -> None:
    """Of thousands of steps the first and the last hundred are shown, and how many are not."""
    base = blocked()
    steps = tuple(step("w0:c0", "sql", "SELECT 1") for _ in range(4000))
    failure = Failure("no progress", "every call ends", "it never ends", 3999)
    shown = transcript(Execution(base.workload, 0, steps, base.history, failure))
    assert "... 3,800 steps left out ..." in shown
    assert len(shown.splitlines()) < 230
    assert "*** BROKEN HERE: no progress" in shown


def test_what_nobody_knows_is_said() -> None:
    """The call of a killed worker neither happened nor failed, as far as its client knows."""
    assert "c0 (worker 0): issue('alpha') -> nobody knows (its worker died)" in transcript(killed())


def test_a_call_that_never_ended_is_said() -> None:
    """A call without an end in the history is listed as such."""
    base = blocked()
    history = base.history.__class__((event("invoke", 0, 0),))
    assert "-> not ended" in transcript(Execution(base.workload, 0, base.steps, history))


def _result(**more: object) -> Result:
    values = {
        "scenario": "issue-token",
        "variant": "",
        "workers": 2,
        "scheduler": "exhaustive",
        "seed": 0,
        "verdict": Verdict.VALID,
        "executions": 4,
        "complete": True,
        "failures": 0,
        "seconds": 0.25,
        "startup_seconds": 0.05,
        **more,
    }
    return Result(**values)  # type: ignore[arg-type]


def test_a_result_without_counterexample_is_summed_up() -> None:
    """`transcript_of` gives the summary where there is nothing to transcribe."""
    assert transcript_of(_result()) == (
        "issue-token: valid. Every rule held in every execution.\n"
        "4 executions of 2 workers (exhaustive, seed 0) in 0.25 s, start-up 0.05 s.\n"
        "Complete: every interleaving was covered.\n"
    )


def test_a_result_with_a_counterexample_is_transcribed() -> None:
    """`transcript_of` gives what `transcript` gives of the counterexample itself."""
    found = blocked()
    execution = Execution(found.workload, 0, found.steps, found.history, found.failure)
    result = _result(variant=found.variant, verdict=Verdict.INVALID, counterexample=execution)
    assert transcript_of(result, command=COMMAND) == transcript(found, command=COMMAND)


def test_a_summary_says_which_limit_was_hit() -> None:
    """A run that did not cover everything does not sound like one that did."""
    shown = transcript_of(_result(complete=False, bound="20 executions"))
    assert "Not complete: it stopped at the limit of 20 executions." in shown
    assert "Complete:" not in shown


def test_a_summary_says_why_it_is_unknown() -> None:
    """Every reason is given, with its own line breaks, and that this is no pass."""
    shown = transcript_of(_result(verdict=Verdict.UNKNOWN, complete=False, reasons=("one\n  two", "three\x1b")))
    assert "not a pass" in shown
    assert "  one\n    two\n" in shown
    assert "three\\x1b" in shown
