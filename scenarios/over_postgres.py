"""The scenarios that do not depend on SQLite, over PostgreSQL; variants that only PostgreSQL lets happen beside the others."""

from __future__ import annotations

from dataclasses import replace

from harness.scenario import Scenario
from reference_impl.faulty import SQLITE_ONLY
from scenarios.create_agent_conflict import SCENARIO as CREATE_AGENT_CONFLICT
from scenarios.create_agent_key_reused import SCENARIO as CREATE_AGENT_KEY_REUSED
from scenarios.create_agent_retry import SCENARIO as CREATE_AGENT_RETRY
from scenarios.create_agents_distinct import SCENARIO as CREATE_AGENTS_DISTINCT
from scenarios.issue_token import SCENARIO as ISSUE_TOKEN
from scenarios.issue_token_tasks import SCENARIO as ISSUE_TOKEN_TASKS
from scenarios.keyed_requests import ALL as KEYED_REQUESTS
from scenarios.linearizable import ALL as LINEARIZABLE
from scenarios.revoke_vs_rotate import SCENARIO as REVOKE_VS_ROTATE
from scenarios.revoke_vs_verify import SCENARIO as REVOKE_VS_VERIFY
from scenarios.rotate_token import SCENARIO as ROTATE_TOKEN
from scenarios.rules import CONTENDED

__all__ = ["ALL", "on_postgres"]


def on_postgres(scenario: Scenario) -> Scenario:
    """Return *scenario* over PostgreSQL, with those of its variants that can be there."""
    variants = {name: on_postgres(each) for name, each in scenario.variants.items() if name not in SQLITE_ONLY}
    happens = tuple(check for check in scenario.must_happen if check is not CONTENDED)
    return replace(
        scenario, name=f"{scenario.name}-postgres", database="postgresql", variants=variants, must_happen=happens
    )


# One holds the write lock while others wait, which is SQLite's alone.
_SQLITE_ONLY = ("keyed-retained",)

_RACED = (
    ISSUE_TOKEN, ISSUE_TOKEN_TASKS, ROTATE_TOKEN, REVOKE_VS_VERIFY, REVOKE_VS_ROTATE, CREATE_AGENT_RETRY, CREATE_AGENT_CONFLICT,
    CREATE_AGENT_KEY_REUSED, CREATE_AGENTS_DISTINCT, *KEYED_REQUESTS, *LINEARIZABLE,
)  # fmt: skip

ALL = tuple(on_postgres(scenario) for scenario in _RACED if scenario.name not in _SQLITE_ONLY)
