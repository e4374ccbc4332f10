"""Every message between the controller and its processes, made by a function with named fields.

An order goes to a process, a report comes back: news, and the earliest timer of an idle event loop. Orders and news are
plain tuples with their kind first, because ``marshal`` takes nothing else; ``docs/messages.md`` has a sentence for each.
The code that takes one in has a table from kinds to functions; their parameters are the fields in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.boundary.wire import Message

# --- orders to a worker: each has the virtual time in seconds first ----------------------------------------------------


def prepare(now: float, seed: str, db: str, alone: bool) -> Message:
    """Begin an execution, and open the application."""
    return "prepare", now, seed, db, alone


def call(
    now: float, lane: str, operation: str, arguments: Sequence[Any] | None, ahead: int, beginning: Message | None
) -> Message:
    """Invoke a call; with a *beginning* (seed, db, alone), begin an execution first."""
    return "call", now, lane, operation, arguments, ahead, beginning


def go(now: float, key: str, how: int, ahead: int, loses: str) -> Message:
    """Let the operation parked under *key* go, or end it as *how* says; cancel *loses* before it hears the result."""
    return "go", now, key, how, ahead, loses


def cancel(now: float, lane: str) -> Message:
    """Cancel the task that the lane began with."""
    return "cancel", now, lane


def answer(now: float, request: str, status: int, headers: Any, body: bytes) -> Message:
    """Bring the answer to a request to its client; status 0: the connection was closed."""
    return "answer", now, request, status, headers, body


def disconnect(now: float, request: str) -> Message:
    """Tell a serving worker that the client of a request has gone."""
    return "disconnect", now, request


def tick(now: float) -> Message:
    """Run the event loop, because timers are due."""
    return "tick", now


def where(now: float) -> Message:
    """Ask at which lines unfinished tasks wait. This is no step."""
    return "where", now


def look(now: float, subject: str) -> Message:
    """Ask for stacks (``frames``) or tables (``tables``), or debug a task. This is no step."""
    return "look", now, subject


def finish(now: float) -> Message:
    """Close the application and clean up: all calls have ended."""
    return "finish", now


def abort(now: float) -> Message:
    """Unwind and clean up: the execution is over as it stands."""
    return "abort", now


def modules() -> Message:
    """Ask which libraries the worker has imported since it was forked."""
    return ("modules",)


# --- news in the report of a worker ------------------------------------------------------------------------------------


def hello(pid: int) -> Message:
    """A fresh process serves."""
    return "hello", pid


def unopened(text: str) -> Message:
    """The application could not be opened."""
    return "unopened", text


def refused(text: str) -> Message:
    """The scenario's ``app`` gave no ASGI application, or the fork server can't do what it was told."""
    return "refused", text


def touches() -> Message:
    """Making the application touched shared state."""
    return ("touches",)


def parked(
    key: str,
    lane: str,
    kind: str,
    text: str,
    detail: str,
    place: Any,
    not_before: float | None,
    errors: tuple[str, ...],
    movable: bool,
) -> Message:
    """An operation waits to be let go, not before a time if one is given; it could end with one of *errors*."""
    return "parked", key, lane, kind, text, detail, place, not_before, errors, movable


def passed(lane: str, kind: str, text: str, detail: str, place: Any, accesses: tuple[Message, ...]) -> Message:
    """The task passed this point without asking; the step before it made *accesses*, which commute or are to the clock."""
    return "passed", lane, kind, text, detail, place, accesses


def waits(
    key: str, lane: str, kind: str, text: str, place: Any, resource: str, deadline: float, movable: bool
) -> Message:
    """A thread waits in memory until *resource* is released."""
    return "waits", key, lane, kind, text, place, resource, deadline, movable


def blocked(key: str, deadline: float, files: tuple[str, ...]) -> Message:
    """The operation that was let go waits for a lock on one of *files*."""
    return "blocked", key, deadline, files


def access(resource: str, mode: str) -> Message:
    """The step accessed *resource*."""
    return "access", resource, mode


def released(resource: str) -> Message:
    """A lock on *resource* was released."""
    return "released", resource


def busy(files: tuple[str, ...]) -> Message:
    """The operation was refused a lock on *files*."""
    return "busy", files


def error(text: str) -> Message:
    """The operation ended with an error."""
    return "error", text


def holds(files: tuple[str, ...]) -> Message:
    """The worker holds locks on *files* now."""
    return "holds", files


def tries_to_write(file: str) -> Message:
    """A transaction that reads *file* tried to write to it."""
    return "tries to write", file


def wrote_at_once(file: str) -> Message:
    """One statement took the right to write *file*, and released it again."""
    return "wrote at once", file


def visible() -> Message:
    """A wait for a lock has changed something that others can see."""
    return ("visible",)


def undivided() -> Message:
    """A statement ran in one piece that could be refused in the middle."""
    return ("undivided",)


def queued() -> Message:
    """The step added to the queue of the event loop."""
    return ("queued",)


def returned(lane: str, kind: str, value: Any, error: str) -> Message:
    """A call, or the serving of a request, has ended: ``ok`` with a value, or ``fail`` with a text and a type."""
    return "returned", lane, kind, value, error


def closed(left_open: list[str], error: str) -> Message:
    """The worker is out of the execution, and left these transactions open."""
    return "closed", left_open, error


def send(request: str, method: str, target: bytes, headers: Any, body: bytes) -> Message:
    """A client has sent a request."""
    return "send", request, method, target, headers, body


def gave_up(request: str) -> Message:
    """A client no longer waits for the answer to a request."""
    return "gave up", request


def respond(request: str, status: int, headers: Any, body: bytes) -> Message:
    """The application has answered; status 0: without an answer."""
    return "respond", request, status, headers, body


def listens(request: str) -> Message:
    """The application wants to know when the client of a request leaves."""
    return "listens", request


def raised(name: str, text: str) -> Message:
    """An exception has left the application."""
    return "raised", name, text


def session(pid: int) -> Message:
    """The worker has a session with PostgreSQL, by the server's process id."""
    return "session", pid


