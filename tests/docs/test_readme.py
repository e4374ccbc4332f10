"""The examples of the README, and of the pages that go on from it, do what the text says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.inner_pytest import PYTEST, WITH_HYPOTHESIS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
HOW_TO = ROOT / "docs" / "how-to"
PAGES = "\n".join([README, *((HOW_TO / f"{name}.md").read_text() for name in ("write", "pytest", "read"))])
HARNESS = (sys.executable, "-m", "harness")


def example(name: str) -> str:
    """Return the Python example that one of the pages marks with *name*."""
    found = re.search(rf"<!-- example: {name} -->\n```python\n(.*?)```", PAGES, re.DOTALL)
    assert found, f"no page has an example {name!r}"
    return found.group(1)


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run *command* in *cwd*."""
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def as_shown(text: str) -> list[str]:
    """Return the lines of the transcript in *text*, without what pytest puts before them."""
    lines = [re.sub(r"^(E {3}|    )", "", line).strip() for line in text.splitlines()]
    begin = lines.index("increment: 2 workers")
    end = next(n for n, line in enumerate(lines) if n > begin and line.startswith("*** BROKEN HERE"))
    return lines[begin : end + 1]


def explanation(text: str) -> list[str]:
    """Return the lines of the explanation in *text*."""
    lines = [line.strip() for line in text.splitlines()]
    begin = next(n for n, line in enumerate(lines) if line.startswith("Why:"))
    return lines[begin : lines.index("", begin)]


@pytest.mark.forks
def test_the_sixty_second_example_finds_the_lost_update(tmp_path: Path) -> None:
    """The example, typed in, fails with the transcript that the README shows, step for step."""
    (tmp_path / "test_counter.py").write_text(example("sixty"))
    ran = run(*PYTEST, "-q", "test_counter.py", cwd=tmp_path)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert as_shown(ran.stdout) == as_shown(README.partition("`pytest` on this file fails")[2])


@pytest.mark.forks
def test_with_begin_immediate_the_example_passes(tmp_path: Path) -> None:
    """The correction that the README names makes the example valid after the executions it says."""
    code = example("sixty").replace("        (n,) =", '        connection.execute("BEGIN IMMEDIATE")\n        (n,) =')
    code = (
        code.replace("    harness.race(", "    result = harness.race(")
        + "    assert (result.executions, result.complete) == (4, True)\n"
    )
    (tmp_path / "test_counter.py").write_text(code)
    ran = run(*PYTEST, "-q", "test_counter.py", cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.forks
def test_the_async_file_and_http_versions_find_it_too(tmp_path: Path) -> None:
    """Each, typed in as it stands, fails at the rule it breaks; one pytest runs all three."""
    (tmp_path / "test_counter.py").write_text(example("sixty"))
    names = ("async", "file", "asgi")
    for name in names:
        (tmp_path / f"test_{name}.py").write_text(example(name))
    files = [f"test_{name}.py" for name in names]
    ran = run(*PYTEST, "-q", "-rf", *files, cwd=tmp_path)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    shown = ran.stdout.partition("short test summary")[0]
    assert len(re.findall(r"\*\*\* BROKEN HERE: at end 'both.count'", shown)) == 3, ran.stdout
    assert {name for name in names if f"FAILED test_{name}.py::test_{name}" in ran.stdout} == set(names), ran.stdout


@pytest.mark.forks
@pytest.mark.slow
def test_the_hypothesis_example_fails_with_a_literal_that_fails_too(tmp_path: Path) -> None:
    """The example, typed in, shows one race and the literal of the page; pasted above ``@given`` it fails first."""
    (tmp_path / "test_counter.py").write_text(example("sixty").partition("def test_counter")[0])
    code = example("hypothesis")
    (tmp_path / "test_given.py").write_text(code)
    # In this profile the same is drawn each time, and being slow, as a busy machine is, is no failure.
    pytest_of = (*WITH_HYPOTHESIS, "-q", "--hypothesis-profile=ci")
    ran = run(*pytest_of, "test_given.py", cwd=tmp_path)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    # On CI pytest's summary is not shortened, and has it all again.
    shown = ran.stdout.partition("short test summary")[0]
    assert shown.count("*** BROKEN HERE: at end 'both count'") == 1
    assert re.search(r"interleaving=Interleaving\.of\('w\d:c\d(\*\d)? w\d:c\d'\),", ran.stdout), ran.stdout
    literal = PAGES.partition("    @example(")[2].partition(")\n")[0]
    pasted = code.replace("@given(inter", f"@example({literal})\n@given(inter").replace(
        "import given", "import example, given"
    )
    pasted = pasted.replace("import interleavings", "import Interleaving, interleavings")
    (tmp_path / "test_given.py").write_text(pasted)
    again = run(*pytest_of, "test_given.py", cwd=tmp_path)
    assert "Failing explicit example" in again.stdout or "Falsifying explicit example" in again.stdout, again.stdout
    assert again.returncode == 1


@pytest.mark.forks
def test_the_race_it_found_is_found_and_replays(tmp_path: Path) -> None:
    """The commands of the page on reading a failure do what it says: found, in that execution, explained, and replayed."""
    found = run(
        *HARNESS, "run", "rotate-token", "--variant", "t11-read-after-commit", "--output", str(tmp_path), cwd=ROOT
    )
    assert found.returncode == 1, found.stdout + found.stderr
    assert "first in number 6" in " ".join(found.stdout.split())
    assert explanation(found.stdout) == explanation((HOW_TO / "read.md").read_text())
    (file,) = tmp_path.glob("rotate-token-t11-read-after-commit-*.json")
    replayed = run(*HARNESS, "replay", str(file), "--times", "100", cwd=ROOT)
    assert replayed.returncode == 1, replayed.stdout + replayed.stderr


def test_the_readme_is_short() -> None:
    """It is read in a few minutes; what it leaves out has a page."""
    assert README.count("\n") <= 150


def test_every_command_shown_exists() -> None:
    """Each `harness COMMAND` of the table answers to --help with the options the table shows."""
    rows = re.findall(r"^\| `harness (\w+)([^`]*)` \|", README, re.MULTILINE)
    assert {command for command, _ in rows} == {"compare", "gate", "list", "replay", "report", "run", "stress"}
    for command, rest in rows:
        shown = run(*HARNESS, command, "--help", cwd=ROOT).stdout
        missing = [option for option in re.findall(r"--[\w-]+", rest) if option not in shown]
        assert not missing, f"harness {command} has no {missing}"
