"""Takes in the news of a worker's report: one function for each kind, whose parameters are the fields of the message.

``harness/boundary/messages.py`` makes them. News of operations that park or wait are taken in by ``transitions.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.control.execution.actors import Move, WorkerState
from harness.control.execution.network import answer, request
from harness.control.execution.state import ExecutionState
from harness.control.execution.worker_pool import Broke
from harness.values.history import Access
from harness.values.uncontrolled import Touch, allowed, touch_of, uncontrolled

__all__ = ["TABLE", "News"]

_accesses: dict[tuple[str, str], Access] = {}
"""One object for each access, because the same few come again and again."""


class News:
    """The outcome of the report on *move*.

    ``error`` is the operation's error; ``blocked`` says that it waits for a lock now, and ``visible`` that others can
    see that. It was refused a lock on one of the files ``busy`` at once; ``sent`` is the request that it sent.
    """

    __slots__ = ("accesses", "blocked", "busy", "error", "move", "sent", "visible")

    def __init__(self, move: Move, accesses: list[Access]) -> None:
        self.move, self.accesses = move, accesses
        self.error, self.blocked, self.visible, self.sent = "", False, False, ""
        self.busy: tuple[str, ...] = ()


def _access(execution: ExecutionState, _: WorkerState, news: News, resource: str, mode: str) -> None:
    key = resource, mode
    access = _accesses.get(key)
    if access is None:
        access = _accesses[key] = Access(resource, mode)
    news.accesses.append(access)
    if access.writes_data:
        execution.changed = True


def _released(execution: ExecutionState, _: WorkerState, __: News, resource: str) -> None:
    execution.pool.released(resource, execution.count)


def _visible(_: ExecutionState, __: WorkerState, news: News) -> None:
    news.visible = True


def _queued(_: ExecutionState, state: WorkerState, news: News) -> None:
    news.accesses.append(state.queue)


def _busy(_: ExecutionState, __: WorkerState, news: News, files: tuple[str, ...]) -> None:
    news.busy = files


def _error(_: ExecutionState, __: WorkerState, news: News, text: str) -> None:
    news.error = text


def _holds(_: ExecutionState, state: WorkerState, __: News, files: tuple[str, ...]) -> None:
    state.holds = files


def _send(execution: ExecutionState, _: WorkerState, news: News, name: str, *fields: Any) -> None:
    execution.network.sent(name, fields, execution.count)
    news.sent = name
    news.accesses.append(request(name))


def _respond(
    execution: ExecutionState, state: WorkerState, news: News, name: str, status: int, headers: Any, body: bytes
) -> None:
    if execution.network.responded(name, status, headers, body, execution.count) and status:
        execution.fault_offers.answered(state, name, None)
    news.accesses.append(answer(name))


def _raised(execution: ExecutionState, _: WorkerState, __: News, name: str, text: str) -> None:
    if name not in execution.expected_errors and execution.failed is None:
        execution.failed = name, text


def _gave_up(execution: ExecutionState, _: WorkerState, news: News, name: str) -> None:
    execution.network.gave_up(name)
    execution.fault_offers.goes_on(name)
    news.accesses.append(answer(name))


def _listens(execution: ExecutionState, _: WorkerState, news: News, name: str) -> None:
    execution.network.listens(name)
    news.accesses.append(answer(name))


def _session(_: ExecutionState, state: WorkerState, __: News, pid: int) -> None:
    state.sessions.append(pid)


def _closed(execution: ExecutionState, state: WorkerState, _: News, *__: Any) -> None:
    execution.participants.running.discard(state.worker.number)


def _note(execution: ExecutionState, _: WorkerState, __: News, text: str) -> None:
    execution.notes[text] = None


def _undivided(execution: ExecutionState, _: WorkerState, __: News) -> None:
    execution.undivided = True


def _tries_to_write(execution: ExecutionState, _: WorkerState, __: News, file: str) -> None:
    execution.tries_to_write.add(file)


def _wrote_at_once(execution: ExecutionState, _: WorkerState, __: News, file: str) -> None:
    execution.wrote_at_once.add(file)


def _unseen(execution: ExecutionState, state: WorkerState, _: News, *touch: Any) -> None:
    execution.unseen[touch_of(state.worker.number, touch)] = None


def _outside(execution: ExecutionState, state: WorkerState, _: News, text: str, name: str) -> None:
    if not allowed(name, execution.allows):
        raise Broke(f"Worker {state.worker.number} {uncontrolled(text, name)}")
    execution.unseen[Touch(name, f"ran {text}", state.worker.number, "")] = None


def _broken(_: ExecutionState, state: WorkerState, __: News, text: str) -> None:
    raise Broke(f"Worker {state.worker.number} can't go on: {text}.")


def _taken_before(_: ExecutionState, __: WorkerState, ___: News, *____: Any) -> None:
    """Points that were passed are steps already."""


TABLE: dict[str, Callable[..., None]] = {
    "access": _access,
    "released": _released,
    "visible": _visible,
    "queued": _queued,
    "busy": _busy,
    "error": _error,
    "holds": _holds,
    "send": _send,
    "respond": _respond,
    "raised": _raised,
    "gave up": _gave_up,
    "listens": _listens,
    "session": _session,
    "closed": _closed,
    "note": _note,
    "undivided": _undivided,
    "tries to write": _tries_to_write,
    "wrote at once": _wrote_at_once,
    "unseen": _unseen,
    "outside": _outside,
    "broken": _broken,
    "passed": _taken_before,
}
"""For each kind of news, the function that takes its fields in."""
