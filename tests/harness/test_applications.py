"""What applications do beside answering: raise, answer with errors only, speak another interface."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException
from fastapi.responses import JSONResponse

from harness.control.run import run
from harness.errors import BadInput
from harness.project.applications import refusal
from harness.result import Result
from harness.scenario import Scenario, Workload
from harness.verdict import Verdict


async def call(http: Any) -> int:
    """Post once; return the status."""
    return int((await http.post("/op")).status_code)


def nothing(_: Path) -> None:
    """Make nothing."""


def raced(app: Callable[[Path], Any], **fields: Any) -> Scenario:
    """Return a scenario in which two clients post to *app*."""
    return Scenario(
        name="application",
        setup=nothing,
        app=app,
        operations={"call": call},
        workload=lambda workers: Workload.each("call", workers=workers),
        **fields,
    )


def explored(app: Callable[[Path], Any], **fields: Any) -> Result:
    """Explore the scenario over *app*."""
    return run(raced(app, **fields), max_executions=50, explain=False)


def answering(status: int, ending: Callable[[], None] | None = None) -> Callable[[Path], Any]:
    """Return what makes an application that answers with *status*, and calls *ending* when half of the answer has left."""

    def make(_: Path) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert scope["type"] == "http"
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": ending is not None})
            if ending is not None:
                ending()

        return app

    return make


def over_fastapi(kind: str) -> Callable[[Path], Any]:
    """Return what makes a FastAPI application that goes wrong as *kind* says."""

    def make(_: Path) -> Any:
        router = APIRouter()

        def fail() -> None:
            raise LookupError("nothing there")

        async def needs() -> None:
            if kind == "dependency":
                fail()

        async def fail_later() -> None:
            fail()

        @router.post("/op", dependencies=[Depends(needs)])
        async def op(later: BackgroundTasks) -> dict[str, int]:
            if kind == "background":
                later.add_task(fail_later)
            elif kind == "unavailable":
                raise HTTPException(503)
            elif kind in ("endpoint", "handled"):
                fail()
            return {}

        app = FastAPI()
        app.include_router(router)
        if kind == "handled":
            app.add_exception_handler(LookupError, lambda request, error: JSONResponse({}, 500))
        return app

    return make


def fail() -> None:
    """Raise."""
    raise LookupError("half-way")


@pytest.mark.forks
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["endpoint", "dependency", "background"])
def test_an_exception_that_leaves_an_application_is_a_failure(kind: str) -> None:
    """Wherever it is raised, and though the client was told 200 where it comes from a background task."""
    result = explored(over_fastapi(kind))
    assert result.verdict is Verdict.INVALID
    assert result.counterexample is not None
    failure = result.counterexample.failure
    assert failure is not None
    assert failure.sort == ("error", "LookupError")
    assert "nothing there" in failure.message
    assert "test_applications.py:" in failure.message
    assert "POST /op" in failure.message


@pytest.mark.forks
@pytest.mark.slow
def test_an_answer_that_breaks_off_is_a_failure() -> None:
    """A stream that raises half-way: the connection is closed, and the exception is what is told."""
    result = explored(answering(200, fail))
    assert result.verdict is Verdict.INVALID
    assert result.counterexample is not None
    assert "LookupError: half-way" in str(result.counterexample.failure)


@pytest.mark.forks
@pytest.mark.slow
@pytest.mark.parametrize(
    ("app", "fields"),
    [
        pytest.param(answering(500), {}, id="answers 500"),
        pytest.param(over_fastapi("unavailable"), {}, id="answers 503"),
        pytest.param(over_fastapi("handled"), {}, id="handler"),
        pytest.param(over_fastapi("endpoint"), {"expected_errors": ("LookupError",)}, id="expected"),
        pytest.param(over_fastapi("endpoint"), {"raising_fails": False}, id="raising is no failure"),
    ],
)
def test_a_run_in_which_every_answer_is_a_server_error_claims_nothing(
    app: Callable[[Path], Any], fields: dict[str, Any]
) -> None:
    """Whether the application raised or not."""
    result = explored(app, **fields)
    assert (result.verdict, result.complete) == (Verdict.UNKNOWN, False)
    assert "every answer of the application was a server error (50" in result.reasons[0]


@pytest.mark.forks
@pytest.mark.slow
def test_an_application_that_answers_is_valid() -> None:
    """One that knows no lifespan, too; and one that an async function makes."""
    assert explored(answering(204)).complete

    async def made_later(db: Path) -> Any:
        return answering(204)(db)

    assert explored(made_later).complete


class Wsgi:
    """As Flask's and Django's are."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer."""
        start_response("200 OK", [])
        return [b""]


def wsgi(environ: Any, start_response: Any, option: int = 0) -> Iterable[bytes]:
    """Answer, as a generator."""
    start_response("200 OK", [])
    yield b""


class Asgi:
    """An application of ASGI 3."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer nothing."""


class Endpoint:
    """A class whose instances are awaited, as Starlette's endpoints are."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        pass

    def __await__(self) -> Any:
        yield


class Asgi2:
    """An application of ASGI 2, which is called twice."""

    def __init__(self, scope: Any) -> None:
        pass

    async def __call__(self, receive: Any, send: Any) -> None:
        """Answer nothing."""


def middleware(inner: Any, *arguments: Any) -> Any:
    """Pass on."""
    return inner(*arguments)


@pytest.mark.parametrize("app", [Wsgi(), wsgi, Wsgi().__call__, partial(wsgi, option=1)])
def test_wsgi_is_refused_by_name(app: Any) -> None:
    """An instance, a generator, a bound method, a partial."""
    assert "is a WSGI application" in refusal(app)


@pytest.mark.parametrize("app", [Asgi(), Asgi().__call__, Endpoint, partial(middleware, Asgi()), partial(Asgi())])
def test_asgi_is_not_refused(app: Any) -> None:
    """Nor what nobody can tell by its signature."""
    assert refusal(app) == ""


@pytest.mark.parametrize(
    ("app", "what"),
    [(Asgi2, "ASGI 2"), (None, "no application at all"), (lambda a, b, c, d: None, "no application of ASGI")],
)
def test_what_is_no_application_is_refused(app: Any, what: str) -> None:
    """By what it is."""
    assert what in refusal(app)


@pytest.mark.parametrize(
    ("app", "what"), [(Wsgi(), "WSGI"), (wsgi, "WSGI"), (Asgi(), "an application itself"), ("app", "can't be called")]
)
def test_an_application_in_the_place_of_what_makes_it_is_refused(app: Any, what: str) -> None:
    """When the scenario is made."""
    with pytest.raises(BadInput, match=what):
        raced(app)


@pytest.mark.forks
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_wsgi_application_is_bad_input(jobs: int) -> None:
    """Before anything is raced, with several jobs too."""
    with pytest.raises(BadInput, match=r"Wsgi.*WSGI"):
        run(raced(lambda _: Wsgi()), jobs=jobs)


@pytest.mark.forks
@pytest.mark.slow
def test_wsgi_behind_a_wrapper_is_bad_input() -> None:
    """Whose signature says nothing: what it does when it is called does."""
    with pytest.raises(BadInput, match="WSGI"):
        run(raced(lambda _: partial(middleware, Wsgi())))
