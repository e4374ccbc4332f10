"""A small ASGI application and its clients, as anybody might have them. Raced by ``test_http``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiosqlite
import httpx

from harness.scenario import Call, Client, Scenario, Workload
from tests.harness.counter import prepared
from tests.harness.sync_programs import ADD, READ, WRITE

TIMEOUT = 2.0


def application(db: Path) -> Any:
    """Return an application that counts in the database, in ways that its paths name."""

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for answer in ("startup", "shutdown"):
                assert (await receive())["type"] == f"lifespan.{answer}"
                await send({"type": f"lifespan.{answer}.complete"})
            return
        await receive()
        if scope["path"] == "/left":
            body = {"said": (await receive())["type"]}
        elif scope["path"] == "/slow":
            await asyncio.sleep(2 * TIMEOUT)
            body = await _count(db, "/add")
        else:
            body = await _count(db, scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    return handle


async def _count(db: Path, path: str) -> dict[str, Any]:
    if path == "/broken":
        raise ValueError("broken")
    async with aiosqlite.connect(db, isolation_level=None) as connection:
        if path == "/add":
            await connection.execute(ADD)
            return {"done": True}
        ((n,),) = await connection.execute_fetchall(READ)
        await connection.execute(WRITE, (n + 1,))
        return {"n": n + 1}


async def post(http: httpx.AsyncClient, path: str) -> object:
    """Post once; say what came of it."""
    try:
        answer = await http.post(path, timeout=TIMEOUT)
    except httpx.TransportError as error:
        return type(error).__name__
    return [answer.status_code, answer.text]


async def insist(http: httpx.AsyncClient, path: str) -> object:
    """Post until there is an answer, three times at most."""
    for _ in range(3):
        said = await post(http, path)
        if not isinstance(said, str):
            return said
    return "gave up"


def served(path: str, clients: int = 2, operation: str = "post", **fields: Any) -> Scenario:
    """Return a scenario in which so many clients post to *path*."""

    def workload(workers: int) -> Workload:
        return Workload(tuple(Client((Call(operation, (path,)),)) for _ in range(clients)), workers)

    options = {"setup": prepared(), "workload": workload, "ordered": False, **fields}
    operations: dict[str, Callable[..., Any]] = {"post": post, "insist": insist}
    return Scenario(name="web", app=application, operations=operations, **options)
