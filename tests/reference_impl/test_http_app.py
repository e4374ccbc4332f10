"""The service over HTTP: every endpoint, and what it says to requests that are wrong."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from reference_impl import initialise
from reference_impl.app import create_app
from reference_impl.backend import Address
from reference_impl.client import AgentsClient
from reference_impl.containers import RecordedContainers
from reference_impl.settings import Settings, credential

SECRET = "alice's secret"
MANAGER = {"Authorization": f"Bearer {SECRET}"}
KEY = {"Idempotency-Key": "key"}
NEW = {"json": {"name": "Ada"}, "headers": MANAGER | KEY}


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Address:
    """Where a database may be made, of each kind."""
    if request.param == "postgres":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return tmp_path / "db"


def with_http(path: Address, work: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
    """Run *work* with a client of a fresh service over *path*."""

    async def main() -> Any:
        beside = path.with_name("containers.sqlite") if isinstance(path, Path) else path
        await initialise(path)
        await RecordedContainers.initialise(beside)
        managers = credential("alice", SECRET), credential("bob", "bob's secret")
        app = create_app(Settings(path, managers, containers=beside))
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
                return await work(http)

    return asyncio.run(main())


def dump(path: Path) -> list[str]:
    """Return the content of the database."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_an_agent_is_added_once_and_replays_are_equal(address: Address) -> None:
    """Status and body are the same, and the replay is marked as one."""

    async def work(http: httpx.AsyncClient) -> None:
        first, again = [await http.post("/api/agents", **NEW) for _ in range(2)]
        assert (first.status_code, first.json()["slug"]) == (201, "ada")
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert "Idempotent-Replayed" not in first.headers
        assert again.headers["Idempotent-Replayed"] == "true"
        listed = await http.get("/api/agents", headers=MANAGER)
        assert listed.json() == [first.json()]

    with_http(address, work)


def test_a_refusal_replays_as_the_same_refusal(address: Address) -> None:
    """A slug that is taken is an answer: 409 both times, the second marked as a replay."""

    async def work(http: httpx.AsyncClient) -> None:
        await http.post("/api/agents", **NEW)
        other = {"json": {"name": "ADA"}, "headers": MANAGER | {"Idempotency-Key": '"other"'}}
        first, again = [await http.post("/api/agents", **other) for _ in range(2)]
        assert (first.status_code, again.status_code, again.content) == (409, 409, first.content)
        assert again.headers["Idempotent-Replayed"] == "true"

    with_http(address, work)


def test_keys_belong_to_caller_and_endpoint_and_request(address: Address) -> None:
    """Another manager's key is another key, and so is another endpoint's; another request's is refused."""

    async def work(http: httpx.AsyncClient) -> None:
        bob = {"Authorization": "Bearer bob's secret"}
        await http.post("/api/agents", **NEW)
        others = await http.post("/api/agents", json={"name": "Bob"}, headers=bob | KEY)
        deployed = await http.post("/api/agents/deploy", json={"name": "Eve", "image": "i"}, headers=MANAGER | KEY)
        refused = await http.post("/api/agents", json={"name": "Mallory"}, headers=MANAGER | KEY)
        assert [others.status_code, deployed.status_code, refused.status_code] == [201, 201, 422]

    with_http(address, work)


def test_tokens_are_issued_used_rotated_and_revoked(address: Address) -> None:
    """A token works until it is replaced or revoked, and for its own agent."""

    async def work(http: httpx.AsyncClient) -> None:
        await http.post("/api/agents", **NEW)
        issued = await http.post("/api/agents/ada/token", headers=MANAGER)
        again = await http.post("/api/agents/ada/token", headers=MANAGER)
        rotated = await http.post("/api/agents/ada/token/rotate", headers=MANAGER)
        assert [issued.status_code, again.status_code, rotated.status_code] == [201, 409, 201]

        async def me(secret: str) -> tuple[int, Any]:
            answer = await http.get("/api/me", headers={"Authorization": f"Bearer {secret}"})
            return answer.status_code, answer.json().get("agent")

        assert await me(issued.json()["secret"]) == (401, None)
        assert await me(rotated.json()["secret"]) == (200, "ada")
        late = await http.request(
            "DELETE", "/api/agents/ada/token", json={"token_id": issued.json()["id"]}, headers=MANAGER
        )
        assert (late.status_code, await me(rotated.json()["secret"])) == (409, (200, "ada"))
        gone = await http.delete("/api/agents/ada", headers=MANAGER)
        assert (gone.status_code, await me(rotated.json()["secret"])) == (204, (401, None))

    with_http(address, work)


