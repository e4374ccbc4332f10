"""Executions made by hand, and their golden transcripts, which `python -m tests.reports.made_up` writes."""

from __future__ import annotations

from pathlib import Path

from harness.control.repeating.comparing import conflicts
from harness.reports.text.transcript import transcript
from harness.result import Failure
from harness.saved.counterexample import Counterexample, MadeWith
from harness.scenario import Call, Client, Workload
from harness.values.explanation import Exchange, Explanation, Named, Place, Window
from harness.values.history import Access, Event, History, Source, Step
from harness.values.schedule import Schedule

GOLDEN = Path(__file__).parent / "golden"
WIDTHS = (60, 80, 140)
MADE_WITH = MadeWith("0.1.0", "3.11.7", "3.40.1", "0")

READS, WRITES = (Access("data:db.sqlite", "r"),), (Access("data:db.sqlite", "w"),)

_SELECT = "SELECT id\n  FROM tokens\n WHERE agent = ? AND revoked_at IS NULL"
_INSERT = "INSERT INTO tokens (id, agent, secret_hash, issued_at) VALUES (?, ?, ?, ?)"


def step(task: str, kind: str, text: str, line: int = 0, **more: object) -> Step:
    """Return a step of *task* (``w0:c0``) at *line* of a made-up file."""
    worker, lane = int(task[1]), task.partition(":")[2]
    source = Source("/made/up/tokens.py", line, "issue") if line else None
    values = {"detail": "", "now": 0.0, "accesses": (Access("data:db.sqlite", "r"),), **more}
    return Step(choice=task, worker=worker, lane=lane, kind=kind, text=text, source=source, **values)  # type: ignore[arg-type]


def event(kind: str, client: int, at: int, value: object = None, error: str = "", call: str = "issue") -> Event:
    """Return an event of the call *call* that *client* makes in the worker of its number."""
    return Event(kind, f"c{client}", 0, client, call, ("alpha",), at, 0.0, value, error)


def counterexample(
    steps: list[Step],
    events: list[Event],
    failure: Failure,
    variant: str = "",
    left_open: tuple[str, ...] = (),
) -> Counterexample:
    """Return a counterexample in which two clients issue a token in two workers."""
    return Counterexample(
        scenario="issue-token",
        variant=variant,
        workers=2,
        scheduler="exhaustive",
        seed=0,
        workload=Workload(tuple(Client((Call("issue", ("alpha",), number),)) for number in (0, 1))),
        steps=tuple(steps),
        history=History(tuple(events), left_open),
        failure=failure,
        made_with=MADE_WITH,
    )


def explained(evil: str = "") -> Explanation:
    """Return the explanation of a check-then-insert, *evil* being in all that the code under test has a say in."""
    opens = Named(step("w0:c0", "sql", f"SELECT{evil}", 88, accesses=READS), 1)
    came = Named(step("w1:c1", "sql", f"INSERT INTO{evil}", 95, accesses=WRITES), 9)
    closes = Named(step("w0:c0", "sql", "INSERT INTO", 95, accesses=WRITES), 6)
    if evil:
        closes = closes._replace(step=closes.step._replace(source=Source(f"/x/{evil}", 1, "f", f"{evil}:2")))
    places = (Place(-2, "passes"), Place(-1, "fails"), Place(0, "fails"), Place(1, "passes"))
    pair = Exchange(
        opens, came, conflicts(opens.step, came.step), Schedule(("w0:c0", "w1:c1")), Schedule(("w1:c1", "w0:c0")), 0
    )
    window = Window(3, True, opens, closes, came, places, opening=pair)
    return Explanation((window,), (), True, 9, 6, 1, 12, 0.25, run_executions=2, run_failures=1)


