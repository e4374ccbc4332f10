"""Counterexample files: a round trip loses nothing, and whatever else is in a file is refused."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import BadInput
from harness.result import Execution, Result
from harness.saved.counterexample import Counterexample, MadeWith, load, save
from harness.scenario import Call, Client, Workload
from harness.verdict import Verdict
from tests.reports.made_up import blocked, explained, hostile, killed

WHOLE = "not a counterexample that can be used"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A sound file."""
    return save(_explained(), tmp_path / "new" / "folder")


def _explained() -> Counterexample:
    return replace(blocked(), explanation=replace(explained("\ud800"), seconds=0.0))


def _with_argument(value: object) -> Counterexample:
    return replace(blocked(), workload=Workload((Client((Call("issue", (value,)),)),)))


# --- saving ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [blocked, killed, hostile, _explained])
def test_what_is_saved_is_loaded(make: Any, tmp_path: Path) -> None:
    """Every field comes back equal, hostile text and lone surrogates too."""
    counterexample = make()
    again = load(save(counterexample, tmp_path))
    assert again == counterexample
    assert again.schedule == counterexample.schedule
    assert again.digests == tuple(step.digest for step in counterexample.steps)


def test_a_file_says_what_a_reader_looks_for(saved: Path) -> None:
    """Names, rule, schedule, counts and versions stand at the top level."""
    content = json.loads(saved.read_text())
    assert content["format"] == "race-harness counterexample"
    assert content["version"] == 1
    assert content["schedule"] == "w0:c0*3 w1:c1*3 w0:c0*2 w1:c1*2 w0:c0/1*3 w1:c1"
    assert (content["preemptions"], content["faults"]) == (2, 0)
    assert content["failure"]["rule"] == "one active token per agent"
    assert content["made_with"] == {
        "harness": "0.1.0",
        "python": "3.11.7",
        "sqlite": "3.40.1",
        "hash_seed": "0",
    }
    assert content["steps"][1]["digest"].startswith("w0:c0 sql SELECT id")


def test_the_name_comes_from_scenario_variant_and_content(tmp_path: Path) -> None:
    """Saving the same one twice gives one file, another one gives another."""
    paths = {save(blocked(), tmp_path), save(blocked(), tmp_path), save(replace(blocked(), seed=1), tmp_path)}
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert len(paths) == 2
    assert all(path.name.startswith("issue-token-t01-check-then-insert-") for path in paths)


def test_a_name_stays_in_its_directory(tmp_path: Path) -> None:
    """Nothing in the scenario's name leads out of the directory or is long."""
    path = save(replace(blocked(), scenario="../../etc/../x y", variant="v" * 500), tmp_path)
    assert path.parent == tmp_path
    assert len(path.name) < 160
    assert path.is_file()


def test_a_result_becomes_a_counterexample() -> None:
    """`Counterexample.of` takes everything from the result, and the versions from this process."""
    found = blocked()
    execution = Execution(found.workload, 0, found.steps, found.history, found.failure)
    result = Result(
        scenario="issue-token",
        variant=found.variant,
        workers=2,
        scheduler="exhaustive",
        seed=0,
        verdict=Verdict.INVALID,
        executions=3,
        complete=False,
        failures=1,
        seconds=0.1,
        startup_seconds=0.1,
        counterexample=execution,
    )
    assert Counterexample.of(replace(result, explanation=explained())) == replace(
        found, made_with=MadeWith.here(), explanation=replace(explained(), seconds=0.0)
    )
    assert Counterexample.of(result) == replace(found, made_with=MadeWith.here())
    with pytest.raises(BadInput, match="no failing execution"):
        Counterexample.of(replace(result, counterexample=None))