WRONG: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "no key": ("POST", "/api/agents", {"json": {"name": "Ada"}, "headers": MANAGER}, 400),
    "an empty key": ("POST", "/api/agents", NEW | {"headers": MANAGER | {"Idempotency-Key": '""'}}, 400),
    "a long key": ("POST", "/api/agents", NEW | {"headers": MANAGER | {"Idempotency-Key": "k" * 256}}, 400),
    "no name": ("POST", "/api/agents", NEW | {"json": {}}, 422),
    "a name of the wrong type": ("POST", "/api/agents", NEW | {"json": {"name": 7}}, 422),
    "a name without letters": ("POST", "/api/agents", NEW | {"json": {"name": "!!"}}, 422),
    "a field too many": ("POST", "/api/agents", NEW | {"json": {"name": "Ada", "x": 1}}, 422),
    "no JSON": ("POST", "/api/agents", {"content": b"{", "headers": MANAGER | KEY}, 422),
    "10 MB": ("POST", "/api/agents", {"content": b"x" * 10_000_000, "headers": MANAGER | KEY}, 413),
    "no secret": ("POST", "/api/agents", {"json": {"name": "Ada"}, "headers": KEY}, 401),
    "a wrong secret": ("POST", "/api/agents", NEW | {"headers": KEY | {"Authorization": "Bearer x"}}, 401),
    "an unknown agent": ("POST", "/api/agents/nobody/token", {"headers": MANAGER}, 404),
    "an unknown agent's rotation": ("POST", "/api/agents/nobody/token/rotate", {"headers": MANAGER}, 404),
    "an unknown agent's deletion": ("DELETE", "/api/agents/nobody", {"headers": MANAGER}, 404),
    "an unknown token": ("DELETE", "/api/agents/x/token", {"json": {"token_id": "t"}, "headers": MANAGER}, 409),
    "a bad token": ("GET", "/api/me", {"headers": {"Authorization": "Bearer a.b"}}, 401),
    "no token": ("GET", "/api/me", {}, 401),
    "an unknown path": ("GET", "/api/nothing", {}, 404),
    "a wrong method": ("PUT", "/api/agents", {"headers": MANAGER}, 405),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_request_is_told_so_and_writes_nothing(tmp_path: Path, what: str) -> None:
    """The documented status, a body that says what to do, and the database as it was."""
    method, url, options, status = WRONG[what]

    async def work(http: httpx.AsyncClient) -> httpx.Response:
        before.extend(dump(tmp_path / "db"))
        return await http.request(method, url, **options)

    before: list[str] = []
    answer = with_http(tmp_path / "db", work)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status
    assert answer.json()["detail"]
    assert dump(tmp_path / "db") == before


def test_no_secret_is_logged_or_shown(address: Address, caplog: pytest.LogCaptureFixture) -> None:
    """Not in the log, not in an error, not in what objects say of themselves."""
    caplog.set_level(logging.DEBUG, logger="reference_impl")
    said: list[str] = [repr(Settings(address, (credential("alice", SECRET),)))]

    async def work(http: httpx.AsyncClient) -> str:
        await http.post("/api/agents", **NEW)
        secret: str = (await http.post("/api/agents/ada/token", headers=MANAGER)).json()["secret"]
        for headers in (MANAGER, {"Authorization": f"Bearer {secret}"}):
            said.append((await http.post("/api/agents", content=b"{", headers=headers | KEY)).text)
        said.append((await http.post("/api/agents/ada/token", headers=MANAGER)).text)
        return secret

    secret = with_http(address, work)
    shown = "\n".join([*said, caplog.text])
    assert SECRET not in shown
    assert secret not in shown


def test_the_client_retries_with_its_key_and_not_without(address: Address) -> None:
    """A keyed request whose answer is lost is sent again; an issue is not."""

    class LosesFirstAnswer(httpx.AsyncBaseTransport):
        def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
            self.inner, self.lost = inner, 0

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            answer = await self.inner.handle_async_request(request)
            if not self.lost:
                self.lost += 1
                raise httpx.ReadTimeout("lost", request=request)
            return answer

    async def work(http: httpx.AsyncClient) -> None:
        inner = http._transport
        http._transport = LosesFirstAnswer(inner)
        client = AgentsClient(http, SECRET, backoff=0.001)
        added = await client.add_agent("Ada", key="key")
        assert (added.status, added.attempts, added.replayed) == (201, 2, True)
        http._transport = LosesFirstAnswer(inner)
        assert (await client.issue_token("ada")).status == 0
        rotated = await client.rotate_token("ada")
        assert rotated.status == 201

    with_http(address, work)


def test_openapi_describes_the_key_and_every_status(tmp_path: Path) -> None:
    """The header, its length, and the problems of each operation are in the document."""
    document = create_app(Settings(tmp_path / "db")).openapi()
    operation = document["paths"]["/api/agents"]["post"]
    (key,) = [each for each in operation["parameters"] if each["name"] == "Idempotency-Key"]
    assert (key["required"], key["schema"]["maxLength"]) == (True, 255)
    assert {"201", "400", "401", "409", "413", "422", "503"} <= set(operation["responses"])
