"""Errors as HTTP responses: problem details (RFC 9457), without anything secret or internal."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from reference_impl import errors

LOG = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
REPLAYED = "Idempotent-Replayed"
RETRY_SOON = "1"

STATUSES: Mapping[type[errors.ServiceError], int] = {
    errors.InvalidName: 422,
    errors.UnknownAgent: 404,
    errors.SlugTaken: 409,
    errors.ActiveTokenExists: 409,
    errors.NoActiveToken: 409,
    errors.StillInProgress: 409,
    errors.KeyReused: 422,
    errors.ReservationLost: 409,
    errors.DatabaseBusy: 503,
    errors.StorageFailed: 503,
    errors.StoreFull: 503,
    errors.ContainerFailed: 503,
}
"""The status of each documented error."""

WORTH_RETRYING = (
    errors.StillInProgress,
    errors.ReservationLost,
    errors.DatabaseBusy,
    errors.StorageFailed,
    errors.StoreFull,
    errors.ContainerFailed,
)
"""Errors that say ``Retry-After``."""


def problem(
    status: int, detail: str, *, kind: str = "about:blank", headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return an error as problem details.

    Args:
        status: the HTTP status.
        detail: the problem and its remedy, for people.
        kind: the kind of problem, for programs.
        headers: more headers.

    Returns:
        The response.
    """
    body = {"type": kind, "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(body, status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


async def of_service(_: Request, error: Exception) -> JSONResponse:
    """Answer a documented error.

    Args:
        _: the request.
        error: the error.

    Returns:
        The response.
    """
    assert isinstance(error, errors.ServiceError)
    headers = {"Retry-After": RETRY_SOON} if isinstance(error, WORTH_RETRYING) else {}
    if error.replayed:
        headers[REPLAYED] = "true"
    return problem(STATUSES[type(error)], str(error), kind=type(error).__name__, headers=headers)


async def of_validation(_: Request, error: Exception) -> JSONResponse:
    """Answer a request that does not fit its description, without repeating its values.

    Args:
        _: the request.
        error: the error.

    Returns:
        The response.
    """
    assert isinstance(error, RequestValidationError)
    wrong: list[Any] = list(error.errors())
    said = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in wrong)
    key = any(each["loc"][:2] == ("header", "Idempotency-Key") for each in wrong)
    return problem(400 if key else 422, f"the request does not fit its description: {said}", kind="Invalid")


async def of_http(request: Request, error: Exception) -> JSONResponse:
    """Answer a request that the framework refuses.

    Args:
        request: the request.
        error: the error.

    Returns:
        The response.
    """
    assert isinstance(error, HTTPException)
    # The framework names the methods of one route only, where a path has several (RFC 9110, 10.2.1).
    headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers
    return problem(error.status_code, str(error.detail), headers=headers)


def _allowed(request: Request) -> str:
    routes: list[Any] = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    # Several paths may match (/agents/deploy, /agents/{slug}): it is the first that the request was refused for.
    return ", ".join(sorted({method for route in routes if route.path == routes[0].path for method in route.methods}))


async def of_anything(request: Request, error: Exception) -> JSONResponse:
    """Answer a defect of the service: log the error, and tell the client nothing about it.

    Args:
        request: the request.
        error: the error.

    Returns:
        The response.
    """
    LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem(500, "the service failed; retry with the same Idempotency-Key", headers={"Retry-After": RETRY_SOON})
