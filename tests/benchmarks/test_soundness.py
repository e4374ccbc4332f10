"""`benchmarks/soundness`: a sample of random programs shows nothing, and a mistake of the harness shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.soundness import record
from benchmarks.soundness.__main__ import FOUND, programs
from benchmarks.soundness.draw import FAMILIES, draw
from benchmarks.soundness.judging import Budget, Judged, judged
from benchmarks.soundness.pairs import OF_FILES, OF_SQL, OF_TASKS, OF_THREADS, pairs
from benchmarks.soundness.program import Block, Program, Statement, module_of, source_of
from benchmarks.soundness.shrinking import shrunk
from harness.worker.instrument.files import objects
from harness.worker.instrument.sqlite import connections

SMALL = Budget(most=400, brute=400, wild=40, seconds=60.0)
INCREMENT = (
    "c = sqlite3.connect(db, isolation_level=None)",
    'x = c.execute("SELECT n FROM t").fetchone()[0]',
    'c.execute("UPDATE t SET n = ?", (x + 1,)).rowcount',
    "c.close()",
)
LOST_UPDATE = Program(
    seed=1,
    family="sql",
    setup=('c.execute("CREATE TABLE t (n)")', 'c.execute("INSERT INTO t VALUES (0)")', '(d / "unused").touch()'),
    workers=(INCREMENT, ("1 + 1", *INCREMENT)),
)
APPEND = ('x = (d / "f").read_text()', '(d / "f").write_text(x + "a")')
LOST_TEXT = Program(seed=2, family="files", setup=('(d / "f").write_text("")',), workers=(APPEND, APPEND))


def wild_judged(program: Program, wild: int = 40) -> Judged:
    """Judge *program*; its search must be complete, and something must have been run for real."""
    found = judged(program, replace(SMALL, wild=wild))
    assert not found.incomplete, found.incomplete
    assert found.runs == wild
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_a_program_is_data_and_source(family: str) -> None:
    """Each program is the same after JSON, its source is Python, and a smaller one has fewer statements."""
    for seed in range(200):
        program = draw(seed, (family,))
        assert Program.from_json(program.to_json()) == program
        assert draw(seed, (family,)) == program, "a seed makes one program"
        compile(source_of(program), "program", "exec")
        assert all(smaller.size < program.size for smaller in program.smaller())


def test_programs_found_earlier_come_first() -> None:
    """Those kept in the folder, then as many random ones as were asked for."""
    names = [name for name, _ in programs(3, 7, ())]
    assert names[-3:] == ["7", "8", "9"]
    assert len(names) > 3


@pytest.mark.forks
@pytest.mark.slow
@pytest.mark.parametrize("program", [LOST_UPDATE, LOST_TEXT], ids=["sql", "files"])
def test_what_happens_for_real_is_what_the_search_finds(program: Program) -> None:
    """A race shows in several outcomes, the searches agree on them, and real runs see some and no others."""
    found = wild_judged(program)
    assert not found.wrong, (found.differences, found.outside)
    assert found.compared == "with states, brute force"
    assert found.outcomes > 1
    assert 1 <= found.seen <= found.outcomes


@pytest.mark.forks
@pytest.mark.slow
@pytest.mark.parametrize("family", [name for name, (_, parts) in FAMILIES.items() if parts])
def test_the_first_program_of_each_family_shows_nothing(family: str) -> None:
    """Neither do the searches differ, nor was anything seen for real that they did not find."""
    found = judged(draw(1, (family,)), Budget(most=400, brute=100, wild=20, seconds=60.0))
    assert not found.wrong, (found.differences, found.outside)
    assert found.runs == 20 or found.incomplete


@pytest.mark.forks
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(file.stem for file in FOUND.glob("*.json")))
def test_what_was_found_once_shows_nothing_now(name: str) -> None:
    """Each program that showed a mistake of the harness is searched to its end, and agrees with what happens for real."""
    found = wild_judged(Program.from_json((FOUND / f"{name}.json").read_text()))
    assert not found.wrong, (found.differences, found.outside)


@pytest.mark.forks
@pytest.mark.slow
def test_an_access_that_is_not_told_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where statements tell of no access, the reduced search leaves out what brute force finds."""
    monkeypatch.setattr(connections, "accesses", lambda *_: [])
    assert wild_judged(LOST_UPDATE).differences


