"""The scenarios over SQLite: mostly one per file, each with the reference implementation and its faulty variants."""

from scenarios.bearer_over_http import BEARERS_OVER_HTTP
from scenarios.create_agent_conflict import SCENARIO as CREATE_AGENT_CONFLICT
from scenarios.create_agent_key_reused import SCENARIO as CREATE_AGENT_KEY_REUSED
from scenarios.create_agent_retry import SCENARIO as CREATE_AGENT_RETRY
from scenarios.create_agents_distinct import SCENARIO as CREATE_AGENTS_DISTINCT
from scenarios.issue_token import SCENARIO as ISSUE_TOKEN
from scenarios.issue_token_tasks import SCENARIO as ISSUE_TOKEN_TASKS
from scenarios.keyed_requests import ALL as KEYED_REQUESTS
from scenarios.linearizable import ALL as LINEARIZABLE
from scenarios.more_requests import ALL as MORE_REQUESTS
from scenarios.over_http import ADD_AGENT_OVER_HTTP
from scenarios.revoke_vs_rotate import SCENARIO as REVOKE_VS_ROTATE
from scenarios.revoke_vs_verify import SCENARIO as REVOKE_VS_VERIFY
from scenarios.rotate_token import SCENARIO as ROTATE_TOKEN
from scenarios.service import in_wal

__all__ = ["ALL"]

_IN_ROLLBACK_MODE = (
    ISSUE_TOKEN,
    ISSUE_TOKEN_TASKS,
    ROTATE_TOKEN,
    REVOKE_VS_VERIFY,
    REVOKE_VS_ROTATE,
    CREATE_AGENT_RETRY,
    CREATE_AGENT_CONFLICT,
    CREATE_AGENT_KEY_REUSED,
    CREATE_AGENTS_DISTINCT,
    *KEYED_REQUESTS,
    *MORE_REQUESTS,
    *LINEARIZABLE,
    ADD_AGENT_OVER_HTTP,
    *BEARERS_OVER_HTTP,
)

ALL = (*_IN_ROLLBACK_MODE, *map(in_wal, _IN_ROLLBACK_MODE))
"""Every scenario, over a rollback journal and (``-wal``) over a write-ahead log."""
