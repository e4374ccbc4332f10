"""The isolation anomalies: found where PostgreSQL documents that they happen, ruled out where it forbids them."""

from __future__ import annotations

import pytest

from harness.control.run import run
from harness.verdict import Verdict
from scenarios.isolation import ANOMALIES, LEVELS, scenario
from tests.harness.postgres.programs import needs_server

pytestmark = [needs_server, pytest.mark.forks, pytest.mark.slow]

BY_NAME = {anomaly.name: anomaly for anomaly in ANOMALIES}


def test_what_is_possible_where_is_what_postgresql_documents() -> None:
    """Table 13.1 of its documentation, and what it says of snapshot isolation."""
    assert {name: [level for level in LEVELS if anomaly.possible(level)] for name, anomaly in BY_NAME.items()} == {
        "g0": [], "g1a": [], "g1b": [], "g1c": [], "otv": [],
        "pmp": ["read-committed"], "p4": ["read-committed"], "g-single": ["read-committed"],
        "g2-item": ["read-committed", "repeatable-read"], "g2": ["read-committed", "repeatable-read"],
    }  # fmt: skip


# All thirty are rows of `harness gate --database postgresql`; here is one of each kind.
@pytest.mark.parametrize(
    ("name", "level"),
    [("g1c", "read-committed"), ("pmp", "read-committed"), ("g-single", "repeatable-read"),
     ("g2-item", "repeatable-read"), ("g2-item", "serializable")],
)  # fmt: skip
def test_an_anomaly_is_found_or_ruled_out(name: str, level: str) -> None:
    """By the exhaustive search, to the end."""
    anomaly = BY_NAME[name]
    result = run(scenario(anomaly, level), scheduler="exhaustive", max_executions=500)
    if anomaly.possible(level):
        assert result.verdict is Verdict.INVALID, result
    else:
        assert (result.verdict, result.complete) == (Verdict.VALID, True), result
