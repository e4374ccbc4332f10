"""What of the reference's stories takes something over PostgreSQL that no other does."""

from __future__ import annotations

import pytest

from harness.control.testbed.testbed import open_testbed
from harness.schedulers.tree.exhaustive import Exhaustive
from reference_impl.faulty.postgres import VARIANTS
from scenarios.over_postgres import ALL
from tests.harness.postgres.programs import needs_server

BY_NAME = {scenario.name: scenario for scenario in ALL}


def test_every_variant_for_postgresql_is_raced() -> None:
    """Of 14, each in some scenario."""
    assert {name for scenario in ALL for name in scenario.variants if name in VARIANTS} == set(VARIANTS)


@needs_server
@pytest.mark.forks
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "variant", "rule"),
    [
        ("keyed-retained-postgres", "r45-retention-from-reservation", "ONCE an answer is kept for its retention"),
        ("keyed-clocks-postgres", "p10-client-clock", "OWNER one live owner per key"),
    ],
)
def test_a_variant_is_caught(name: str, variant: str, rule: str) -> None:
    """A table that is locked while time passes; a clock that is ahead by more than a lease."""
    scenario, scheduler = BY_NAME[name].variants[variant], Exhaustive()
    failure, done = None, None
    with open_testbed(scenario, scenario.workers) as stage:
        while failure is None and scheduler.start(done):
            done = stage.driver.run(scheduler, scenario.workload(scenario.workers))
            failure = done.failure
    assert failure is not None
    assert failure.sort == ("invariant", rule)
