"""A gate in all its forms: each fits its schema, shows what is wrong with its lines and one command, and obeys no text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.reports.documents.annotations import workflow_commands
from harness.reports.documents.junit import junit
from harness.reports.documents.markdown import gate_markdown, md
from harness.reports.documents.sarif import sarif
from harness.reports.gated import Gated, as_data
from harness.reports.source_lines import marks, relative
from harness.reports.text.gate_table import GateRow, gate_table
from harness.saved.counterexample import Counterexample
from harness.verdict import Verdict
from tests.reports.made_up import blocked, explained, hostile, killed

EVIL = "</failure>\x00\x1b[31m`|<script>%0A::error::\n]]>&"


def found(evil: str = "") -> Counterexample:
    """Return a counterexample with its explanation."""
    return replace(hostile() if evil else blocked(), explanation=explained(evil))


def gated(evil: str = "") -> Gated:
    """Return a gate with a row of each kind: right, wrong, not caught, unknown, a known race that is back, a stale one."""
    valid, invalid = Verdict.VALID, Verdict.INVALID
    name = f"issue-token{evil}"
    rows = [
        GateRow(name, "", valid, invalid, 3, oracle="invariant one", seconds=1.5, command="harness replay a.json"),
        GateRow(name, "t01", invalid, invalid, 2, first_failure=2, seconds=0.25),
        GateRow(name, "t02", invalid, valid, 2, complete=True, note=f"was not caught{evil}", command="harness run x"),
        GateRow("other", "", valid, Verdict.UNKNOWN, note=f"stuck{evil}", command="harness run other"),
        GateRow("other", "", valid, invalid, note="back", command="harness replay k.json", known="k.json"),
        GateRow("other", "", valid, Verdict.UNKNOWN, note="the code has changed", known="old.json", stale=True),
        GateRow("third", "", valid, valid, 50, seen=0.25, residual=0.5),
        GateRow("sixth", "", valid, valid, 9, complete=True, anew=f"After 2 executions the run began anew{evil}."),
        GateRow("fifth", "", valid, valid, 7, complete=True, allowed=(f"socket:/run/redis.sock{evil}", "process:git")),
    ]
    counterexamples = {0: found(evil), 4: killed()}
    return Gated(rows, invalid, 12.5, counterexamples, {0: "a.json"}, {"fourth": f"not changed{evil}"}, "/made")


@pytest.mark.parametrize("evil", ["", EVIL])
def test_junit_fits_its_schema(evil: str) -> None:
    """Whatever the texts hold: a failure for what is wrong, an error for what is unknown, the transcript inside."""
    text = junit(gated(evil))
    # Imported here: each fork of a process pays for all that it has imported.
    import xmlschema

    schema = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))
    schema.validate(text)
    tree = ElementTree.fromstring(text)
    assert (tree.get("tests"), tree.get("failures"), tree.get("errors")) == ("9", "3", "1")
    suites = [(suite.get("failures"), suite.get("errors")) for suite in tree]
    assert suites == [("2", "0"), ("1", "1"), ("0", "0"), ("0", "0"), ("0", "0")]
    failure = tree.find(".//failure")
    assert failure is not None
    assert "To replay it:\n  harness replay a.json" in str(failure.text)


@pytest.mark.parametrize("evil", ["", EVIL])
def test_sarif_fits_its_model(evil: str) -> None:
    """A result for each counterexample that should not be, with lines, tasks in turn, and a fingerprint."""
    log = json.loads(json.dumps(sarif(gated(evil), "1.2")))
    from sarif_pydantic import Sarif

    Sarif.model_validate(log)
    (run,) = log["runs"]
    one, other = run["results"]
    assert run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] == one["ruleId"]
    assert "harness replay a.json" in one["message"]["text"]
    assert {flow["id"] for flow in one["codeFlows"][0]["threadFlows"]} >= {"w0 c0", "w1 c1"}
    assert one["partialFingerprints"] != other["partialFingerprints"]


def test_sarif_names_the_lines_of_the_window() -> None:
    """What came between first, then the ends, each relative to the root."""
    first = sarif(gated())["runs"][0]["results"][0]
    places = [first["locations"][0], *first["relatedLocations"]]
    lines = [
        (place["physicalLocation"]["artifactLocation"]["uri"], place["physicalLocation"]["region"]["startLine"])
        for place in places
    ]
    assert lines == [("up/tokens.py", 95), ("up/tokens.py", 88)]


def test_a_fingerprint_outlives_moved_lines() -> None:
    """The same race a few lines further down has the same one."""
    why = explained()
    window = why.windows[0]
    assert window.opens is not None
    assert window.opens.step.source is not None
    lower = window.opens._replace(step=window.opens.step._replace(source=window.opens.step.source._replace(line=500)))
    moved = replace(why, windows=(replace(window, opens=lower),))
    before, after = (
        sarif(replace(gated(), found={0: replace(found(), explanation=each)}))["runs"][0]["results"][0]
        for each in (why, moved)
    )
    assert before["partialFingerprints"] == after["partialFingerprints"]
    assert before["relatedLocations"] != after["relatedLocations"]


def test_annotations_mark_lines_and_nothing_else() -> None:
    """One error on the line that came between, notices on the others; no text begins a command of its own."""
    said = list(workflow_commands(gated(EVIL)))
    assert all(line.startswith(("::error ", "::notice ")) and "\n" not in line for line in said)
    plain = list(workflow_commands(gated()))
    assert plain[0].startswith("::error file=up/tokens.py,line=95,title=issue-token (reference)::what came between")
    assert plain[0].endswith("%0ATo replay it: harness replay a.json")
    assert plain[1].startswith("::notice file=up/tokens.py,line=88,")
    assert "::error title=other (reference)::stuck" in plain


def test_markdown_says_what_is_wrong_and_what_was_not_covered() -> None:
    """The verdict, each wrong row with its command, what was seen of the tree, what is out of date, what was left out."""
    text = gate_markdown(gated())
    assert text.startswith("## Race gate: failed\n")
    assert "### issue\\-token, \\(reference\\): invalid, valid expected" in text
    assert "```text\nharness replay a.json\n```" in text
    assert "| third | valid | 50 | not all | at most 25.0 % | 0.5 |" in text
    assert "2 known counterexamples: 0 as expected, 1 out of date." in text
    assert "- fourth: not changed" in text


def test_no_text_is_markdown() -> None:
    """What could be a tag, a mention, a link or a table is shown as it stands; fences are longer than any inside."""
    assert md("a|b <b> @you [x](y) `c`") == r"a\|b \<b\> \@you \[x\]\(y\) \`c\`"
    text = gate_markdown(gated("```` <b>"))
    assert "\n`````text\n" in text
    assert "<b>" not in text.replace("\\<b\\>", "").partition("<details>")[0]


def test_without_an_explanation_the_last_line_is_marked() -> None:
    """The line of the step after which the rule was broken."""
    (mark,) = marks(blocked())
    assert mark.role == "after this step the rule is broken"
    assert mark.line > 0


@pytest.mark.parametrize(
    ("file", "shown"), [("/made/up/a.py", "up/a.py"), ("/other/a.py", "/other/a.py"), ("/made/a b.py", "a b.py")]
)
def test_a_file_is_named_from_the_root(file: str, shown: str) -> None:
    """If it lies below it."""
    assert relative(file, "/made") == shown


def test_every_report_says_what_a_scenario_allows() -> None:
    """Complete is never said without it."""
    one = gated()
    said = "complete, but for what it allows: socket:/run/redis.sock, process:git"
    assert said in junit(one)
    log = sarif(one)
    assert said in log["runs"][0]["invocations"][0]["toolExecutionNotifications"][1]["message"]["text"]
    shown = gate_markdown(one)
    assert "| all, but for what it allows |" in shown
    assert r"fifth, \(reference\): socket:/run/redis\.sock, process:git" in shown
    assert "but for what it allows: socket:/run/redis.sock, process:git" in gate_table(one.rows)
    assert list(as_data(one)["rows"][-1]["allowed"]) == ["socket:/run/redis.sock", "process:git"]


def test_every_report_says_that_a_run_began_anew() -> None:
    """And the longer ones why."""
    one = gated()
    said, why = "complete, each execution in fresh processes", "After 2 executions the run began anew."
    assert said in junit(one)
    assert said in sarif(one)["runs"][0]["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]
    shown = gate_markdown(one)
    assert "| all, each execution in fresh processes |" in shown
    assert r"sixth, \(reference\): After 2 executions the run began anew\." in shown
    assert why in gate_table(one.rows)
    assert list(as_data(one)["rows"])[-2]["anew"] == why
