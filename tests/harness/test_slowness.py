"""A worker that is slow, or imports, is not stuck; one that loops or waits for ever is, in bounded time."""

from __future__ import annotations

import importlib
import re
import sys
import threading
from pathlib import Path

import pytest

from harness.control.run import run
from harness.control.testbed.slowness import Watch
from harness.scenario import Scenario, Workload
from harness.verdict import Verdict

PATIENCE = 0.2


def raced(operation: object, **fields: object) -> Scenario:
    """Return a scenario in which one worker calls *operation*."""
    return Scenario(
        name="slow",
        setup=lambda db: None,
        operations={"operation": operation},  # type: ignore[dict-item]
        workload=lambda workers: Workload.each("operation", workers=1),
        workers=1,
        patience=PATIENCE,
        **fields,  # type: ignore[arg-type]
    )


def _module(folder: Path, name: str, text: str) -> str:
    (folder / f"{name}.py").write_text(text)
    return name


COMPUTES = "total = sum(range(30_000_000))\n"
"""Takes longer than the patience, on any machine that there is, and less than twelve times that."""


@pytest.mark.forks
@pytest.mark.slow
def test_a_long_import_is_not_being_stuck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it uses more processor time than the patience."""
    monkeypatch.syspath_prepend(tmp_path)
    name = _module(tmp_path, "takes_its_time", COMPUTES)
    result = run(raced(lambda db: importlib.import_module(name) and None))
    assert result.verdict is Verdict.VALID, result.reasons
    assert name not in sys.modules


@pytest.mark.forks
@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "for_how_long"),
    [
        ("while True:\n    pass\n", "s of processor time: it loops|4.8 s: it is slow"),
        ("import select\nselect.poll().poll()\n", "for 2.4 s: it waits|for 2.4 s of"),
    ],
)
def test_an_import_that_never_ends_is(
    text: str, for_how_long: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After twelve times the patience."""
    monkeypatch.syspath_prepend(tmp_path)
    name = _module(tmp_path, "never_ends", text)
    result = run(raced(lambda db: importlib.import_module(name) and None))
    assert result.verdict is Verdict.UNKNOWN
    assert re.search(for_how_long, result.reasons[0])
    assert "never_ends.py" in result.reasons[0]


def loops(db: Path) -> None:
    """Never end."""
    while True:
        pass


def waits(db: Path) -> None:
    """Wait in the system for what never comes."""
    import select

    select.poll().poll()


@pytest.mark.forks
@pytest.mark.parametrize(
    ("operation", "how"),
    [
        (loops, "for 0.2 s of processor time: it loops"),
        (waits, "for 0.2 s: it waits in a call that the harness does not"),
    ],
)
def test_what_never_ends_is_stuck(operation: object, how: str) -> None:
    """The reason tells a loop from a wait, and shows where."""
    result = run(raced(operation))
    assert result.verdict is Verdict.UNKNOWN
    assert how in result.reasons[0]
    assert "test_slowness.py" in result.reasons[0]


class _Scripted(Watch):
    """A watch over a process that does what is said."""

    def __init__(self, runnable: bool) -> None:
        self.runnable, self.used = runnable, 0.0
        super().__init__(0, 1.0, 0.0)

    def _processor(self) -> float:
        return self.used

    def _is_runnable(self) -> bool:
        return self.runnable


def test_who_gets_no_processor_is_not_stuck_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is after 24 times the patience, whatever it gets; who uses the patience up is before."""
    clock = threading.local()
    clock.now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    starved = _Scripted(runnable=True)
    clock.now = 20.0
    assert starved.stuck(lambda: "here") == ("", "")
    starved.used = 0.9
    assert starved.stuck(lambda: "here") == ("", "")
    clock.now = 25.0
    assert "for 24 s" in starved.stuck(lambda: "here")[0]
    clock.now = 0.0
    computes = _Scripted(runnable=True)
    clock.now, computes.used = 2.0, 1.5
    assert computes.stuck(lambda: "here") == ("for 1 s of processor time: it loops", "here")
    assert computes.stuck(lambda: "<frozen importlib._bootstrap>") == ("", "")
    clock.now = 0.0
    idle = _Scripted(runnable=False)
    clock.now = 0.9
    assert idle.stuck(lambda: "here") == ("", "")
    clock.now = 1.1
    assert "waits in a call" in idle.stuck(lambda: "here")[0]
