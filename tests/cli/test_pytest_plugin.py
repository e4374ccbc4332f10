"""The pytest plugin: scenarios as tests, the fixture, the options, and failures that show the race and one command."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.inner_pytest import PYTEST

TESTS = """
import sqlite3

import pytest

from harness import Check, Scenario, Workload


def set_up(db):
    with sqlite3.connect(db) as connection:
        connection.execute("CREATE TABLE t (n)")
        connection.execute("INSERT INTO t VALUES (0)")


def lost(db):
    with sqlite3.connect(db) as connection:
        (n,) = connection.execute("SELECT n FROM t").fetchone()
        connection.execute("UPDATE t SET n = ?", (n + 1,))


def kept(db):
    with sqlite3.connect(db) as connection:
        connection.execute("UPDATE t SET n = n + 1")


def counted(db):
    return sqlite3.connect(db).execute("SELECT n FROM t").fetchone()[0]


def both(db):
    assert counted(db) == 2


def racing(name, operation):
    return Scenario(
        name=name,
        setup=set_up,
        operations={"count": operation},
        workload=lambda workers: Workload.each("count", workers=workers),
        at_end=(Check("both count", both),),
    )


def never(history, steps):
    return False


"""
SCENARIOS = f"""{TESTS}
test_kept = racing("kept", kept)
test_lost = racing("lost", lost)
VARIANTS = {{"faulty": racing("both", lost), "right": racing("both", kept)}}
test_variants = Scenario(**{{**vars(racing("both", kept)), "variants": VARIANTS}})
test_unknown = Scenario(**{{**vars(racing("unknown", kept)), "must_happen": (Check("the moon falls", never),)}})
NOT_COLLECTED = racing("not collected", lost)
"""
FIXTURE = f"""{TESTS}
def test_kept(race):
    assert race(setup=set_up, worker=kept, invariant=both).complete


def test_lost(race):
    race(setup=set_up, worker=lost, invariant=both)


@pytest.mark.parametrize("seed", [0, 1])
def test_others(race, seed):
    race(setup=set_up, worker=kept, seed=seed)
"""

pytestmark = [pytest.mark.forks, pytest.mark.slow]


def run(folder: Path, *arguments: str, pytest: Sequence[str] = PYTEST) -> tuple[int, str]:
    """Run pytest there as its user does; return its exit code and what it printed."""
    command = [*pytest, "--color=no", "-rA", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    return done.returncode, done.stdout + done.stderr


def outcomes(said: str) -> dict[str, str]:
    """Return how each test ended."""
    return {name: how for how, name in re.findall(r"^(PASSED|FAILED|ERROR) \S+?::(\S+)", said, re.MULTILINE)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with both kinds of test."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_scenarios.py").write_text(SCENARIOS)
    (tmp_path / "test_fixture.py").write_text(FIXTURE)
    return tmp_path


def test_scenarios_are_tests(folder: Path) -> None:
    """The reference must hold, each variant must be caught, an unknown verdict is no pass; only by their names."""
    code, said = run(folder, "test_scenarios.py")
    assert code == 1
    assert outcomes(said) == {
        "test_kept": "PASSED",
        "test_lost": "FAILED",
        "test_variants": "PASSED",
        "test_variants[faulty]": "PASSED",
        "test_variants[right]": "FAILED",
        "test_unknown": "FAILED",
    }
    assert "the faulty variant 'right' was not caught: no rule broke in any interleaving" in said
    assert "a required event never occurred: the moon falls" in " ".join(said.split())


@pytest.mark.parametrize("name", ["test_scenarios.py::test_lost", "test_fixture.py::test_lost"])
def test_a_failure_shows_the_race_and_the_command(name: str, folder: Path) -> None:
    """The transcript, pytest's own words about the assertion, and no frame of ours; the command fails likewise."""
    code, said = run(folder, name)
    assert code == 1
    assert "fell between worker 0's SELECT" in said
    assert re.search(r"assert 1 == 2\n[E ]+\+ +where 1 = counted\(PosixPath\('db.sqlite'\)\)", said)
    assert "harness/control" not in said
    (line,) = {
        line.removeprefix("E").strip()
        for line in said.splitlines()
        if line.removeprefix("E").strip().startswith("pytest ")
    }
    code, again = run(folder, *shlex.split(line)[1:])
    assert code == 1
    assert "BROKEN HERE" in again
    assert line in again


