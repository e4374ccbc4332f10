"""The service over HTTP. Only the application's lifespan opens the database; making the application does not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException as AnyHTTPException

from reference_impl import problems
from reference_impl.agents import Created
from reference_impl.auth import Caller, Manager
from reference_impl.containers import RecordedContainers
from reference_impl.deployments import recover_quietly
from reference_impl.errors import ServiceError
from reference_impl.limits import BodyLimit
from reference_impl.service import OpenService, Service, open_service
from reference_impl.settings import Settings

LONGEST_KEY = 255


class NewAgent(BaseModel):
    """A request to add an agent."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: str = Field(min_length=1, max_length=200, pattern="[A-Za-z0-9]", description="Needs a letter or digit.")


class NewDeployment(NewAgent):
    """A request to add an agent and start its container."""

    image: str = Field(min_length=1, max_length=200)


class Revocation(BaseModel):
    """A request to revoke one token."""

    model_config = ConfigDict(extra="forbid", strict=True)
    token_id: str = Field(min_length=1, max_length=64)


class AgentOut(BaseModel):
    """An agent."""

    id: str
    slug: str
    name: str


class TokenOut(BaseModel):
    """A token, shown this once."""

    id: str
    agent: str
    secret: str


class Problem(BaseModel):
    """An error, as problem details."""

    type: str
    title: str
    status: int
    detail: str


def _documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": "A problem", "content": {problems.MEDIA_TYPE: {"schema": schema}}}
        for status in (400, 401, 413, 422, 500, 503, *statuses)
    }


async def idempotency_key(
    given: Annotated[
        str,
        Header(
            alias="Idempotency-Key",
            description="Chosen by the client, new for each request and the same for its retries: printable ASCII, at most"
            " 255 characters, plain or as a quoted string (IETF draft, The Idempotency-Key HTTP Header Field).",
            min_length=1,
            max_length=LONGEST_KEY,
            pattern="^[ -~]+$",
        ),
    ],
) -> str:
    """Return the key that the client chose, without its quotes.

    Args:
        given: the header.

    Returns:
        The key.

    Raises:
        HTTPException: 400, where nothing is between the quotes.
    """
    key = given[1:-1] if len(given) >= 2 and given[0] == given[-1] == '"' else given
    if not key.strip():
        raise HTTPException(400, "the Idempotency-Key is empty: choose one, such as a UUID")
    return key


Key = Annotated[str, Depends(idempotency_key)]


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _created(created: Created) -> JSONResponse:
    agent = created.agent
    headers = {problems.REPLAYED: "true"} if created.replayed else None
    return JSONResponse({"id": agent.id, "slug": agent.slug, "name": agent.name}, status_code=201, headers=headers)


