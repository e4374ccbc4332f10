"""What an explanation is made of, on steps made by hand: plans, switches, conflicts, the pair that decides."""

from __future__ import annotations

from typing import cast

from harness.control.execution.driver import Driver
from harness.control.repeating.comparing import conflicts, exchange, intruding, named, overlapping
from harness.control.repeating.shrink import _Shrinker
from harness.control.repeating.switches import cuts
from harness.result import Execution, Failure
from harness.scenario import Workload
from harness.schedulers.base import Option, View
from harness.schedulers.plan import Atom, Planned, atoms, without
from harness.values.explanation import Conflict
from harness.values.history import Event, History, Step
from harness.values.names import Task
from tests.harness.made_steps import step

READ, WRITE = "r data:db", "w data:db"
LOST_UPDATE = (
    step("w0:c0", "SELECT", READ),
    step("w1:c1", "SELECT", READ, preempts=True),
    step("w1:c1", "UPDATE", WRITE),
    step("w0:c0", "UPDATE", WRITE),
)


def execution(*steps: Step, fails: bool = True, events: tuple[Event, ...] = ()) -> Execution:
    """Return an execution of *steps*."""
    failure = Failure("at end", "both count", "", len(steps) - 1) if fails else None
    return Execution(Workload(()), 0, steps, History(events), failure)


def choices(plan: tuple[Atom, ...]) -> str:
    """Return the choices of *plan* in a row."""
    return " ".join(atom.choice or "?" for atom in plan)


def test_a_task_is_the_story_of_its_client() -> None:
    """Tasks that a call started and requests it sent belong to it."""
    assert [Task(lane).client for lane in ("c0", "c0/1/2", "c0#3", "c0#3/1", "")] == ["c0", "c0", "c0", "c0", ""]


def test_a_task_goes_on_until_it_cannot_unless_it_was_preempted() -> None:
    """The flag that says so is set where a switch is no preemption and no fault follows."""
    steps = (*LOST_UPDATE, step("!kill:w0", kind="kill"), step("w1:c1", "COMMIT"))
    assert [atom.ends for atom in atoms(steps)] == [False, False, True, False, True, True]


def test_without_a_fault_the_task_before_it_goes_on() -> None:
    """The fault is gone and what ran before it runs until it can't."""
    plan = (Atom("c0", "w0:c0"), Atom("", "!kill:w0"), Atom("c1", "w1:c1"))
    assert without(plan, 1) == (Atom("c0", "w0:c0", True), Atom("c1", "w1:c1"))


def test_shrinking_lets_a_victim_go_on() -> None:
    """Beside leaving out the kill and what came after, the task that was killed is let run to its end."""
    steps = (*LOST_UPDATE[:3], step("!kill:w1", kind="kill"), LOST_UPDATE[3])
    tries = _Shrinker(cast(Driver, None), execution(*steps))._fewer()
    (planned,) = [each for each in tries if isinstance(each, Planned)]
    options = [Option("w0:c0", "c0"), Option("w1:c1", "c1", continues=True)]
    for number in range(3):
        planned.choose(View(options, steps[:number]))
    assert planned.choose(View(options, steps[:3])) == "w1:c1"


def test_a_switch_can_be_moved_over_the_steps_of_the_interrupted_task() -> None:
    """Earlier, later, and beyond what is known of it."""
    cut, back = cuts(LOST_UPDATE, atoms(LOST_UPDATE))
    assert (cut.at, cut.task, cut.made, cut.numbers, cut.preempts) == (1, "c0", 1, range(1, 3), True)
    assert (back.at, back.preempts) == (3, False)
    assert choices(cut.plan(0)) == "w1:c1 w1:c1 w0:c0 w0:c0"
    assert choices(cut.plan(1)) == choices(atoms(LOST_UPDATE))
    assert choices(cut.plan(3)) == "w0:c0 w0:c0 ? w1:c1 w1:c1"
    assert choices(cut.split(1, 1, 2)) == "w0:c0 w1:c1 w0:c0 w1:c1"
    assert choices(cut.crossing(0, 0, 1, late=2)) == "w0:c0 w1:c1 w0:c0 w1:c1"
    assert cut.crossing(0, 1, 2, late=2) == cut.split(0, 1, 2)


def test_the_probe_is_never_part_of_what_interrupts() -> None:
    """It begins when all else has ended, wherever a switch is moved."""
    steps = (*LOST_UPDATE[:3], step("w2:probe", "SELECT", READ, kind="probe"))
    (cut,) = cuts(steps, atoms(steps))
    assert (len(cut.group), choices(cut.after)) == (2, "w2:probe")


def test_data_comes_before_locks_and_memory_only_if_nothing_else() -> None:
    """Processes and the clock are no conflict between workers; in one worker, tasks share its memory."""
    one = step("w0:c0", "COMMIT", "w process:0", WRITE, "w lock:db", "r clock")
    assert conflicts(one, step("w1:c1", "SELECT", "w process:1", READ, "w clock")) == (Conflict("data:db", "w", "r"),)
    assert conflicts(one, step("w1:c1", "BEGIN", READ, "w lock:db")) == (
        Conflict("data:db", "w", "r"),
        Conflict("lock:db", "w", "w"),
    )
    assert conflicts(step("w0:c0", "", "w process:0"), step("w0:c1", "", "w process:0")) == (
        Conflict("process:0", "w", "w"),
    )
    assert conflicts(one, step("w1:c1", "", "w clock", "i history")) == ()
    assert conflicts(one, one) == ()