def test_a_recording_is_replayed_in_its_test_alone(folder: Path) -> None:
    """Other scenarios are left out; once the code is right, the test passes, or says that the recording can't be followed."""
    run(folder, "test_scenarios.py::test_lost", "--harness-report", "found")
    (recorded,) = (folder / "found").glob("*.json")
    assert (folder / "found" / f"{recorded.stem}.html").is_file()
    code, said = run(folder, "test_scenarios.py", "--harness-replay", str(recorded))
    assert code == 1
    assert outcomes(said) == {"test_lost": "FAILED"}
    (folder / "test_scenarios.py").write_text(SCENARIOS.replace('racing("lost", lost)', 'racing("lost", kept)'))
    code, said = run(folder, "test_scenarios.py", "--harness-replay", str(recorded))
    assert code == 1
    assert "The recording can't be followed" in said
    code, said = run(folder, "--harness-replay", "pytest.ini")
    assert code == 4
    assert "is not a counterexample that can be used" in said


def test_the_fixture_obeys_the_command_line(folder: Path) -> None:
    """The budget and the seed, which a test may overrule."""
    (folder / "test_fixture.py").write_text(
        f"{TESTS}\n\ndef test_budget(race):\n"
        "    result = race(setup=set_up, worker=kept, scheduler='random')\n"
        "    assert (result.executions, result.seed) == (7, 3)\n"
        "    assert race(setup=set_up, worker=kept, scheduler='random', seed=5, max_executions=2).seed == 5\n"
    )
    code, said = run(folder, "test_fixture.py", "--harness-max-executions", "7", "--harness-seed", "3")
    assert code == 0, said
    code, said = run(folder, "test_scenarios.py::test_kept", "--harness-max-executions", "0")
    assert code == 1
    assert "budget of 0 executions allows none" in said


def test_it_works_with_what_people_use(folder: Path) -> None:
    """Several processes, with all plugins but the one that takes longest; ``-k``, ``-x``, and only what failed last."""
    code, said = run(folder, "-n", "2", pytest=[sys.executable, "-m", "pytest", "-p", "no:schemathesis"])
    assert code == 1
    assert sorted(name for name, how in outcomes(said).items() if how == "FAILED") == [
        "test_lost", "test_unknown", "test_variants[right]",
    ]  # fmt: skip
    assert set(outcomes(run(folder, "-k", "kept")[1])) == {"test_kept"}
    code, said = run(folder, "--lf", "-x", "test_scenarios.py")
    assert outcomes(said) == {"test_lost": "FAILED"}


def test_a_scenario_among_parameters_is_called_by_its_name(folder: Path) -> None:
    """A variant by both."""
    (folder / "test_parameters.py").write_text(
        f"{TESTS}\nVARIANT = Scenario(**{{**vars(racing('both', lost)), 'variant': 'faulty'}})\n\n\n"
        "@pytest.mark.parametrize('scenario', [racing('kept', kept), VARIANT])\n"
        "def test_any(scenario):\n    pass\n"
    )
    code, said = run(folder, "test_parameters.py", "--collect-only", "-q")
    assert code == 0
    assert re.findall(r"::(test_any\S+)", said) == ["test_any[kept]", "test_any[both-faulty]"]


def test_it_imports_nothing_heavy(folder: Path) -> None:
    """A run without races has imported neither the engine nor Hypothesis on account of the plugin."""
    (folder / "test_plain.py").write_text(
        "import json, sys\n\n\ndef test_plain():\n"
        "    print(json.dumps([name for name in sys.modules if name.startswith('harness.')]))\n"
    )
    code, said = run(folder, "-s", "test_plain.py")
    assert code == 0
    (line,) = [line for line in said.splitlines() if "harness.pytest_plugin" in line]
    found = json.loads(line[line.index("[") : line.rindex("]") + 1])
    assert not [
        name
        for name in found
        if name.startswith(("harness.control", "harness.worker", "harness.schedulers.tree.exhaustive"))
    ]
