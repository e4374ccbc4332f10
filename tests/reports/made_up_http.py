"""A failing execution over HTTP made by hand, with every kind of message; and one that is very long."""

from __future__ import annotations

from dataclasses import replace

from harness.result import Failure
from harness.saved.counterexample import Counterexample
from harness.values.history import Access, Source, Step
from harness.values.tables import Changed, Row, TablesAt
from tests.reports.made_up import WRITES, counterexample, event, explained, step

__all__ = ["EVIL", "long", "marked_up", "over_http"]

EVIL = (
    "</script><script>window.owned=1</script><!--<img src=x onerror=window.owned=1>@DATA@@SCRIPT@\u2028\u202e&lt;\ud800"
)
"""What a page would obey, if it took it for anything but text."""

_CLIENTS = 2
"""The number of the process of clients, where there are two workers."""


def _touches(*names: str) -> tuple[Access, ...]:
    return tuple(Access(name, "w") for name in names)


def _client(lane: str, kind: str, text: str, *touched: str, choice: str = "") -> Step:
    made = step(f"w{_CLIENTS}:{lane}", kind, text, accesses=_touches(*touched))
    return made._replace(choice=choice or made.choice)


def over_http() -> Counterexample:
    """Return one in which a request arrives, one is doubled, one is lost, and an answer comes of a worker's death."""
    steps = [
        _client("c0", "call", "issue('alpha')", "client:c0", "request:c0#1"),
        step("w0:c0#1", "request", "POST /tokens", detail="{}", accesses=_touches("process:0", "request:c0#1")),
        step("w0:c0#1/1", "sql", "INSERT INTO tokens VALUES (1)", 9, accesses=WRITES),
        _client("c1", "call", "issue('alpha')", "client:c1", "request:c1#1"),
        _client("c1#1", "duplicate", "the request", "request:c1#1")._replace(choice="!duplicate:c1#1", worker=-1),
        step("w1:c1#1b", "request", "POST /tokens", accesses=_touches("process:1", "request:c1#1b")),
        step("w1:c1#1", "request", "POST /tokens", accesses=_touches("process:1", "request:c1#1")),
        step("w0:c0#1", "fetch", "fetchall", 10, accesses=_touches("answer:c0#1")),
        _client("c0", "answer", "201 {}", "answer:c0#1", choice="w2:c0#1"),
        step("w1:", "kill", "SIGKILL", accesses=_touches("answer:c1#1"))._replace(choice="!kill:w1"),
        _client("c1", "answer", "connection closed", "answer:c1#1", choice="w2:c1#1"),
        _client("c1", "timer", "timer", "client:c1", "request:c1#2", choice="w2:clock"),
        _client("c1#2", "lose", "the request", "request:c1#2")._replace(choice="!lose:c1#2", worker=-1),
    ]
    events = [event("invoke", 0, 0), event("invoke", 1, 3), event("ok", 0, 8, {"id": "1"})]
    return counterexample(steps, events, Failure("deadlock", "every call ends", "c1 waits", 12))


def marked_up() -> tuple[Counterexample, tuple[TablesAt, ...]]:
    """Return one with ``EVIL`` in every text that is shown, and so are the tables."""
    steps = [
        step("w0:c0", "call", f"issue({EVIL})"),
        step(f"w0:c0{EVIL}", "sql", EVIL, 3, detail=EVIL, error=EVIL, accesses=WRITES),
    ]
    steps[1] = steps[1]._replace(
        source=Source(f"/made/{EVIL}", 3, EVIL, EVIL), kind=EVIL, accesses=(Access(EVIL, "w"),)
    )
    # As many as the explanation names.
    steps += [step("w1:c1", "sql", EVIL, 4) for _ in range(8)]
    events = [event("invoke", 0, 0, call=EVIL), event("ok", 0, 1, {EVIL: EVIL}, call=EVIL)]
    found = counterexample(steps, events, Failure("invariant", EVIL, EVIL, 1), EVIL, (EVIL,))
    row = Row((EVIL, None), (0,))
    table = Changed(EVIL, EVIL, (EVIL, "n"), (row,), (row,), 1, 1)
    return replace(found, scenario=EVIL, explanation=explained(EVIL)), (TablesAt(1, (table,)),)


def long(steps: int) -> Counterexample:
    """Return one of so many *steps*, of four tasks in two workers in turns."""
    made = [
        step(
            f"w{number % 2}:c{number % 4}",
            "sql",
            f"UPDATE counters SET n = n + {number} WHERE name = ? AND kind IN ('a', 'b', 'c')",
            number % 900 + 1,
            detail="('some parameter', 42)",
            accesses=WRITES,
            preempts=number % 7 == 0,
            now=number // 100 * 0.05,
        )
        for number in range(steps)
    ]
    found = counterexample(made, [], Failure("invariant", "the last step", "it broke", steps - 1))
    return replace(found, scenario="long")