@pytest.mark.forks
@pytest.mark.slow
def test_a_point_that_is_missing_is_seen_for_real(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no search can come between reading and writing, only real runs show what comes of it."""

    def at_once(self: Any, text: str, mode: str, run: Any) -> Any:
        return run()

    monkeypatch.setattr(objects.Raw, "_do", at_once)
    monkeypatch.setattr(objects.Files, "open", lambda self, text, path, creates, truncates, run: run())
    found = wild_judged(LOST_TEXT, wild=400)
    assert any('["f", "a"]' in outcome for outcome in found.outside), "the lost text"
    assert not any('["f", "a"]' in outcome for outcome in found.differences), "which no search finds"


def test_a_difference_is_made_small() -> None:
    """What it does not need is left out, in blocks and in threads too, and no more."""
    inner: tuple[Statement, ...] = ("1", Block("threads", "", (("2", "'needed'"), ("3",))))
    program = replace(LOST_UPDATE, workers=(("4", Block("with", "c", (inner,)), "5"), ("6",)), kills=1)
    smallest = shrunk(program, lambda smaller: "needed" in source_of(smaller))
    assert smallest.workers == (("'needed'",),)
    assert (smallest.setup, smallest.kills) == ((), 0)


def test_results_are_kept_and_summed(tmp_path: Any) -> None:
    """A cut run finds what was judged before; what was judged with another budget does not count."""
    file = tmp_path / "results.jsonl"
    first = record.Record(file, "a")
    first.add("1", Judged(1, "sql", executions=3, outcomes=2, runs=10, outside=["x"]).plain())
    first.add("2", Judged(2, "sql", incomplete="more than 3000 executions").plain())
    assert list(record.Record(file, "a").rows) == ["1", "2"]
    assert not record.Record(file, "b").rows
    sums = record.amounts(record.Record(file, "a").rows.values())
    assert (sums["programs"], sums["complete"], sums["real runs"], sums["outside"]) == (2, 1, 10, 1)
    assert sums["programs with either"] == ["1"]
    assert "outside" in record.told(sums)


def test_a_program_runs_by_itself() -> None:
    """Its module has the setup and a function for each worker."""
    module = module_of(LOST_UPDATE)
    assert {"setup", "w0", "w1"} <= set(vars(module))


def test_every_two_of_the_short_programs_meet() -> None:
    """In both journal modes for SQL, with and without a cancel for tasks, and each with itself."""
    names = [name for name, _ in pairs()]
    assert len(set(names)) == len(names)
    assert len([name for name, _ in pairs(["files"])]) == len(OF_FILES) * (len(OF_FILES) + 1) // 2
    assert len([name for name, _ in pairs(["sql"])]) == len(OF_SQL) * (len(OF_SQL) + 1)
    assert len([name for name, _ in pairs(["threads"])]) == len(OF_THREADS) * (len(OF_THREADS) + 1) // 2
    assert len([name for name, _ in pairs(["tasks"])]) == len(OF_TASKS) * (len(OF_TASKS) + 1)
    assert "wal+exclusive+deferred" in names or "wal+deferred+exclusive" in names


@pytest.mark.forks
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "delete+deferred+exclusive",
        "delete+drops-the-table+implicit",
        "removes+reads-two",
        "threads+takes-and-keeps+tries",
        "threads+adds+takes-twice",
        "tasks+shields+gives-a-future-up",
        "tasks+puts+gets+cancelled",
    ],
)
def test_a_pair_shows_nothing(name: str) -> None:
    """What the searches find is the same, and what is seen for real among it."""
    program = next(program for other, program in pairs() if set(other.split("+")) == set(name.split("+")))
    found = judged(program, Budget(wild=20))
    assert not found.incomplete
    assert "brute force" in found.compared
    assert not found.wrong
