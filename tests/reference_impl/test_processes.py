"""Two real processes at the same keys and agents, with nobody in control of who comes first."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from reference_impl.backend import Address
from tests.reference_impl.conftest import Rows

ROUNDS = 8

# A process of its own from the start: SQLite must not be open anywhere when a process forks.
WORKER = """
import asyncio, json, sys
from reference_impl import open_service
from reference_impl.errors import ActiveTokenExists
from reference_impl.tokens import IssuedToken

async def main(path, rounds):
    service = await open_service(path)
    told = []
    for number in range(rounds):
        name, key = f"Agent {number}", f"k{number}"
        agents = await asyncio.gather(*(service.agents.add(name, caller="c", key=key) for _ in range(2)))
        tokens = await asyncio.gather(
            *(service.tokens.issue(agent.slug) for agent in agents), return_exceptions=True
        )
        issued = [each.id for each in tokens if isinstance(each, IssuedToken)]
        assert sum(isinstance(each, ActiveTokenExists) for each in tokens) == 2 - len(issued), tokens
        told.append([[agent.id for agent in agents], issued])
    await service.close()
    print(json.dumps(told))

print("ready", flush=True)
sys.stdin.readline()
asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@pytest.mark.slow
@pytest.mark.forks
def test_two_processes_agree(path: Address, rows: Rows) -> None:
    """Every key makes one agent, all four requests are told the same one, and one of them gets its token."""
    command = [sys.executable, "-c", WORKER, str(path), str(ROUNDS)]
    root = Path(__file__).parents[2]
    processes = [
        subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [json.loads(process.communicate(timeout=30)[0]) for process in processes]
    for here, there in zip(*told, strict=True):
        assert len({*here[0], *there[0]}) == 1
        assert len(here[1] + there[1]) == 1
    assert rows(path, "SELECT count(*), count(DISTINCT slug) FROM agents") == [(ROUNDS + 2, ROUNDS + 2)]
    assert rows(path, "SELECT count(*) FROM tokens WHERE revoked_at IS NULL") == [(ROUNDS,)]