def note(text: str) -> Message:
    """Something for the notes of the run."""
    return "note", text


def unseen(name: str, text: str, place: str, mode: str, point: str) -> Message:
    """The code under test touched something uncontrolled."""
    return "unseen", name, text, place, mode, point


def outside(text: str, name: str) -> Message:
    """The code under test is about to wait for something uncontrolled."""
    return "outside", text, name


def broken(text: str) -> Message:
    """The worker can't go on."""
    return "broken", text


def waiting(lane: str, place: Any) -> Message:
    """A task waits at this line; an answer to ``where``."""
    return "waiting", lane, place


def frames(lane: str, found: list[Any]) -> Message:
    """The stack of a task; an answer to ``look``."""
    return "frames", lane, found


def table(label: str, name: str, columns: list[str], rows: list[list[str]]) -> Message:
    """A table that a connection sees; an answer to ``look``."""
    return "table", label, name, columns, rows


def debugged(found: bool) -> Message:
    """Whether the debugger found its task; an answer to ``look``."""
    return "debugged", found


# --- the fork server: orders, then reports -----------------------------------------------------------------------------


def fork(number: int) -> Message:
    """Fork worker *number*."""
    return "fork", number


def reap(number: int) -> Message:
    """Wait for the end of worker *number*'s process."""
    return "reap", number


def set_up(db: str, seed: str) -> Message:
    """Run the scenario's ``setup`` in a process of its own."""
    return "set up", db, seed


def ready(not_looked_for: list[int]) -> Message:
    """The fork server is there."""
    return "ready", not_looked_for


def unsupported(text: str) -> Message:
    """The fork server could not be made."""
    return "unsupported", text


def forked(pid: int) -> Message:
    """A worker was forked."""
    return "forked", pid


def reaped(code: int | None) -> Message:
    """A worker's process has ended."""
    return "reaped", code


def was_set_up(report: Any) -> Message:
    """``setup`` has ended."""
    return "set up", report
