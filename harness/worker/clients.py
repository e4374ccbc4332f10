"""The process of clients: real ``httpx`` clients over a transport under the schedule's control.

Nothing is sent over a network: a request goes into the worker's report, and its answer comes as an order. A client sees
the same as over a socket: an answer, silence until its own time-out, or a closed connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx

from harness.boundary import messages
from harness.values.names import Task
from harness.worker.runtime import LANE, Runtime

__all__ = ["Clients", "Transport"]

BASE_URL = "http://service"
"""The base URL under which clients reach the service."""


class Transport(httpx.AsyncBaseTransport):
    """Carries the requests of one client."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request*, and return its answer, which must come within the request's read time-out.

        Raises ``httpx.ReadTimeout`` when it does not, and ``httpx.RemoteProtocolError`` when the connection was closed.
        """
        body = await request.aread()
        timeouts = request.extensions.get("timeout", {})
        status, headers, content = await self._clients.exchange(request, body, timeouts.get("read"))
        return httpx.Response(status, headers=headers, content=content, request=request)


class Clients:
    """The program of the process of clients: each operation gets an ``httpx.AsyncClient`` of its own."""

    concurrent = True
    open = None

    def __init__(self, operations: Any, runtime: Runtime) -> None:
        self._runtime = runtime
        self.operations = {name: partial(self._call, operation) for name, operation in operations.items()}
        self._sent: dict[str, int] = {}
        self._waiting: dict[str, asyncio.Future[tuple[int, Any, bytes]]] = {}

    def begin(self) -> None:
        """Forget the execution before this one."""
        self._sent.clear()
        self._waiting.clear()

    def close(self, _: object) -> None:
        """Close nothing."""

    async def _call(self, operation: Callable[..., Any], _: object, *arguments: Any) -> Any:
        # Without ``trust_env``: settings of the environment (proxies, certificates) must have no effect here, and reading
        # them takes long.
        async with httpx.AsyncClient(transport=Transport(self), base_url=BASE_URL, trust_env=False) as http:
            return await operation(http, *arguments)

    async def exchange(self, request: httpx.Request, body: bytes, timeout: float | None) -> tuple[int, Any, bytes]:
        """Send *request* under a name of its own, and return the status, headers and body of its answer.

        *timeout* is in virtual seconds, None for no limit. Raises ``httpx.ReadTimeout`` when it passes, and
        ``httpx.RemoteProtocolError`` when the connection was closed (an answer with status 0).
        """
        client = Task(LANE.get()).family
        number = self._sent[client] = self._sent.get(client, 0) + 1
        name = f"{client}#{number}"
        answer = self._waiting[name] = asyncio.get_running_loop().create_future()
        headers = [(key, value) for key, value in request.headers.raw]
        self._runtime.news.append(messages.send(name, request.method, request.url.raw_path, headers, body))
        try:
            async with asyncio.timeout(timeout):
                status, answered, content = await answer
        except TimeoutError:
            raise httpx.ReadTimeout(f"no answer within {timeout:g} s", request=request) from None
        finally:
            del self._waiting[name]
            if not answer.done() or answer.cancelled():
                self._runtime.news.append(messages.gave_up(name))
        if not status:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        return status, answered, content

    def take(self, name: str, status: int, headers: Any, body: bytes) -> None:
        """Give the answer to request *name*, which has arrived, to the client that waits for it, if it still waits."""
        answer = self._waiting.get(name)
        if answer is not None and not answer.done():
            answer.set_result((status, headers, body))
