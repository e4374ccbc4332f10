"""Delays: a process may be slow until others' time has come. What that breaks is found, and nothing else is accused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.control.repeating.replays import replay
from harness.control.run import run
from harness.errors import BadInput
from harness.result import delay_count, fault_count
from harness.saved.counterexample import Counterexample, load, save
from harness.scenario import Call, Check, Client, Scenario, Workload
from harness.schedulers.tree.delays_tried import delayed_races
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.schedulers.tree.stateful import Stateful
from harness.values.schedule import delays_in, faults_in
from harness.verdict import Verdict
from tests.harness import slow_programs as programs
from tests.harness.counter import executions_of_each, explored, one, outcomes, prepared, raced, reduced_and_brute
from tests.harness.made_steps import step
from tests.harness.web import post

forking = [pytest.mark.forks, pytest.mark.slow]

LOCKS = {"setup": programs.leave_a_dead_lock}


def named(pair: tuple[Callable[..., Any], Callable[..., Any]]) -> str:
    """Return what a pair of programs is called."""
    return "-".join(program.__name__ for program in pair)


def leased(program: Callable[[Path], Any], **fields: Any) -> Scenario:
    """Return a scenario in which two count with *program*, and both must count."""

    def holds(db: Path) -> None:
        assert one(db, "SELECT n FROM counter") == 2

    return raced(program, setup=programs.set_up_a_lease, at_end=(Check("both count", holds),), **fields)


def service(db: Path) -> Any:
    """Return an application that counts: under a lease alone, or after a sleep."""
    counts = {"/lease": programs.counts_under_a_lease_async, "/sleeps": programs.sleeps_async}

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await receive()
            await counts[scope["path"]](db)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})

    return handle


def serves(path: str, **fields: Any) -> Scenario:
    """Return a scenario in which two clients post to *path* of ``service``; over a lease, both must count."""

    def holds(db: Path) -> None:
        assert one(db, "SELECT n FROM counter") == 2

    def workload(workers: int) -> Workload:
        return Workload((Client((Call("post", (path,)),)),) * 2, workers)

    checks = (Check("both count", holds),) if path == "/lease" else ()
    return Scenario(
        name="service",
        app=service,
        operations={"post": post},
        workload=workload,
        at_end=checks,
        ordered=False,
        **fields,
    )


def in_one_worker(_: int) -> Workload:
    """Have two clients call the same worker at once."""
    return Workload(tuple(Client((Call(f"op{number}"),)) for number in range(2)), 1)


def test_delays_are_counted_by_what_is_held_up() -> None:
    """One choice may hold up several processes; a delay is no fault."""
    choices = ("w0:c0", "!delay:w0", "!kill:w1", "!delay:c0#1+w1")
    assert delays_in(choices) == 3
    assert faults_in(choices) == 1


@pytest.mark.parametrize("wrong", [-1, 11, 1.5, True, "1"])
def test_a_bound_on_delays_is_a_small_number(wrong: Any) -> None:
    """Everything else is refused, with what it was."""
    with pytest.raises(BadInput, match="delays"):
        raced(programs.sleeps_between, delays=wrong)


@pytest.mark.forks
@pytest.mark.slow
@pytest.mark.parametrize("pair", [*programs.PAIRS, *programs.OF_LOOPS], ids=named)
def test_the_reduction_loses_no_outcome_of_a_delay(pair: tuple[Any, Any]) -> None:
    """The search that asks races for delays finds what trying each delay at each step finds."""
    reduced, brute = reduced_and_brute(raced(list(pair), raising_fails=False))
    assert reduced == brute


@pytest.mark.forks
@pytest.mark.slow
@pytest.mark.parametrize("program", [programs.gives_itself_a_time, programs.keeps_a_heartbeat])
def test_nobody_is_held_up_until_a_time_of_its_own(program: Callable[..., Any]) -> None:
    """A call's time-outs and heartbeats are its own; those of another call in the same process are not."""
    assert explored(raced(program)).complete
    with_delays, without = (explored(raced(program, delays=delays)).executions for delays in (1, 0))
    assert with_delays == without
    pair = [programs.gives_itself_a_time, programs.sleeps_async]
    scenario = raced(pair, workload=in_one_worker, workers=1)
    (found,) = executions_of_each(scenario, Stateful())
    held = {step.text for execution in found for step in execution.steps if step.kind == "delay"}
    assert held == {"time passes to 0.05 s while w0 is held up"}


@pytest.mark.forks
@pytest.mark.slow
def test_two_delays_reach_further_and_lose_nothing() -> None:
    """With two, the reduced search and brute force find the same, which is more than with one."""
    pair = [programs.adds_twice, programs.sleeps_then_adds]
    with_one, _ = reduced_and_brute(raced(pair, raising_fails=False))
    with_two, brute = reduced_and_brute(raced(pair, raising_fails=False, delays=2))
    assert with_one < with_two == brute


@pytest.mark.forks
@pytest.mark.slow
def test_without_delays_a_sleeper_never_overtakes() -> None:
    """Delays can be turned off; then no execution has one, and the verdict says that more could have happened."""
    scenario = raced([programs.sleeps_then_adds, programs.reads_then_writes], delays=0)
    (found,) = executions_of_each(scenario, Stateful())
    assert not any(delay_count(execution.steps) for execution in found)
    result = explored(scenario)
    assert (result.complete, result.delays) == (True, "no delay")


