"""Refuses workloads that can't be run, before anything of them is."""

from __future__ import annotations

from harness.errors import BadInput
from harness.scenario import Scenario, Workload
from harness.values.plain import is_plain

__all__ = ["check_workload"]


def check_workload(workload: Workload, scenario: Scenario, workers: int) -> None:
    """Raise ``BadInput`` if *workload* can't be run over *scenario*'s operations with *workers* processes."""
    calls = [call for client in workload.clients for call in client.calls]
    if not calls:
        raise BadInput(f"The workload of {scenario.name!r} has no calls, so there is nothing to race.")
    for call in calls:
        if call.operation not in scenario.operations:
            known = ", ".join(scenario.operations)
            raise BadInput(f"The workload calls {call.operation!r}, but the operations of the scenario are {known}.")
        if not 0 <= call.worker < min(workload.workers, workers):
            raise BadInput(f"The call {call} goes to worker {call.worker}, but there are {workload.workers} workers.")
        if not is_plain(call.arguments):
            raise BadInput(
                f"The call {call} has an argument that is not plain data, so it can't travel to a worker or into a file. "
                "Plain are None, bool, int, float, str, and lists and dicts of them. Give the call a name or number from "
                "which the operation makes the rest."
            )