def test_the_first_decision_that_differs_is_the_pair() -> None:
    """Both steps come in both executions, the other way round, and meet at the data."""
    read, other_read, write, last = LOST_UPDATE
    passing = execution(read, last, other_read, write, fails=False)
    pair = exchange(execution(*LOST_UPDATE), passing, LOST_UPDATE)
    assert pair is not None
    assert (pair.first.number, pair.second.number) == (1, 3)
    assert pair.conflicts == (Conflict("data:db", "r", "w"),)
    assert (pair.passing, pair.common) == (passing.schedule, 1)


def test_steps_that_do_not_meet_are_no_pair() -> None:
    """Where the first difference is between independent steps, nothing is claimed."""
    one, other = step("w0:c0", "a", "r data:x"), step("w1:c1", "b", READ)
    assert exchange(execution(one, other), execution(other, one, fails=False), (one, other)) is None
    assert exchange(execution(one), execution(one, fails=False), (one,)) is None


def test_an_attempt_that_met_a_lock_is_no_decision() -> None:
    """What only waited is left out before executions are compared."""
    write, read = step("w0:c0", "COMMIT", WRITE), step("w1:c1", "SELECT", READ)
    waits = step("w1:c1", "SELECT", READ, waited=True)
    pair = exchange(execution(waits, write, read), execution(read, write, fails=False), (waits, write, read))
    assert pair is not None
    assert (pair.first.number, pair.second.number) == (1, 2)


def test_a_fetch_is_named_by_its_statement() -> None:
    """And a step that comes twice by which time it is."""
    steps = (step("w0:c0", "SELECT a", READ), step("w0:c0", "fetchall", READ, kind="fetch"))
    again = named(steps[1], steps, (*steps, *steps))
    assert (again.number, again.statement) == (1, steps[0])
    longer = (steps[0], step("w0:c0", "SELECT a", READ))
    assert named(longer[1], longer, longer).number == 1


def test_what_came_between_did_come_between() -> None:
    """A deciding step that comes after the window is not said to have fallen in it."""
    group = [named(each, LOST_UPDATE, LOST_UPDATE) for each in LOST_UPDATE[1:3]]
    opens, closes = (named(each, LOST_UPDATE, LOST_UPDATE) for each in (LOST_UPDATE[0], LOST_UPDATE[3]))
    assert intruding(group, opens, closes, opening=None, closing=None) == group[1]
    passing = execution(*(LOST_UPDATE[number] for number in (0, 3, 1, 2)), fails=False)
    pair = exchange(execution(*LOST_UPDATE), passing, LOST_UPDATE)
    assert pair is not None
    assert intruding(group[1:], opens, closes, opening=None, closing=pair) == group[1]


def test_calls_overlap_if_one_begins_while_another_is_under_way() -> None:
    """One after another they don't."""

    def events(*kinds: tuple[str, str]) -> tuple[Event, ...]:
        return tuple(Event(kind, client, 0, 0, "op", (), 0, 0.0) for kind, client in kinds)

    apart = events(("invoke", "c0"), ("ok", "c0"), ("invoke", "c1"), ("ok", "c1"))
    across = events(("invoke", "c0"), ("invoke", "c1"), ("ok", "c0"), ("ok", "c1"))
    assert not overlapping(execution(events=apart))
    assert overlapping(execution(events=across))


def test_a_call_overlaps_itself_where_its_tasks_take_turns() -> None:
    """One task after another doesn't, nor does one that is waited for by the task that started it."""

    def lanes(*names: str) -> Execution:
        return execution(*(step(f"w0:{name}", "SELECT a", "r a") for name in names))

    assert not overlapping(lanes("c0", "c0/1", "c0/1", "c0/2", "c0/2", "c0"))
    assert not overlapping(lanes("c0", "c0/1", "c0/1/1", "c0/1", "c0"))
    assert overlapping(lanes("c0", "c0/1", "c0/2", "c0/1", "c0/2", "c0"))


def test_a_plan_survives_that_a_task_does_something_else() -> None:
    """Its next step is made where the very choice can't be, its timers aside; what can't go on is passed over."""
    planned = Planned((Atom("c0", "w0:c0"), Atom("", "!kill:w0"), Atom("c1", "w1:c1/1", True)))
    done: list[Step] = []

    def chosen(*options: str) -> str | None:
        found = [Option(choice, choice.partition(":")[2], fault=choice.startswith("!")) for choice in options]
        choice = planned.choose(View(found, done))
        done.append(step(choice or ""))
        return choice

    assert chosen("w1:c1", "w0:c0/7") == "w0:c0/7"
    assert chosen("w0:c0", "w1:c1") == "w1:c1"
    assert chosen("w0:c0", "w1:c1/3") == "w1:c1/3"
    assert chosen("w0:c0", "w1:clock") == "w0:c0"
