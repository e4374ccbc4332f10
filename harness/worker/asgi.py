"""A worker that serves an ASGI application: requests come as orders, answers go into the report.

The application sees the same as under a server such as uvicorn: its lifespan is run; a handler goes on after its client has
gone, and the events that it sends then are dropped (ASGI specification, "HTTP & WebSocket ASGI Message Format", "Lifespan
Protocol").
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from harness.boundary import messages
from harness.project.applications import NotServed, refusal, unlike
from harness.worker.error_text import raised_at, said
from harness.worker.event_loop.loop import VirtualLoop
from harness.worker.runtime import LANE, Aborted, Runtime

__all__ = ["Served"]

_Event = MutableMapping[str, Any]
_VERSIONS = {"version": "3.0", "spec_version": "2.3"}


class Served:
    """The program of a worker that serves an application; its one operation is to serve a request."""

    concurrent = True

    def __init__(self, app: Callable[[Path], Any], runtime: Runtime) -> None:
        self._make, self._runtime = app, runtime
        self.operations = {"request": self._request}
        self._exchanges: dict[str, _Exchange] = {}

    def begin(self) -> None:
        """Forget the execution before this one."""
        self._exchanges.clear()

    async def open(self, db: Path) -> _Lifespan:
        """Make the application over the database *db* and start it up.

        Raises ``NotServed`` if it is no ASGI application, and ``RuntimeError`` if it says that its start-up failed.
        """
        application = self._make(db)
        if inspect.isawaitable(application) and not callable(application):
            application = await application
        if why := refusal(application):
            raise NotServed(why)
        lifespan = _Lifespan(application)
        await lifespan.start()
        return lifespan

    async def close(self, lifespan: _Lifespan) -> None:
        """Shut the application down; raises ``RuntimeError`` if that fails."""
        await lifespan.stop()

    async def _request(
        self, lifespan: _Lifespan, method: str, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> None:
        lane = LANE.get()
        exchange = self._exchanges[lane] = _Exchange(self._runtime, lane, body)
        try:
            answering = lifespan.app(_scope(method, target, headers, lifespan.state), exchange.receive, exchange.send)
            if not inspect.isawaitable(answering):
                raise TypeError(
                    f"the application returned {type(answering).__name__}, which can't be awaited: is it ASGI?"
                )
            await answering
        except Aborted:
            raise
        except asyncio.CancelledError:
            exchange.end()
        except BaseException as error:
            self._raised(error, f"{method} {target.decode(errors='replace')}")
            exchange.fail()
        else:
            exchange.fail()

    def _raised(self, error: BaseException, served: str) -> None:
        """Report an exception that has left the application; a server would log it. *served* is the method and the target."""
        name, text = type(error).__name__, said(error)
        place = raised_at(error)
        line = f" ({place[0].rpartition('/')[2]}:{place[1]} in {place[2]})" if place is not None else ""
        self._runtime.news.append(messages.error(f"{name}: {text}"))
        self._runtime.news.append(
            messages.raised(name, f"the application raised {name}: {text}{line}, while it served {served}")
        )

    def take(self, name: str) -> None:
        """Tell the handler of request *name* that its client has gone."""
        exchange = self._exchanges.get(name)
        if exchange is not None:
            exchange.disconnected()


class _Exchange:
    """One request and its answer."""

    def __init__(self, runtime: Runtime, lane: str, body: bytes) -> None:
        self._runtime, self._lane = runtime, lane
        self._body: bytes | None = body
        self._status, self._content = 0, b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._answered = self._gone = self._told = False
        self._going: asyncio.Future[None] | None = None

    async def receive(self) -> _Event:
        """Return the whole body at the first call; at later calls wait until the client has gone or been answered."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        if not (self._answered or self._gone):
            if not self._told:
                self._told = True
                self._runtime.news.append(messages.listens(self._lane))
            if self._going is None or self._going.done():
                self._going = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._going)
        return {"type": "http.disconnect"}

    async def send(self, event: _Event) -> None:
        """Collect the parts of the answer; the whole answer is sent when its last part has come."""
        if event["type"] == "http.response.start":
            self._status = event["status"]
            self._headers = [(bytes(key), bytes(value)) for key, value in event.get("headers", ())]
        elif event["type"] == "http.response.body":
            self._content += event.get("body", b"")
            if not event.get("more_body", False):
                self._respond()

    def _respond(self) -> None:
        if not self._answered:
            self._answered = True
            self._runtime.news.append(messages.respond(self._lane, self._status, self._headers, self._content))
            self._wake()

    def fail(self) -> None:
        """End the request after its application has ended; do nothing if the whole answer has been sent.

        Answers with status 500, as a server does, if no answer has begun; else closes the connection.
        """
        if self._status:
            self.end()
        elif not self._answered:
            self._status, self._content = 500, b"Internal Server Error"
            self._headers = [(b"content-type", b"text/plain; charset=utf-8")]
            self._respond()

    def end(self) -> None:
        """Close the connection, unless the whole answer has been sent."""
        if not self._answered:
            self._status, self._headers, self._content = 0, [], b""
            self._respond()

    def disconnected(self) -> None:
        """Note that the client has gone, and wake ``receive``."""
        self._gone = True
        self._wake()

    def _wake(self) -> None:
        if self._going is not None and not self._going.done():
            self._going.set_result(None)


