"""``harness report``: what it writes and where, and how it refuses what it can't use."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.cli import reporting
from harness.cli.main import main
from harness.control import run
from harness.control.repeating.recording import Recorded
from harness.errors import Unsupported
from harness.result import Execution, Result
from harness.saved.counterexample import Counterexample, save
from harness.scenario import Scenario, Workload
from harness.values.tables import Changed, Row, TablesAt
from harness.verdict import Verdict
from scenarios import ALL
from tests.reports.made_up import blocked, killed

TABLES = (TablesAt(7, (Changed("db.sqlite", "tokens", ("id",), (), (Row(("1c02",), lone=True),), 0, 1),)),)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One scenario is installed, a replay gives tables, and commands run in an empty folder."""
    scenario = Scenario(
        name="issue-token",
        setup=print,
        operations={"issue": print},
        workload=lambda n: Workload.each("issue", workers=n),
    )
    scenario = replace(scenario, variants={"t01-check-then-insert": replace(scenario, variant="t01-check-then-insert")})
    monkeypatch.setattr(registry, "scenarios", lambda: {"issue-token": scenario})
    monkeypatch.setattr(reporting, "record_tables", lambda *_: Recorded(TABLES))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def saved() -> list[str]:
    """The paths of two counterexamples."""
    return [str(save(made, Path("found"))) for made in (blocked(), killed())]


def test_one_file_holds_all_and_a_folder_has_one_of_each(saved: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Both formats at once; what was written is said."""
    assert main(["report", *saved, "--html", "out/all.html", "--perfetto", "traces/"]) == 0
    out = Path("out/all.html").read_text()
    assert '"title":"issue-token, variant t01-check-then-insert: 2 workers"' in out
    assert '"title":"issue-token: 2 workers"' in out
    traces = sorted(Path("traces").iterdir())
    assert [trace.name for trace in traces] == sorted(Path(f"{Path(file).stem}.perfetto.json").name for file in saved)
    assert all(json.loads(trace.read_text())["traceEvents"] for trace in traces)
    assert "out/all.html: 2 counterexamples\n" in capsys.readouterr().out


def test_standard_output_has_the_document_and_nothing_else(
    saved: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """With a dash the trace can be piped, beside a page in a file."""
    assert main(["report", saved[0], "--perfetto", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["displayTimeUnit"] == "ms"
    assert main(["report", saved[0], "--json", "--html", "page.html"]) == 0
    shown = capsys.readouterr()
    (report,) = json.loads(shown.out)
    assert (report["counterexample"], report["command"]) == (saved[0], f"harness replay {saved[0]}")
    assert report["tables"][0]["tables"][0]["table"] == "tokens"
    assert "page.html: 1 counterexample" in shown.err


def test_a_file_of_an_unknown_scenario_still_gives_a_page(
    saved: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without tables, and with the reason why there are none."""
    monkeypatch.setattr(registry, "scenarios", dict)
    assert main(["report", saved[0], "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report["tables"] == []
    assert "is of the scenario 'issue-token', which is not known here." in report["no_tables"]


def test_tables_can_be_left_out(
    saved: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then nothing is replayed."""

    def never(*_: object) -> Recorded:
        raise Unsupported("replayed")

    monkeypatch.setattr(reporting, "record_tables", never)
    assert main(["report", saved[0], "--json", "--no-tables"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["no_tables"] == "They were not asked for (--no-tables)."


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give --html OUT or --markdown OUT or"),
        (["--html", "-", "--perfetto", "-"], "Only one document can go to standard output"),
        (["--html", "-", "--json"], "Only one document can go to standard output"),
        (["--html", "found/x/../../blocker/page.html"], "can't be written"),
        (["--html", "p.html", "--scenario", "no-such"], "no-such"),
    ],
)
def test_bad_usage_is_refused(
    arguments: list[str], says: str, saved: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and what is wrong is said."""
    Path("blocker").write_text("")
    assert main(["report", saved[0], *arguments]) == 2
    shown = capsys.readouterr()
    assert says in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("content", ["", "{}", "[1, 2", '{"format": "race-harness counterexample", "version": 9}'])
def test_what_is_no_counterexample_is_refused_before_anything_is_written(
    content: str, saved: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Even where another file is sound."""
    Path("broken.json").write_text(content)
    assert main(["report", saved[0], "broken.json", "--html", "page.html"]) == 2
    assert "'broken.json' is not a counterexample" in capsys.readouterr().err
    assert not Path("page.html").exists()


def test_two_files_of_one_name_do_not_overwrite_each_other(
    saved: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """In one folder there is room for one of them, so none is written."""
    again = save(blocked(), Path("elsewhere"))
    assert main(["report", saved[0], str(again), "--html", "out/"]) == 2
    assert "same name" in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_run_writes_the_page_of_what_it_finds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the command that replays the saved counterexample."""
    made = blocked()
    execution = Execution(made.workload, 0, made.steps, made.history, made.failure)
    result = Result("issue-token", "", Verdict.INVALID, 4, False, 1, 0.1, workers=2, counterexample=execution)
    monkeypatch.setattr(run, "carry_out", lambda *_, **__: result)
    assert main(["run", "issue-token", "--html", "page.html"]) == 1
    (file,) = Path("counterexamples").iterdir()
    assert f'"command":"harness replay {file}"' in Path("page.html").read_text()


def test_the_answer_of_the_linearizability_check_is_in_the_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The check is run on the history of the file; what it can't make sense of is left out."""
    known = {scenario.name: scenario for scenario in ALL}
    monkeypatch.setattr(registry, "scenarios", lambda: known)
    rule = next(check for check in known["tokens-linearizable"].postconditions if check.answer is not None)
    made = blocked()
    failure = replace(made.failure, kind="postcondition", rule=rule.name)
    found = replace(made, scenario="tokens-linearizable", variant="", failure=failure)
    orders = _orders(found, capsys)
    assert [call["text"] for call in orders["calls"]] == [
        "c0 issue('alpha') -> '1c02b9da66b1e3ee'",
        "c1 issue('alpha') -> '244ca48da4ca40de'",
    ]
    events = tuple(each._replace(value={"no": "id"}) for each in made.history)
    assert _orders(replace(found, history=replace(made.history, events=events)), capsys) is None


def _orders(found: Counterexample, capsys: pytest.CaptureFixture[str]) -> Any:
    assert main(["report", str(save(found, Path("found"))), "--json"]) == 0
    return json.loads(capsys.readouterr().out)[0]["orders"]
