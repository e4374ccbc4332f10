"""Two clients ask one worker for tokens, for two different agents.

The requests are unrelated, but the worker's tasks may share a connection: if one begins while the other is inside its
transaction, its failure and ROLLBACK undo the other's work. However the requests overlap, each client must get a token,
and each token must be in the database.
"""

from __future__ import annotations

from dataclasses import replace

from harness.scenario import Call, Client, Workload
from scenarios import issue_token
from scenarios.rules import OVERLAPPED
from scenarios.service import with_variants

__all__ = ["SCENARIO"]

AGENTS = ("alpha", "beta")


def workload(workers: int) -> Workload:
    """Return two clients for each worker, which ask for different agents."""
    clients = [Client((Call("issue", (agent,), worker),)) for worker in range(workers) for agent in AGENTS]
    return Workload(tuple(clients), workers)


SCENARIO = with_variants(
    replace(
        issue_token.SCENARIO,
        name="issue-token-tasks",
        story=__doc__,
        workload=workload,
        workers=1,
        must_happen=(OVERLAPPED,),
    ),
    issue_token.prepare,
    ("t09-shared-connection",),
)