class _Lifespan:
    """The application between start-up and shut-down. An application without the lifespan protocol runs without it."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.state: dict[str, Any] = {}
        self._orders: asyncio.Queue[_Event] = asyncio.Queue()
        self._answers: asyncio.Queue[_Event] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._known = False
        self.refused = ""

    async def start(self) -> None:
        """Start the application up.

        Raises ``NotServed`` if it is no ASGI application, and ``RuntimeError`` if it says that its start-up failed.
        """
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        # It runs in the lane of no client and is not counted as live, because it has no part in the race.
        self._task = loop.start(self._run(), "main")
        self._orders.put_nowait({"type": "lifespan.startup"})
        answer = await self._answers.get()
        self._known = answer["type"] == "lifespan.startup.complete"
        if self.refused:
            raise NotServed(self.refused)
        if answer["type"] == "lifespan.startup.failed":
            raise RuntimeError(f"the application's start-up failed: {answer.get('message') or 'it gave no reason'}")

    async def stop(self) -> None:
        """Shut the application down; raises ``RuntimeError`` when that fails."""
        if not self._known or self._task is None:
            return
        self._orders.put_nowait({"type": "lifespan.shutdown"})
        answer = await self._answers.get()
        if answer["type"] != "lifespan.shutdown.complete":
            raise RuntimeError(f"the application's shut-down failed: {answer.get('message') or 'it gave no reason'}")

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": _VERSIONS, "state": self.state}
        try:
            await self._called(scope)
        except Aborted:
            raise
        except Exception as error:
            # As under uvicorn's lifespan "auto": an exception before the first answer means that there is no lifespan.
            failed = "lifespan.shutdown.failed" if self._known else "unknown"
            self._answers.put_nowait({"type": failed, "message": f"{type(error).__name__}: {error}"})
        else:
            self._answers.put_nowait({"type": "lifespan.shutdown.complete" if self._known else "unknown"})

    async def _called(self, scope: dict[str, Any]) -> None:
        try:
            answering = self.app(scope, self._orders.get, self._answers.put)
        except TypeError as error:
            # A ``TypeError`` from the call itself: the application does not take three arguments, so it is no ASGI
            # application. An application that raises anything else may only lack the lifespan protocol.
            self.refused = unlike(self.app, error)
            raise
        if not inspect.isawaitable(answering):
            self.refused = unlike(self.app, f"it returned {type(answering).__name__}, which can't be awaited")
            raise TypeError(self.refused)
        await answering


def _scope(method: str, target: bytes, headers: list[tuple[bytes, bytes]], state: dict[str, Any]) -> dict[str, Any]:
    path, _, query = target.partition(b"?")
    return {
        "type": "http",
        "asgi": _VERSIONS,
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": [(key.lower(), value) for key, value in headers],
        "client": ("127.0.0.1", 50_000),
        "server": ("service", 80),
        "state": state.copy(),
    }