@pytest.mark.parametrize("value", [b"bytes", (1, 2), {1: 2}, float("nan"), float("inf"), object(), {"a": {3}}])
def test_what_a_file_cannot_hold_is_not_saved(value: object, tmp_path: Path) -> None:
    """An argument that would come back as something else is refused, and no file is left."""
    with pytest.raises(BadInput, match="plain data only"):
        save(_with_argument(value), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nested_too_deep_is_not_saved(tmp_path: Path) -> None:
    """What could not be loaded again is not saved."""
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(BadInput, match="levels deep"):
        save(_with_argument(deep), tmp_path)


def test_a_directory_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    """The message names the place and the option that changes it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="--output DIR"):
        save(blocked(), tmp_path / "file")


# --- loading --------------------------------------------------------------------------------------


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    """With its name and the system's reason."""
    with pytest.raises(BadInput, match=r"none\.json' can't be read: No such file"):
        load(tmp_path / "none.json")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A directory, a pipe (which nobody writes to) and a path no system has."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("a\0b")):
        with pytest.raises(BadInput):
            load(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission_is_reported(saved: Path) -> None:
    """With the system's reason."""
    saved.chmod(0)
    with pytest.raises(BadInput, match="Permission denied"):
        load(saved)


def test_a_huge_file_is_refused_unread(saved: Path) -> None:
    """Its size is looked at first."""
    os.truncate(saved, 2**33)
    with pytest.raises(BadInput, match="8,589,934,592 bytes"):
        load(saved)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[]", "its content should be an object"),
        (b"NaN", "NaN, which is not a number"),
        (b"1e999", "too large"),
        (b"9" * 5000, "not JSON"),
        (b'{"a": 1, "a": 2}', "a name twice"),
        (b'{"format": "race-harness counterexample"}', "has no 'version'"),
    ],
)
def test_what_is_no_counterexample_is_refused(data: bytes, why: str, tmp_path: Path) -> None:
    """With the reason, and what to do."""
    path = tmp_path / "x.json"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=WHOLE) as caught:
        load(path)
    assert why in str(caught.value)
    assert "To make it anew" in str(caught.value)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["format"], "another"),
        (["version"], 2),
        (["version"], True),
        (["workers"], 0),
        (["workers"], 65),
        (["workers"], 1),
        (["workers"], "2"),
        (["seed"], 1.0),
        (["seed"], 2**63),
        (["scenario"], None),
        (["schedule"], "w0:c0"),
        (["preemptions"], 7),
        (["faults"], None),
        (["failure"], []),
        (["failure", "step"], 14),
        (["steps"], {}),
        (["steps", 0, "digest"], "another"),
        (["steps", 0, "choice"], "w1:c0"),
        (["steps", 0, "choice"], "w0:c0*3"),
        (["steps", 0, "choice"], "wx:c0"),
        (["steps", 0, "waited"], 1),
        (["steps", 0, "now"], "0"),
        (["steps", 0, "accesses"], ["x data"]),
        (["steps", 1, "source", "line"], -1),
        (["history", 0, "kind"], "maybe"),
        (["history", 0, "step"], 99),
        (["workload", 0, 0, "worker"], 2),
        (["workload", 0, 0, "arguments"], "alpha"),
        (["left_open"], [1]),
        (["made_with", "python"], 3.11),
        (["explanation"], {}),
        (["explanation", "windows", 0, "at"], 14),
        (["explanation", "windows", 0, "opens", "number"], -1),
        (["explanation", "windows", 0, "opens", "step", "digest"], "another"),
        (["explanation", "windows", 0, "places", 0, "outcome"], "maybe"),
        (["explanation", "windows", 0, "opening", "passing"], "w0"),
        (["explanation", "windows", 0, "opening", "conflicts"], []),
        (["explanation", "failing"], None),
    ],
)
def test_every_field_is_checked(place: list[Any], value: object, saved: Path) -> None:
    """A field of another type or out of range is named."""
    content = json.loads(saved.read_text())
    part = content
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    saved.write_text(json.dumps(content))
    with pytest.raises(BadInput, match=WHOLE):
        load(saved)


# --- anything at all ------------------------------------------------------------------------------


def _loads_or_refuses(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        found = load(path)
    except BadInput:
        return
    assert isinstance(found, Counterexample)
    assert len(found.digests) == len(found.schedule) == len(found.steps)


# Ten thousand files of both kinds: FUZZ_EXAMPLES=5000 pytest tests/test_counterexample.py
MANY = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "600")),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.slow
@MANY
@given(st.data())
def test_bytes_changed_anywhere_do_no_harm(saved: Path, data: st.DataObject) -> None:
    """A file with bytes changed, removed and added is loaded or refused; nothing else is raised."""
    content = bytearray(SOUND)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        end = start + data.draw(st.integers(0, 8))
        content[start:end] = data.draw(st.binary(max_size=8))
    _loads_or_refuses(saved, bytes(content))


@pytest.mark.slow
@MANY
@given(st.data())
def test_values_changed_anywhere_do_no_harm(saved: Path, data: st.DataObject) -> None:
    """A file with a value somewhere replaced by any other is loaded or refused; nothing else is raised."""
    content = json.loads(SOUND)
    part = content
    while True:
        keys = list(part) if isinstance(part, dict) else list(range(len(part)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(part[key], (dict, list)) or not part[key] or data.draw(st.booleans()):
            break
        part = part[key]
    if data.draw(st.booleans()):
        part[key] = data.draw(JSON)
    else:
        del part[key]
    _loads_or_refuses(saved, json.dumps(content).encode())


@pytest.fixture(scope="module", autouse=True)
def _sound(tmp_path_factory: pytest.TempPathFactory) -> None:
    global SOUND
    SOUND = save(_explained(), tmp_path_factory.mktemp("sound")).read_bytes()


SOUND = b""
