"""The nodes of a cluster find what one process finds, however many they are and whoever of them is killed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness.cli.main import main
from harness.cluster import connecting
from harness.cluster.connecting import connected
from harness.cluster.order import Versions, differing, versions
from harness.control.run import run
from harness.control.sharding.together import Place
from harness.control.tally import Progress
from harness.errors import BadInput, SetupFailed
from harness.project import config
from harness.result import Result
from harness.scenario import Scenario
from harness.verdict import Verdict
from tests.harness import cluster_programs
from tests.harness.cluster_programs import BROKEN, COUNTER, DIES, FAILS, QUIET
from tests.harness.test_controller_killed import in_time, processes
from tests.project.sources import ROOT

# Not imported to be looked for: what a process has imported, each of its forks pays for.
pytestmark = [
    pytest.mark.forks,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("distributed") is None, reason="the package distributed is not there"),
]

STARTING = 30.0


def dask(role: str, *arguments: str, mark: str = "") -> subprocess.Popen[bytes]:
    """Start `dask scheduler` or `dask worker`, as by hand, from the top of this repository."""
    command = [sys.executable, "-W", "ignore", "-m", f"distributed.cli.dask_{role}", *arguments, "--no-dashboard"]
    environment = {**config.child_environment(), "HARNESS_TEST_MARK": mark}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Started(NamedTuple):
    """A cluster: its address, and what all its processes have in their environment."""

    address: str
    mark: str

    def node(self, folder: Path) -> subprocess.Popen[bytes]:
        """Start one more node, of one thread, that nobody watches over."""
        options = ("--nthreads", "1", "--no-nanny", "--local-directory", str(folder))
        return dask("worker", self.address, *options, mark=self.mark)

    def await_nodes(self, number: int) -> None:
        """Return when there are so many."""
        deadline = time.monotonic() + STARTING
        while time.monotonic() < deadline:
            try:
                with connected(self.address) as cluster:
                    if len(cluster.nodes()) == number:
                        return
            except BadInput:
                continue  # It has none yet.
        raise AssertionError(f"there are no {number} nodes")

    def explorers(self) -> list[str]:
        """Return the command lines of the explorers on its nodes."""
        return [line for line in processes(f"HARNESS_TEST_MARK={self.mark}").values() if "outpost" in line]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """A scheduler and two nodes."""
    folder, mark = tmp_path_factory.mktemp("cluster"), str(uuid.uuid4())
    file = folder / "scheduler.json"
    started = [dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file), mark=mark)]
    try:
        deadline = time.monotonic() + STARTING
        while not file.exists() or not file.read_text().endswith("}"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        cluster = Started(json.loads(file.read_text())["address"], mark)
        started += [cluster.node(folder), cluster.node(folder)]
        cluster.await_nodes(2)
        yield cluster
    finally:
        for process in started[::-1]:
            process.kill()
            process.wait()
        assert in_time(lambda: not processes(f"HARNESS_TEST_MARK={mark}"))


def searched(cluster: Started, scenario: Scenario, name: str, **options: Any) -> Result:
    """Explore *scenario*, which nodes find as *name*."""
    return run(scenario, cluster=Place(cluster.address, f"{cluster_programs.__name__}:{name}"), patience=2.0, **options)


def counts(result: Result) -> tuple[object, ...]:
    """Return what must be the same of two results of the same executions."""
    return result.executions, result.steps, result.abandoned, result.happened, result.outcomes, result.verdict


def test_the_tree_is_covered_whoever_walks_it(cluster: Started) -> None:
    """Two nodes have the outcomes of one process, complete; when the run is over no explorer is left on them."""
    one = run(COUNTER, scheduler="exhaustive", outcomes=True, patience=2.0)
    two = searched(cluster, COUNTER, "COUNTER", scheduler="exhaustive", outcomes=True)
    assert (two.complete, two.outcomes, two.jobs) == (True, one.outcomes, 2)
    assert two.executions <= one.executions * 1.5
    assert in_time(lambda: not cluster.explorers())


def test_a_node_killed_in_mid_run_takes_nothing_with_it(cluster: Started, tmp_path: Path) -> None:
    """A third node is killed with SIGKILL when fifty executions are done: the result is that of one process."""
    third = cluster.node(tmp_path)
    killed: list[int] = []

    def kill(progress: Progress) -> None:
        if progress.phase == "exploring" and not killed:
            assert len(cluster.explorers()) >= 3
            third.kill()
            killed.append(progress.executions)

    try:
        cluster.await_nodes(3)
        budget: dict[str, Any] = {"scheduler": "random", "max_executions": 120, "outcomes": True}
        with_loss = searched(cluster, QUIET, "QUIET", progress=kill, **budget)
    finally:
        third.kill()
        third.wait()
    assert (killed, with_loss.jobs, with_loss.reasons) == ([50], 3, ())
    assert counts(with_loss) == counts(run(QUIET, patience=2.0, **budget))


def test_what_is_found_depends_on_the_jobs_not_on_the_nodes(cluster: Started) -> None:
    """The failure is the same with five executions at once on two nodes, twice: confirmed, shrunk, and as with one job."""
    found = [searched(cluster, FAILS, "FAILS", jobs=5, seed=5, explain=False) for _ in range(2)]
    assert counts(found[0]) == counts(found[1])
    assert found[0].verdict is Verdict.INVALID
    assert found[0].counterexample is not None
    assert found[0].counterexample.preemptions == 1


def test_an_explorer_that_dies_again_and_again_is_no_pass(cluster: Started) -> None:
    """Not so the dask worker, which goes on: unknown, with the machine, how it died, and how often."""
    result = searched(cluster, DIES, "DIES")
    assert (result.verdict, result.complete) == (Verdict.UNKNOWN, False)
    assert re.search(
        rf"on {os.uname().nodename} \(process \d+\) was killed by SIGKILL, the last of 3", result.reasons[0]
    )


def test_what_a_node_lacks_is_said(cluster: Started, tmp_path: Path) -> None:
    """Code that is not there, or not the same, and a setup that fails there, each with the node and what to do."""
    at = cluster.address
    with pytest.raises(BadInput, match=r"On the node .*nowhere(.|\n)*no code is sent"):
        run(COUNTER, cluster=Place(at, "nowhere:COUNTER"))
    with pytest.raises(BadInput, match="differ from those where the search was started"):
        run(replace(FAILS, setup=tmp_path.exists), cluster=Place(at, f"{cluster_programs.__name__}:FAILS"))
    with pytest.raises(SetupFailed, match=r"On the node .*(.|\n)*no room"):
        searched(cluster, BROKEN, "BROKEN")


def test_the_rows_of_a_gate_are_carried_out_by_nodes(
    cluster: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What fails is brought back and saved here; known counterexamples go there; code that is not there leaves no answer."""
    monkeypatch.chdir(tmp_path)
    names = [f"{cluster_programs.__name__}:{name}" for name in ("FAILS",)]
    gate = ["gate", *names, "--cluster", cluster.address, "--time", "5", "--json"]
    assert main([*gate, "--output", "found"]) == 1
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["verdict"] == "invalid"
    (file,) = Path("found").iterdir()
    assert str(file) in row["note"]
    assert main([*gate, "--counterexamples", "found", "--output", "found"]) == 1
    known, again = json.loads(capsys.readouterr().out)["rows"]
    assert (known["known"], known["verdict"], again["verdict"]) == (file.name, "invalid", "invalid")
    assert list(Path("found").iterdir()) == [file]
    Path("mine.py").write_text(f"from {cluster_programs.__name__} import COUNTER as MINE\n")
    assert main(["gate", "mine.py:MINE", *gate[2:]]) == 3
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert "There is no file 'mine.py'" in row["note"]
    assert "code must be installed on every node" in row["note"]


