"""The limit on the size of requests, enforced before the application sees them."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from reference_impl.problems import MEDIA_TYPE

_Event = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Event]]
_Send = Callable[[_Event], Awaitable[None]]


class BodyLimit:
    """An ASGI middleware that answers 413 to a request with too large a body.

    Args:
        app: the application behind it.
        most: how many bytes a body may have.
    """

    def __init__(self, app: Callable[[_Event, _Receive, _Send], Awaitable[None]], most: int) -> None:
        self._app, self._most = app, most

    async def __call__(self, scope: _Event, receive: _Receive, send: _Send) -> None:
        """Read the body; pass the request on where it is small enough, else answer 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self._most:
            await self._refuse(send)
            return
        events: list[_Event] = []
        size = 0
        while not events or events[-1].get("more_body", False):
            events.append(await receive())
            size += len(events[-1].get("body", b""))
            if size > self._most:
                await self._refuse(send)
                return
        events.reverse()

        async def replay() -> _Event:
            return events.pop() if events else await receive()

        await self._app(scope, replay, send)

    async def _refuse(self, send: _Send) -> None:
        detail = f"a request may have {self._most} bytes"
        body = json.dumps(
            {"type": "about:blank", "title": "Content Too Large", "status": 413, "detail": detail}
        ).encode()
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})
