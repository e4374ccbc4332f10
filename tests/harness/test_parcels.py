"""What comes back of executions is what was sent, but for equal parts, which are then one."""

from __future__ import annotations

from typing import Any

from harness.control.sharding.parcels import Ran, packed, unpacked
from harness.result import Execution
from harness.scenario import Workload
from harness.schedulers.tree.branches import Findings, Met, Raced, Wanted
from harness.values.history import Access, Event, History, Step

HERE, ELSEWHERE = Workload((), 2), Workload((), 3)


def ran(number: int) -> Ran:
    """Make another one, of objects of its own: equal to any other of this *number*, and nearly to those of others."""

    def step(choice: str, detail: str) -> Step:
        accesses = (Access("data:" + choice, "w"), Access("lock:" + choice, "r"))
        return Step(choice, 0, "c0", "sql", "UPDATE t SET n = ?", detail, None, 0.0, accesses)

    steps = (*(step(f"c{place}", "") for place in range(20)), step("c0", str(number)))
    options: Any = tuple((f"c{place}", "c0", place == 0, False, "", False) for place in range(5))
    touched: Any = {each.choice: (each.accesses, each.digest) for each in steps[:2]}
    met = [Met("c0", 0.5, 1, 1, options, touched, {"c0"}, {}), Met("c1", 0.5, 1, 1, None, {}, set(), {})]
    findings = Findings(met, [Wanted(0, "c1", 2, ("a", "b")), Raced(1, ("c1",), ("a", "b"))], None, False, True)
    events = (Event("ok", "c0", 0, 0, "issue", (), 20, 0.0, {"answer": [number]}),)
    return Ran(Execution(HERE, 1, steps, History(events), chances=(("kill", "sql"),)), findings)


def test_a_batch_comes_back_as_it_was_with_equal_parts_once() -> None:
    """Equal to what was sent, of the workload of whoever unpacks; a step that several have in common is one object there."""
    sent = [ran(number) for number in range(8)]
    data = packed(sent)
    back = unpacked(data, ELSEWHERE)
    assert [each.findings for each in back] == [each.findings for each in sent]
    assert [each.execution.steps for each in back] == [each.execution.steps for each in sent]
    assert [each.execution.history for each in back] == [each.execution.history for each in sent]
    assert {each.execution.workload for each in back} == {ELSEWHERE}
    first, last = back[0].execution.steps, back[-1].execution.steps
    assert first[3] is last[3]
    assert first[-1] != last[-1]
    assert type(last[3].preempts) is bool
    assert len(data) < sum(len(packed([each])) for each in sent) / 3
