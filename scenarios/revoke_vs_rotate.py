"""One client revokes the token that it knows while another client replaces it, at another worker.

A revocation that arrives late must not revoke the token's successor. However the two overlap, the rotation's token must be
the active one in the end, unless the revocation came first: then there was nothing to replace.
"""

from __future__ import annotations

from pathlib import Path

from harness.scenario import Call, Check, Client, Scenario, Workload
from harness.values.history import History
from scenarios.revoke_vs_verify import TOKEN, prepare
from scenarios.rules import CLEAN_CONNECTIONS, CONTENDED, ONE_ACTIVE_TOKEN, OVERLAPPED, RETURNED_TOKENS_ARE_REAL, rows
from scenarios.service import OPERATIONS, with_variants

__all__ = ["SCENARIO"]


def successor_survives(history: History, db: Path) -> None:
    """Check TOKLAST: a rotation that was acknowledged leaves its token active; one that was refused leaves none."""
    (rotation,) = history.outcomes("rotate")
    active = [token for (token,) in rows(db, "SELECT id FROM tokens WHERE revoked_at IS NULL")]
    wanted = [rotation.value["id"]] if isinstance(rotation.value, dict) else []
    assert active == wanted, f"active: {active or 'none'}; the rotation was told {wanted or rotation.error}"


def workload(workers: int) -> Workload:
    """Return one client that revokes at worker 0, and one that rotates at worker 1."""
    calls = Call("revoke", ("alpha", TOKEN), 0), Call("rotate", ("alpha",), min(1, workers - 1))
    return Workload(tuple(Client((call,)) for call in calls), workers)


SCENARIO = with_variants(
    Scenario(
        name="revoke-vs-rotate",
        story=__doc__,
        setup=lambda _: None,
        operations=OPERATIONS,
        workload=workload,
        invariants=(ONE_ACTIVE_TOKEN,),
        postconditions=(
            RETURNED_TOKENS_ARE_REAL,
            Check("TOKLAST the successor survives", successor_survives),
            CLEAN_CONNECTIONS,
        ),
        must_happen=(OVERLAPPED, CONTENDED),
        expected_errors=("NoActiveToken",),
        ordered=False,
    ),
    prepare,
    ("t16-revoke-by-agent",),
)