def test_a_cluster_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With exit code 2 and what to do: an address where nobody listens, one that is none, and without the package."""
    monkeypatch.setattr(connecting, "_CONNECTING", 0.2)
    for command in (["run", "issue-token"], ["gate", "issue-token"]):
        for address in ("tcp://127.0.0.1:1", "nonsense://x"):
            assert main([*command, "--cluster", address]) == 2
            assert f"no cluster to connect to at '{address}'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["run", "issue-token", "--cluster", "tcp://127.0.0.1:1"]) == 2
    assert "pip install 'race-harness[cluster]'" in capsys.readouterr().err


class FakeClient:
    """What `_inspect` asks, with answers that a real cluster would need other machines for."""

    def __init__(self, **answers: object) -> None:
        self.answers = answers

    def nthreads(self) -> dict[str, int]:
        """Return the nodes, one thread each."""
        return dict.fromkeys(self.answers, 1)

    def run_on_scheduler(self, *_: object) -> Versions:
        """Return what the scheduler says."""
        if isinstance(said := self.answers.get("scheduler"), Exception):
            raise said
        return versions()

    def run(self, *_: object, **__: object) -> dict[str, object]:
        """Return what the nodes say."""
        return self.answers


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({}, "has no nodes. Start some"),
        (
            {"n1": versions(), "n2": ModuleNotFoundError("No module named 'harness'")},
            r"node n2 the harness can't be imp",
        ),
        ({"n1": Exception("ModuleNotFoundError('harness')")}, "On the node n1 the harness can't be imp"),
        ({"scheduler": ModuleNotFoundError("harness")}, "On the scheduler at tcp://there the harness can't be imp"),
        ({"n1": versions()._replace(sqlite="3.1")}, "node n1 is not like this machine: SQLite is 3.1 there"),
        ({"n1": OSError("gone")}, "node n1 can't be asked"),
    ],
)
def test_nodes_that_will_not_do_are_refused(answers: dict[str, object], says: str) -> None:
    """By name, and in which way."""
    with pytest.raises(BadInput, match=says):
        connecting._inspect(FakeClient(**answers), "tcp://there")  # type: ignore[arg-type]


def test_versions_are_compared_one_by_one() -> None:
    """Only those that differ are named."""
    assert (
        differing(Versions("1", "3.11", "3.50"), Versions("1", "3.12", "3.50")) == "Python is 3.12 there and 3.11 here"
    )
    assert differing(versions(), versions()) == ""
