"""Tells which interface an application speaks, by its signature: ASGI can be raced, WSGI and others are refused."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

__all__ = ["NotServed", "refusal", "refusal_of_maker", "unlike"]


class NotServed(Exception):
    """The scenario's ``app`` returned something that can't be served. The message gives the reason and a remedy."""


_ENVIRON = ("environ", "env", "environment")
_UNLIMITED = 1_000
_WHAT_TO_DO = (
    "Give 'app' a function that takes the database and returns an ASGI application: an 'async def' or an object with an async "
    "'__call__' that takes scope, receive and send, as FastAPI's, Starlette's and Django's 'get_asgi_application()' are. "
    "Without one, race the functions behind the routes: leave 'app' out, and call them as operations."
)


def refusal(application: Any) -> str:
    """Return why *application*, which ``app(db)`` returned, can't be served as ASGI; an empty text where it can, or may."""
    kind = _kind(application)
    if not kind:
        return ""
    return f"What app(db) returned, {_named(application)}, is {kind}, and only ASGI applications can be raced. {_WHAT_TO_DO}"


def unlike(application: Any, why: object) -> str:
    """Return the refusal of *application*, which was called as ASGI's are, and that did not go: *why*."""
    return (
        f"What app(db) returned, {_named(application)}, can't be called as an ASGI application with scope, receive and send "
        f"({why}). Is it a WSGI application, or does it wrap one? {_WHAT_TO_DO}"
    )


def refusal_of_maker(maker: Any) -> str:
    """Return why *maker* can't be a scenario's ``app``, which is called with the database; an empty text where it can be."""
    if callable(maker):
        parameters = _positional(maker)
        if parameters is None or _fits(parameters, 1):
            return ""
        kind = _kind(maker)
        what = f"which is {kind}" if kind else "which takes three arguments, so it is an application itself"
        if not kind and not _fits(parameters, 3):
            what = "which can't be called with one argument"
    else:
        what = "which can't be called"
    return f"'app' is {_named(maker)}, {what}. {_WHAT_TO_DO}"


def _kind(application: Any) -> str:
    """Return a description of *application* if it certainly is no ASGI application, otherwise an empty string."""
    if not callable(application):
        return "no application at all (it can't be called)"
    parameters = _positional(application)
    if parameters is None or (_is_async(application) and _fits(parameters, 3)):
        return ""
    names, least, most = parameters
    if least == 2 or (names[:1] and names[0] in _ENVIRON and most >= 2):
        return "a WSGI application (it takes two arguments, the environment and start_response, as Flask's and Django's do)"
    if most == 1:
        return "an application of ASGI 2 (it takes the scope alone); asgiref.compatibility.guarantee_single_callable adapts it"
    if not _fits(parameters, 3):
        return "no application of ASGI (it can't be called with scope, receive and send)"
    return ""


def _positional(application: Any) -> tuple[list[str], int, int] | None:
    """Return the names of the parameters by position, how many must be given and how many can be; None if nobody knows."""
    try:
        parameters = inspect.signature(application).parameters.values()
    except (TypeError, ValueError):
        return None
    by_position = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    least = sum(each.default is each.empty for each in by_position)
    unlimited = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    return [each.name for each in by_position], least, _UNLIMITED if unlimited else len(by_position)


def _fits(parameters: tuple[list[str], int, int], count: int) -> bool:
    return parameters[1] <= count <= parameters[2]


def _is_async(application: Any) -> bool:
    while isinstance(application, partial):
        application = application.func
    return inspect.iscoroutinefunction(application) or inspect.iscoroutinefunction(type(application).__call__)


def _named(value: Any) -> str:
    name = getattr(value, "__qualname__", None)
    return f"{name!r}" if isinstance(name, str) else f"an object of {type(value).__module__}.{type(value).__qualname__}"
