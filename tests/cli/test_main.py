"""The command line with made-up results: exit codes, what is printed where, and how bad usage is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.cli.main import main, parser
from harness.control import run
from harness.control.options import RunOptions
from harness.control.repeating.replays import Replayed
from harness.control.strategy_names import SCHEDULERS
from harness.errors import Diverged, SetupFailed
from harness.result import Execution, Result
from harness.saved.counterexample import MadeWith, load, save
from harness.scenario import Scenario, Workload
from harness.verdict import Verdict
from tests.reports.made_up import blocked
from tests.reports.test_explanation import explained

FOUND = blocked()
EXECUTION = Execution(FOUND.workload, 0, FOUND.steps, FOUND.history, FOUND.failure)
REQUIRED = {
    "scenario",
    "variant",
    "workers",
    "scheduler",
    "verdict",
    "executions",
    "complete",
    "failures",
    "seconds",
    "startup_seconds",
    "counterexample",
    "coverage",
}


def _scenario(**more: Any) -> Scenario:
    return Scenario(
        name="issue-token",
        setup=print,
        operations={"issue": print},
        workload=lambda n: Workload.each("issue", workers=n),
        **more,
    )


SCENARIO = _scenario(
    story="Two clients ask at once.\n\nThe rest.",
    variants={"t01-check-then-insert": _scenario(variant="t01-check-then-insert")},
)


def _result(**more: Any) -> Result:
    values: dict[str, Any] = {
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
    }
    return Result(**{**values, **more})


VALID = _result()
INVALID = _result(
    variant="t01-check-then-insert",
    verdict=Verdict.INVALID,
    complete=False,
    failures=1,
    first_failure=3,
    counterexample=EXECUTION,
)
UNKNOWN = _result(verdict=Verdict.UNKNOWN, complete=False, reasons=("it never overlapped",))


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One scenario is installed, and commands run in an empty folder."""
    known = {"issue-token": registry.Named("issue-token", SCENARIO, "a distribution", installed=True)}
    monkeypatch.setattr(registry, "named", lambda settings=None: known)
    monkeypatch.setattr("harness.cli.listing.named", lambda settings=None: known)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Have `run` return `asked["result"]` or raise it; what it was asked for is noted beside."""
    asked: dict[str, Any] = {"result": VALID}

    def explore(scenario: Scenario, options: RunOptions, progress: object) -> Result:
        asked.update({field.name: getattr(options, field.name) for field in fields(options)})
        asked.update(scenario=options.over(scenario), progress=progress)
        if isinstance(asked["result"], BaseException):
            raise asked["result"]
        found: Result = asked["result"]
        return found

    monkeypatch.setattr(run, "carry_out", explore)
    return asked


# --- run ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("result", "code"), [(VALID, 0), (INVALID, 1), (UNKNOWN, 3)])
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_the_exit_code_is_the_verdict(
    result: Result, code: int, more: list[str], asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """0 valid, 1 invalid, 3 unknown; nothing is said on standard error."""
    asked["result"] = result
    assert main(["run", "issue-token", *more]) == code
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("result", [VALID, INVALID, UNKNOWN])
def test_json_is_one_object_with_all_that_is_promised(
    result: Result, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Every field is there; `counterexample` is the path of a file that loads, or null."""
    asked["result"] = result
    main(["run", "issue-token", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said.keys() >= REQUIRED
    assert (said["verdict"], said["executions"]) == (str(result.verdict), 4)
    assert {"interleavings", "only", "unreached", "since_new", "seen", "residual"} <= said["coverage"].keys()
    if result is INVALID:
        assert load(Path(said["counterexample"])).failure == FOUND.failure
        assert Path(said["counterexample"]).parent == Path("counterexamples")
    else:
        assert said["counterexample"] is None
        assert not Path("counterexamples").exists()


def test_a_failure_is_shown_with_the_command_that_replays_it(
    asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The transcript, plain where standard output is no terminal, and the command last."""
    asked["result"] = INVALID
    main(["run", "issue-token", "--variant", "t01-check-then-insert", "--output", "a folder"])
    out = capsys.readouterr().out
    assert "*** BROKEN HERE: invariant 'one active token per agent'" in out
    assert "\x1b" not in out
    (saved,) = Path("a folder").iterdir()
    assert out.endswith(f"To replay it:\n  harness replay 'a folder/{saved.name}'\n")


def test_a_failure_of_ones_own_is_replayed_from_where_it_is(
    asked: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command says where the scenario is, since it is not installed."""
    asked["result"] = INVALID
    monkeypatch.setattr(registry, "find", lambda *_: SCENARIO)
    main(["run", "races.py:MINE"])
    assert capsys.readouterr().out.endswith(".json --scenario races.py:MINE\n")


def test_what_cannot_be_saved_is_shown_all_the_same(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """The finding is not lost; the exit code says that something is wrong with the input."""
    asked["result"] = INVALID
    Path("file").write_text("")
    assert main(["run", "issue-token", "--output", "file"]) == 2
    shown = capsys.readouterr()
    assert "BROKEN HERE" in shown.out
    assert "can't be saved" in shown.err


def test_why_it_fails_is_shown_and_in_the_json(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """As sentences and as data; where there is no explanation, the reason."""
    asked["result"] = replace(INVALID, explanation=explained())
    main(["run", "issue-token", "--no-save"])
    assert "Why: Worker 1's INSERT (tokens.py:95) fell between" in capsys.readouterr().out
    main(["run", "issue-token", "--no-save", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["explanation"]["windows"][0]["opens"]["source"] == "tokens.py:88"
    assert said["unexplained"] is None
    asked["result"] = replace(INVALID, unexplained="a worker is gone")
    main(["run", "issue-token", "--no-save", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (said["explanation"], said["unexplained"]) == (None, "a worker is gone")


@pytest.mark.parametrize("more", [[], ["--no-explain"]])
def test_explaining_can_be_left_out(more: list[str], asked: dict[str, Any]) -> None:
    """As the gate does for its variants."""
    main(["run", "issue-token", "--no-save", *more])
    assert asked["explain"] is not bool(more)


def test_no_save_saves_nothing(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """And promises no file."""
    asked["result"] = INVALID
    assert main(["run", "issue-token", "--no-save", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["counterexample"] is None
    assert list(Path().iterdir()) == []


def test_the_options_reach_the_engine(asked: dict[str, Any]) -> None:
    """Each under its name."""
    budget = "--max-executions 7 --time 2.5 --stop-after 9"
    main(f"run issue-token --workers 3 --scheduler random {budget} --seed -4 --jobs 2 --isolation fork".split())
    assert asked["scenario"] == replace(SCENARIO, isolation="fork")
    options = {"workers": 3, "scheduler": "random", "max_executions": 7, "seconds": 2.5, "seed": -4, "stop_after": 9}
    options |= {"jobs": 2, "cluster": None}
    assert asked.items() >= {**options, "isolation": "fork"}.items()
    main(["run", "issue-token", "--scheduler", "hypothesis", "--database", "d"])
    assert (asked["scheduler"], asked["examples"]) == ("hypothesis", "d")


@pytest.mark.parametrize(
    "options",
    [
        *(f"--workers={text}" for text in ("0", "-1", "65", "2.0", "two", "", "1_0", "\u0662", "9" * 5000)),
        *(f"--max-executions={text}" for text in ("0", "-1", "1e3", "nan", "inf", "9" * 99)),
        *(f"--time={text}" for text in ("0", "-1", "nan", "inf", "-inf", "1e999", "0x1", "", ".", "1_0", "e5")),
        *(f"--seed={text}" for text in ("x", "1.5", "", "9" * 5000)),
        "--stop-after=0",
        *(f"--jobs={text}" for text in ("0", "-1", "65", "two", "")),
        "--isolation=thread",
        "--scheduler=exhaust",
        "--variant=t01",
        "--work=2",
        "--nonsense",
    ],
)
def test_nonsense_is_refused(options: str, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 2, an explanation on standard error and nothing on standard output."""
    assert main(["run", "issue-token", options]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err) < 2000 or "9" * 99 in shown.err
    assert "scenario" not in asked


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["run"], ["run", "a", "b"], ["replay"], ["gate", "--jobs", "0"]])
def test_bad_usage_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 2 and the usage on standard error."""
    assert main(argv) == 2
    assert capsys.readouterr().err.startswith("usage: harness")


def test_the_schedulers_in_the_help_are_those_there_are() -> None:
    """The help names them without loading the engine; this holds it to them."""
    commands = parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    text = next(a.help for a in commands["run"]._actions if a.dest == "scheduler")  # type: ignore[call-overload, index]
    assert [name for name in SCHEDULERS if name not in text] == []


# --- what goes wrong ------------------------------------------------------------------------------


def test_an_error_on_purpose_is_a_message(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """What the engine raises on purpose is said without a traceback, with exit code 2."""
    asked["result"] = SetupFailed("The scenario's setup failed")
    assert main(["run", "issue-token"]) == 2
    assert capsys.readouterr().err == "harness: The scenario's setup failed\n"


@pytest.mark.parametrize("error", [RuntimeError("oops"), SystemExit(0)])
def test_a_bug_is_called_one(error: BaseException, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else has an exit code that is no verdict; the traceback comes with --debug only."""
    asked["result"] = error
    assert main(["run", "issue-token"]) == 70
    shown = capsys.readouterr().err
    assert "this is a bug in the harness" in shown
    assert "Traceback" not in shown
    assert main(["run", "issue-token", "--debug"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_concludes_nothing(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 130, and what was done so far."""
    asked["result"] = KeyboardInterrupt()
    assert main(["run", "issue-token"]) == 130
    assert "interrupted" in capsys.readouterr().err


# --- list -----------------------------------------------------------------------------------------


def test_list_shows_names_stories_and_variants(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a story, the first paragraph."""
    assert main(["list"]) == 0
    assert capsys.readouterr().out == (
        "issue-token (2 workers)\n  Two clients ask at once.\n  --variant t01-check-then-insert\n"
    )


def test_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Exactly what is promised."""
    assert main(["list", "--json"]) == 0
    expected = [{"scenario": "issue-token", "variants": ["t01-check-then-insert"], "workers": 2, "installed": True}]
    assert json.loads(capsys.readouterr().out) == expected


# --- replay ---------------------------------------------------------------------------------------

DIVERGED = str(Diverged(3, "w0:c0 sql SELECT 1", "w0:c0 sql SELECT 2"))
AGAIN = Replayed(1, 1, Verdict.INVALID, "", EXECUTION, 0.1, 0.1)
FIXED = Replayed(1, 0, Verdict.VALID, "", EXECUTION, 0.1, 0.1)
DEPARTED = Replayed(1, 0, Verdict.UNKNOWN, DIVERGED, None, 0.1, 0.1)


@pytest.mark.parametrize(
    ("replayed", "code", "words"),
    [
        (AGAIN, 1, "fails again. 1 of 1 replay failed as recorded"),
        (FIXED, 0, "no longer fails."),
        (DEPARTED, 3, "The replay departs from the recording at step 3."),
    ],
)
def test_replay(
    replayed: Replayed,
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """1 when it fails again, 0 when it no longer does, 3 when it departs, which says where."""
    monkeypatch.setattr("harness.cli.replay.command.replay", lambda *_, **__: replayed)
    path = save(FOUND, Path())
    assert main(["replay", str(path)]) == code
    assert words in " ".join(capsys.readouterr().out.split())
    assert main(["replay", str(path), "--json"]) == code
    said = json.loads(capsys.readouterr().out)
    assert (said["verdict"], said["failed_again"]) == (str(replayed.verdict), replayed.failed_again)


def test_a_departed_replay_says_what_differs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Versions and the hash seed are compared with those of the recording."""
    monkeypatch.setattr("harness.cli.replay.command.replay", lambda *_, **__: DEPARTED)
    here = replace(FOUND.made_with, sqlite="not that")
    monkeypatch.setattr(MadeWith, "here", lambda: here)
    main(["replay", str(save(FOUND, Path()))])
    assert "  sqlite: recorded with 3.40.1, now not that" in capsys.readouterr().out


def test_a_file_decides_nothing_that_is_imported(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scenario name that looks like a module or a file is looked up, never imported."""
    monkeypatch.setattr(registry, "_one", lambda *_: pytest.fail("it was imported"))
    path = save(replace(FOUND, scenario="evil.py:MINE"), Path())
    assert main(["replay", str(path)]) == 2
    assert "--scenario path/to/file.py:ATTRIBUTE" in capsys.readouterr().err


def test_another_scenario_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A counterexample is replayed with the scenario it was found with."""
    others = {name: replace(variant, name="other") for name, variant in SCENARIO.variants.items()}
    monkeypatch.setattr(registry, "_one", lambda _: replace(SCENARIO, name="other", variants=others))
    assert main(["replay", str(save(FOUND, Path())), "--scenario", "a:B"]) == 2
    assert "'other'" in capsys.readouterr().err


def test_a_corrupt_file_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 2."""
    Path("x.json").write_text("{")
    assert main(["replay", "x.json"]) == 2
    assert "not a counterexample" in capsys.readouterr().err


# --- the process ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_line_loads_no_engine() -> None:
    """`--help` and bad usage are quick: nothing heavy is loaded before a command needs it."""
    heavy = ("hypothesis", "multiprocess", "sqlite3", "harness.control.run")
    code = f"import sys, harness.cli.main\nprint([name for name in {heavy} if name in sys.modules])"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout == "[]\n"