def create_app(settings: Settings, opens: OpenService = open_service) -> FastAPI:
    """Make the application.

    Args:
        settings: the deployment's settings.
        opens: makes the service; by default the standard one.

    Returns:
        The application; it may be started and shut down any number of times.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        containers = RecordedContainers(settings.containers) if settings.containers else None
        service = await opens(
            settings.database,
            busy_timeout=settings.busy_timeout,
            patience=settings.patience,
            lease=settings.lease,
            retention=settings.retention,
            capacity=settings.capacity,
            containers=containers,
        )
        app.state.service = service
        recovery = asyncio.create_task(_recover(service, settings.recover_every)) if settings.recover_every else None
        try:
            yield
        finally:
            if recovery is not None:
                recovery.cancel()
                with suppress(asyncio.CancelledError):
                    await recovery
            await service.close()
            if containers is not None:
                await containers.close()

    app = FastAPI(title="Agents", version="1", lifespan=lifespan)
    app.state.settings = settings
    app.add_middleware(BodyLimit, most=settings.most_body)
    app.add_exception_handler(ServiceError, problems.of_service)
    app.add_exception_handler(RequestValidationError, problems.of_validation)
    app.add_exception_handler(AnyHTTPException, problems.of_http)
    app.add_exception_handler(Exception, problems.of_anything)
    _add_agents(app)
    _add_tokens(app)
    # The responses refer to it by name, as FastAPI would describe a model under application/json only.
    app.openapi()["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    return app


async def _recover(service: Service, every: float) -> None:
    """Complete the deployments that crashed workers left; do so again after every *every* seconds."""
    while True:
        if service.deployments is not None:
            await recover_quietly(service.deployments)
        await asyncio.sleep(every)


def _add_agents(app: FastAPI) -> None:
    @app.post("/api/agents", status_code=201, response_model=AgentOut, responses=_documented(409))
    async def add_agent(new: NewAgent, caller: Manager, key: Key, request: Request) -> Response:
        """Add an agent, once per Idempotency-Key."""
        return _created(await _service(request).agents.create(new.name, caller=caller, key=key))

    @app.post("/api/agents/deploy", status_code=201, response_model=AgentOut, responses=_documented(409))
    async def deploy_agent(new: NewDeployment, caller: Manager, key: Key, request: Request) -> Response:
        """Add an agent and start its container, once per Idempotency-Key."""
        deployments = _service(request).deployments
        if deployments is None:
            raise HTTPException(503, "there is nowhere to deploy to: the service was started without containers")
        return _created(await deployments.deploy(new.name, new.image, caller=caller, key=key))

    @app.get("/api/agents", response_model=list[AgentOut], responses=_documented())
    async def list_agents(_: Manager, request: Request) -> Response:
        """List the agents, the oldest first."""
        agents = await _service(request).agents.list()
        return JSONResponse([{"id": agent.id, "slug": agent.slug, "name": agent.name} for agent in agents])

    @app.delete("/api/agents/{slug}", status_code=204, responses=_documented(404))
    async def delete_agent(slug: str, _: Manager, request: Request) -> Response:
        """Delete an agent and revoke its token. A retry after an unknown outcome is safe: 404 says that the agent is gone."""
        await _service(request).agents.delete(slug)
        return Response(status_code=204)

    @app.get("/healthz", response_model=dict[str, str], responses={503: _documented()[503]})
    async def healthz(request: Request) -> Response:
        """Report that this worker serves and reaches its database."""
        await _service(request).tokens.verify("")
        return JSONResponse({"status": "ok"})


def _add_tokens(app: FastAPI) -> None:
    @app.post("/api/agents/{slug}/token", status_code=201, response_model=TokenOut, responses=_documented(404, 409))
    async def issue_token(slug: str, _: Manager, request: Request) -> Response:
        """Issue a token to an agent that has none. After an unknown outcome, rotate the token: a lost one stops working."""
        token = await _service(request).tokens.issue(slug)
        return JSONResponse({"id": token.id, "agent": token.agent, "secret": token.secret}, status_code=201)

    @app.post(
        "/api/agents/{slug}/token/rotate", status_code=201, response_model=TokenOut, responses=_documented(404, 409)
    )
    async def rotate_token(slug: str, _: Manager, request: Request) -> Response:
        """Replace an agent's token. A retry after an unknown outcome is safe."""
        token = await _service(request).tokens.rotate(slug)
        return JSONResponse({"id": token.id, "agent": token.agent, "secret": token.secret}, status_code=201)

    @app.delete("/api/agents/{slug}/token", status_code=204, responses=_documented(409))
    async def revoke_token(slug: str, revocation: Revocation, _: Manager, request: Request) -> Response:
        """Revoke one token of an agent, named by its id, so that a late request can't revoke the token's successor."""
        await _service(request).tokens.revoke(slug, revocation.token_id)
        return Response(status_code=204)

    @app.get("/api/me", response_model=dict[str, str], responses=_documented())
    async def me(agent: Caller) -> Response:
        """Return the slug of the agent that the token belongs to."""
        return JSONResponse({"agent": agent})
