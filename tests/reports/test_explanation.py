"""Explanations in words: every line fits, nothing in them is obeyed, and the data is plain."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.reports.text.terminal import columns
from harness.reports.text.transcript import transcript
from harness.reports.text.why import as_data, explanation_lines, sentences
from harness.values.explanation import FaultRole, Named, Place
from tests.reports.made_up import blocked, explained, hostile, killed


def test_the_sentences_say_what_is_in_the_values() -> None:
    """The window, the order that decides, how far the switch may be moved, how the neighbours fared."""
    assert sentences(explained(), blocked()) == [
        "Worker 1's INSERT (tokens.py:95) fell between worker 0's SELECT (tokens.py:88) and its INSERT (tokens.py:95).",
        "The order that decides, at db.sqlite: worker 0's SELECT (step 1) before worker 1's INSERT (step 9). "
        "The other way round it passes.",
        "With the preemption at step 3 moved up to 1 step earlier it still fails; 2 steps earlier or 1 step later it passes.",
        "Of 9 neighbouring schedules 6 failed (1 by another rule). The run that found it failed in 1 of 2 executions.",
    ]


def test_a_window_with_one_end_says_no_more_than_it_knows() -> None:
    """Came before, came after, or came in wherever."""
    why = explained()
    (window,) = why.windows
    firsts = [
        sentences(replace(why, windows=(replace(window, **ends),)), blocked())[0]
        for ends in ({"closes": None}, {"opens": None}, {"opens": None, "closes": None})  # type: ignore[arg-type]
    ]
    assert firsts == [
        "Worker 1's INSERT (tokens.py:95) came after worker 0's SELECT (tokens.py:88).",
        "Worker 1's INSERT (tokens.py:95) came before worker 0's INSERT (tokens.py:95).",
        "Worker 1's INSERT (tokens.py:95) came in at step 3; where exactly makes no difference nearby.",
    ]


def test_of_many_windows_the_first_are_put_into_words() -> None:
    """A counterexample that could not be made small does not drown its reader."""
    why = replace(explained(), windows=explained().windows * 40)
    assert sentences(why, blocked())[4] == "The order matters in 36 more places."
    assert len([line for _, line in explanation_lines(why, blocked(), 80)]) < 40
    assert len(as_data(why, blocked())["windows"]) == 40


@pytest.mark.parametrize(
    ("essential", "instead", "last"),
    [
        (True, "", "Without the kill at step 2 it passes."),
        (True, "LIVE", "Without the kill at step 2 another rule breaks: LIVE."),
        (False, "", "The kill at step 2 is not needed: without it it fails, too."),
    ],
)
def test_a_fault_is_said_to_be_needed_only_if_it_is(essential: bool, instead: str, last: str) -> None:
    """What fails without it does not need it."""
    steps = killed().steps
    after = Named(steps[1], 1)
    role = FaultRole(2, essential, after, None, (Place(-1, "impossible"), Place(0, "fails")), instead)
    why = replace(explained(), windows=(), faults=(role,), neighbours=0)
    assert sentences(why, killed()) == ["Worker 0 was killed after its BEGIN IMMEDIATE (tokens.py:91).", last]


@pytest.mark.parametrize("width", [40, 60, 80, 140])
def test_no_line_is_wider_than_asked_and_all_is_harmless(width: int) -> None:
    """Whatever is in the statements, the files and the rule."""
    evil = " \x1b[2J\u202e日本語" * 30
    for why in (explained(), explained(evil), f"because{evil}"):
        lines = [line for _, line in explanation_lines(why, hostile(), width)]
        assert lines
        assert [line for line in lines if columns(line) > width or not line.isprintable()] == []


def test_a_step_that_only_a_neighbour_made_is_not_shown() -> None:
    """The reader could not find it in the transcript."""
    (window,) = explained().windows
    for gone in ("opens", "closes", "intruding"):
        unseen = getattr(window, gone)._replace(number=None, step=getattr(window, gone).step._replace(text="ELSEWHERE"))
        why = replace(explained(), windows=(replace(window, **{gone: unseen}),))
        text = " ".join([*sentences(why, blocked()), *(line for _, line in explanation_lines(why, blocked(), 200))])
        assert "ELSEWHERE" not in text
    blind = replace(window, opens=window.opens._replace(number=None), closes=None, opening=None, closing=None)
    assert "where it does matters" in sentences(replace(explained(), windows=(blind,)), blocked())[0]


def test_an_order_must_be_only_where_the_other_was_run() -> None:
    """Without the pair whose exchange passes, it is said that it came, not that it must."""
    (window,) = explained().windows
    free = replace(window, preempts=False, closes=None, closing=None, opening=None)
    assert " came after " in sentences(replace(explained(), windows=(free,)), blocked())[1]
    assert window.opens is not None
    assert window.intruding is not None
    assert window.opening is not None
    pair = replace(window.opening, first=window.opens, second=window.intruding)
    told = sentences(replace(explained(), windows=(replace(free, opening=pair),)), blocked())
    assert " must come after " in told[1]


def test_it_stands_between_the_rule_and_the_steps() -> None:
    """Who has never seen the tool reads what broke, why, and then the evidence."""
    lines = transcript(blocked(), why=explained()).splitlines()
    why = next(number for number, line in enumerate(lines) if line.startswith("Why: Worker 1's INSERT"))
    assert why < next(number for number, line in enumerate(lines) if line.lstrip().startswith("0 "))
    assert lines[0].startswith("issue-token")


def test_that_there_is_none_is_said_with_the_reason() -> None:
    """And without either nothing is."""
    assert list(explanation_lines("it is gone", blocked(), 80)) == [("dim", "Why can't be said: it is gone")]
    assert list(explanation_lines("", blocked(), 80)) == []


def test_the_data_is_plain_and_whole() -> None:
    """It survives JSON, and holds the sentences, the window's lines and the deciding pair."""
    data = as_data(explained(), blocked())
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    (window,) = data["windows"]
    assert window["opens"]["source"] == "tokens.py:88"
    assert (window["intruding"]["number"], window["closes"]["text"]) == (9, "INSERT INTO")
    assert data["critical"]["conflicts"] == [{"resource": "data:db.sqlite", "first": "r", "second": "w"}]
    assert data["critical"]["passing"] == "w1:c1 w0:c0"
    assert (data["neighbours"], data["failing"], data["sentences"]) == (9, 6, sentences(explained(), blocked()))
