"""The speed of adding an agent over HTTP: two clients with one key, FastAPI, the reference's own client.

The floor is the same two requests, one after the other, through `httpx.ASGITransport`, in one process on one core. In each
execution the database is written anew, and the application is started and shut down.
"""

from __future__ import annotations

import asyncio
import time
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from benchmarks.floor import Template, one_core
from benchmarks.in_sequence import InSequence
from reference_impl.app import create_app
from reference_impl.client import AgentsClient
from reference_impl.schema import initialise
from reference_impl.settings import Settings, credential

SECRET, CLIENTS = "manager's secret", 2


@cache
def application(db: Path) -> Any:
    """Return the service over the database `db`, made once in a process as users make it; each execution starts it anew."""
    return create_app(Settings(db, (credential("caller", SECRET),)))


def set_up(db: Path) -> None:
    """Make an empty database."""
    asyncio.run(initialise(db))


async def add_agent(http: httpx.AsyncClient) -> int:
    """Make one call of one client, and return the status of its answer."""
    return (await AgentsClient(http, SECRET).add_agent("Alpha", key="key")).status


def floor_rate(executions: int, folder: Path) -> dict[str, Any]:
    """Measure the floor, on one core."""
    with one_core():
        template = Template(folder, set_up)
        asyncio.run(_in_sequence(template, max(executions // 10, 1)))  # warm
        return {"rate": asyncio.run(_in_sequence(template, executions)), "executions": executions}


async def _in_sequence(template: Template, executions: int) -> float:
    app = application(template.put_back())
    transport = httpx.ASGITransport(app)
    started = time.perf_counter()
    for _ in range(executions):
        template.put_back()
        async with app.router.lifespan_context(app):
            for _ in range(CLIENTS):
                async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
                    status = await add_agent(http)
                    assert status == 201, f"answered {status}"
    return executions / (time.perf_counter() - started)


def our_rate(executions: int, *, checked: bool, interleaved: bool = True) -> dict[str, Any]:
    """Measure the harness: *executions* random interleavings over two workers, or one request after the other.

    With `checked`, the agents are counted after each execution.
    """
    from harness.control.run import run
    from harness.scenario import Check, Scenario, Workload

    scenario = Scenario(
        name="add-agent-over-http",
        setup=set_up,
        app=application,
        operations={"add_agent": add_agent},
        workload=lambda workers: Workload.each("add_agent", workers=workers),
        at_end=(Check("one agent", one_agent),) if checked else (),
        ordered=False,
    )
    scheduler = "random" if interleaved else InSequence()
    result = run(scenario, workers=2, scheduler=scheduler, seed=1, max_executions=executions)
    return {
        "rate": result.executions / result.seconds,
        "executions": result.executions,
        "seconds": result.seconds,
        "startup_seconds": result.startup_seconds,
        "verdict": str(result.verdict),
    }


def one_agent(db: Path) -> bool:
    """Return whether there is exactly one agent."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(db)) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM agents")
    return bool(count == 1)