@pytest.mark.forks
@pytest.mark.slow
@pytest.mark.parametrize(
    "scheduler",
    [
        "portfolio",
        "exhaustive",
        "random",
        pytest.param(
            "pct",
            marks=pytest.mark.xfail(strict=False, reason="a known gap: PCT seldom holds a process up where it matters"),
        ),
        "pos",
        "greybox",
        "hypothesis",
    ],
)
def test_a_lock_broken_by_a_slow_process_is_found(scheduler: str) -> None:
    """Every way to search finds it; shrunk, it takes one delay and no fault."""
    scenario = raced(programs.breaks_and_takes, **LOCKS)
    result = run(scenario, scheduler=scheduler, max_executions=2_000, explain=False)
    assert result.verdict is Verdict.INVALID, result
    assert result.counterexample is not None
    assert delay_count(result.counterexample.steps) == 1
    assert fault_count(result.counterexample.steps) == 0


@pytest.mark.forks
@pytest.mark.slow
def test_it_replays_and_says_who_was_held_up(tmp_path: Path) -> None:
    """A counterexample with a delay repeats itself 20 times of 20, also where delays are turned off since."""
    scenario = raced(programs.breaks_and_takes, **LOCKS)
    result = run(scenario, scheduler="exhaustive")
    assert result.explanation is not None, result.unexplained
    found = Counterexample.of(result)
    loaded = load(save(found, tmp_path))
    assert loaded.delays == 1
    (delay,) = [step for step in loaded.steps if step.kind == "delay"]
    assert delay.text == f"time passes to 0.05 s while {delay.choice.partition(':')[2]} is held up"
    without = raced(programs.breaks_and_takes, delays=0, **LOCKS)
    for where in (scenario, without):
        again = replay(where, loaded, times=20)
        assert (again.verdict, again.failed_again) == (Verdict.INVALID, 20), again


@pytest.mark.forks
@pytest.mark.slow
def test_a_lock_broken_under_another_lock_is_right() -> None:
    """Nobody is slow between the look and the removal for anybody who could notice."""
    setup = programs.prepared_and(programs.leave_a_dead_lock)
    result = explored(raced(programs.breaks_under_a_lock, setup=setup))
    assert result.verdict is Verdict.VALID, result.counterexample


@pytest.mark.forks
@pytest.mark.slow
def test_a_lease_that_ends_while_its_owner_is_held_up() -> None:
    """Without a fence that loses an update, with one it does not; without delays neither shows."""
    assert explored(leased(programs.counts_under_a_lease)).verdict is Verdict.INVALID
    assert explored(leased(programs.counts_under_a_lease, delays=0)).verdict is Verdict.VALID
    result = explored(leased(programs.counts_with_a_fence))
    assert (result.verdict, result.delays) == (Verdict.VALID, "at most 1 delay in an execution")


@pytest.mark.forks
@pytest.mark.slow
def test_a_service_whose_lease_ends_while_it_is_held_up() -> None:
    """The same over HTTP: the process that serves one request is held up until another's sleep has passed."""
    assert explored(serves("/lease", setup=programs.set_up_a_lease)).verdict is Verdict.INVALID
    assert explored(serves("/lease", setup=programs.set_up_a_lease, delays=0)).verdict is Verdict.VALID


@pytest.mark.forks
@pytest.mark.slow
def test_the_reduction_loses_no_outcome_of_a_delay_over_http() -> None:
    """As without it."""
    reduced, brute = reduced_and_brute(serves("/sleeps", setup=prepared()), most=20_000)
    assert reduced == brute
    assert len(reduced) == 2


@pytest.mark.forks
@pytest.mark.slow
def test_what_never_waits_for_a_time_costs_nothing() -> None:
    """Who waits for nothing but locks of a database is explored as without delays, and complete without a bound."""
    pair = [programs.reads_then_writes, programs.reads_then_writes]
    with_delays, without = explored(raced(pair)), explored(raced(pair, delays=0))
    assert with_delays.executions == without.executions
    assert (with_delays.complete, with_delays.delays) == (True, "")


def test_to_date_a_file_conflicts_with_a_delay_where_dates_matter() -> None:
    """Else who changed a file before time passed need not be tried after it."""
    steps = [step("w0:c0", "", "r dated"), step("w1:c1", "", "r clock", kind="timer", now=0.05)]
    (race,) = delayed_races(steps, dates=True)
    assert (race.position, race.later, race.delayed) == (0, 1, True)
    assert list(delayed_races(steps, dates=False)) == []


@pytest.mark.forks
@pytest.mark.slow
def test_whether_somebody_looks_at_dates_is_noticed() -> None:
    """A statement that writes dates its database; only code that asks how old that is has executions in which it matters."""
    for other, looked in ((programs.sleeps_then_adds, False), (programs.judges_by_age, True)):
        (found,) = executions_of_each(raced([programs.adds_then_reads, other], raising_fails=False), Stateful())
        assert any(access.resource == "dated" for each in found for made in each.steps for access in made.accesses)
        assert {each.dates_seen for each in found if not each.abandoned} == {looked}


@pytest.mark.forks
@pytest.mark.slow
def test_several_jobs_find_the_same_outcomes() -> None:
    """Shared among processes the search tries more delays, and finds neither more nor less."""
    scenario = raced([programs.locks_a_file, programs.locks_a_file], raising_fails=False)
    alone, together = (
        explored(scenario, outcomes=True),
        explored(scenario, outcomes=True, jobs=2, scheduler="exhaustive"),
    )
    assert alone.complete
    assert together.complete
    assert alone.outcomes == together.outcomes


@pytest.mark.forks
@pytest.mark.slow
def test_states_do_not_depart() -> None:
    """What the search foresees from states seen before is what it would have run."""
    pair = [programs.looks_at_the_clock, programs.sleeps_then_adds]
    with_states, without = executions_of_each(raced(pair, raising_fails=False), Stateful(), Exhaustive())
    assert outcomes(with_states) == outcomes(without)
    assert len(with_states) <= len(without)