def blocked() -> Counterexample:
    """Return one in which a task waits for a lock and goes on, and another gives up."""
    steps = [
        step("w0:c0", "call", "issue('alpha')"),
        step("w0:c0", "sql", _SELECT, 88, detail="('alpha',)"),
        step("w0:c0", "sql", "BEGIN IMMEDIATE", 91),
        step("w1:c1", "call", "issue('alpha')", preempts=True),
        step("w1:c1", "sql", _SELECT, 88, detail="('alpha',)"),
        step("w1:c1", "sql", "BEGIN IMMEDIATE", 91, waited=True),
        step("w0:c0", "sql", _INSERT, 95, detail="('1c02b9da66b1e3ee', 'alpha', 'b1946ac9', 1700000000.0)"),
        step("w0:c0", "commit", "COMMIT", 97),
        step("w1:c1", "sql", "BEGIN IMMEDIATE", 91, resumed=True),
        step("w1:c1", "sql", _INSERT, 95, detail="('244ca48da4ca40de', 'alpha', '591785b7', 1700000000.0)"),
        step("w0:c0/1", "sql", "BEGIN IMMEDIATE", 120, waited=True, preempts=True),
        step("w0:c0/1", "sql", "BEGIN IMMEDIATE", 120, resumed=True, waited=True),
        step(
            "w0:c0/1",
            "sql",
            "BEGIN IMMEDIATE",
            120,
            now=5.0,
            resumed=True,
            gave_up=True,
            error="OperationalError: database is locked",
        ),
        step("w1:c1", "commit", "COMMIT", 97, now=5.0),
    ]
    events = [
        event("invoke", 0, 0),
        event("invoke", 1, 3),
        event("ok", 0, 7, {"id": "1c02b9da66b1e3ee", "agent": "alpha"}),
        event("ok", 1, 13, {"id": "244ca48da4ca40de", "agent": "alpha"}),
    ]
    failure = Failure("invariant", "one active token per agent", "agent 'alpha' has 2 active tokens", 13)
    return counterexample(steps, events, failure, "t01-check-then-insert", ("w0: db.sqlite opened at tokens.py:20",))


def killed() -> Counterexample:
    """Return one in which a worker is killed, so that nobody knows, and another client is refused."""
    steps = [
        step("w0:c0", "call", "issue('alpha')"),
        step("w0:c0", "sql", "BEGIN IMMEDIATE", 91),
        step("w0:", "kill", "SIGKILL")._replace(choice="!kill:w0"),
        step("w1:c1", "call", "issue('alpha')"),
        step("w1:c1", "sql", "BEGIN IMMEDIATE", 91, error="OperationalError: disk I/O error"),
    ]
    events = [
        event("invoke", 0, 0),
        event("info", 0, 2),
        event("invoke", 1, 3),
        event("fail", 1, 4, "disk I/O error", "OperationalError"),
    ]
    return counterexample(steps, events, Failure("error", "OperationalError", "issue raised it:\ndisk I/O error", 4))


def hostile() -> Counterexample:
    """Return one full of text that a terminal would obey, that hides, that is wide or has no end."""
    evil = "\x1b[2J\x1b]0;owned\x07\r\x08 \u202egnol\u202c \ud800 \u2028 \x9b31m"
    steps = [
        step("w0:c0", "call", f"issue({evil!r})"),
        step("w0:c0", "sql", f"SELECT '{evil}'", 1, detail="日本語" * 40),
        step("w1:c1", "sql", "x" * 500, 2, error=f"Error: {evil}", preempts=True),
    ]
    steps[2] = steps[2]._replace(source=Source(f"/made/up/{'long' * 20}\x1b[31m.py", 2, "f"))
    events = [event("invoke", 0, 0), event("ok", 0, 1, evil), event("invoke", 1, 2, call=f"issue{evil}")]
    return counterexample(steps, events, Failure("at end", f"a rule {evil}", f"first {evil}\n\nlast\x00", 2), evil)


CASES = {"blocked": blocked, "killed": killed, "hostile": hostile}


def rendered(name: str, width: int) -> str:
    """Return the transcript of the case *name*."""
    return transcript(CASES[name](), command="harness replay counterexamples/issue-token.json", width=width)


def golden(name: str, width: int) -> Path:
    """Return the file that holds what it should be."""
    return GOLDEN / f"{name}-{width}.txt"


if __name__ == "__main__":
    for case in CASES:
        for columns in WIDTHS:
            golden(case, columns).write_text(rendered(case, columns), encoding="utf-8")
