"""Reports as a trace in Chrome's JSON format, which Perfetto opens: a track for each task, a millisecond for each step.

Virtual time does not advance during most steps, so a step's position on the time line is its number. Its virtual time
is among its arguments.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from harness.reports.messages import Blocked, Message
from harness.reports.report import RaceWindow, Report, ReportStep

__all__ = ["trace"]

Event = dict[str, Any]

_STEP, _LENGTH = 1000, 900
"""Microseconds from one step to the next, and the length of a step; a wait is drawn from the end of its step on."""
_APART = 1000
"""How many process numbers are reserved for each report."""


def trace(reports: Sequence[Report]) -> str:
    """Return *reports* as one trace: each lane of a report is a track, each worker a process."""
    events = [
        event for number, report in enumerate(reports) for event in _Tracks(report, number, len(reports)).events()
    ]
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}, allow_nan=False) + "\n"


class _Tracks:
    """The trace events of one report."""

    def __init__(self, report: Report, number: int, reports: int) -> None:
        self._report = report
        self._first = 1 + number * _APART
        self._prefix = f"{number + 1}. {report.scenario}: " if reports > 1 else ""
        self._flow = number * 1_000_000

    def events(self) -> Iterator[Event]:
        """Yield the events: names of tracks, steps, waits, the violation, then arrows for race windows and messages."""
        report = self._report
        yield from self._names()
        for step in report.steps:
            yield self._instant(step, f"{step.kind} {step.text}".strip()) if step.fault else self._step(step)
        for span in report.blocked:
            yield self._wait(span)
        if report.violation is not None:
            step = report.steps[report.violation]
            event = self._instant(step, f"broken: {report.rule or report.kind}", _LENGTH)
            yield {**event, "s": "g", "args": {"message": report.message}}
        for window in report.windows:
            yield from self._window(window)
        for message in report.messages:
            yield from self._message(message)

    def _names(self) -> Iterator[Event]:
        named: set[int] = set()
        for lane, each in enumerate(self._report.lanes):
            pid, tid = self._track(lane)
            if pid not in named:
                named.add(pid)
                process = "clients" if each.role == "clients" else each.process
                yield {"ph": "M", "name": "process_name", "pid": pid, "args": {"name": self._prefix + process}}
                yield {"ph": "M", "name": "process_sort_index", "pid": pid, "args": {"sort_index": lane}}
            yield {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": each.task}}
            yield {"ph": "M", "name": "thread_sort_index", "pid": pid, "tid": tid, "args": {"sort_index": lane}}

    def _track(self, lane: int) -> tuple[int, int]:
        """Return the process and thread numbers for *lane*. Thread numbers are unique across the trace."""
        return self._process(self._report.lanes[lane].worker), self._first * _APART + lane

    def _process(self, worker: int) -> int:
        return self._first + worker

    def _step(self, step: ReportStep) -> Event:
        return {
            "ph": "X",
            "name": step.text or step.kind,
            "cat": step.kind,
            "ts": step.number * _STEP,
            "dur": _LENGTH,
            **self._where(step),
            "args": _arguments(step),
        }

    def _where(self, step: ReportStep) -> Event:
        if step.lane is None:
            return {"pid": self._process(max(step.worker, 0)), "tid": self._process(max(step.worker, 0))}
        pid, tid = self._track(step.lane)
        return {"pid": pid, "tid": tid}

    def _instant(self, step: ReportStep, name: str, later: int = 0) -> Event:
        """Return a mark: on the step's track if it has one, else across its worker's process, else across the trace."""
        scope = "t" if step.lane is not None else "p" if step.worker >= 0 else "g"
        at = step.number * _STEP + later
        return {"ph": "i", "name": name, "cat": step.kind, "ts": at, "s": scope, **self._where(step), "args": {}}

    def _wait(self, span: Blocked) -> Event:
        pid, tid = self._track(span.lane)
        begin = span.start * _STEP + _LENGTH
        end = (len(self._report.steps) if span.end is None else span.end) * _STEP
        name = f"waits for a lock ({span.how})"
        return {
            "ph": "X",
            "name": name,
            "cat": "blocked",
            "ts": begin,
            "dur": end - begin,
            "pid": pid,
            "tid": tid,
            "args": {},
        }

    def _window(self, window: RaceWindow) -> Iterator[Event]:
        roles = (window.opens, window.intrudes, window.closes)
        numbers = sorted({role.number for role in roles if role is not None and role.number is not None})
        yield from self._joined("race window", "window", numbers)

    def _message(self, message: Message) -> Iterator[Event]:
        if message.fate == "arrived" and message.sent is not None and message.received is not None:
            yield from self._joined(f"{message.kind} {message.name}", "message", [message.sent, message.received])

    def _joined(self, name: str, category: str, numbers: Sequence[int]) -> Iterator[Event]:
        """Yield a flow (arrows from each step to the next) through the steps *numbers*, leaving out faults."""
        steps = [step for step in (self._report.steps[number] for number in numbers) if not step.fault]
        if len(steps) < 2:
            return
        self._flow += 1
        for place, step in enumerate(steps):
            phase = "s" if place == 0 else "f" if place == len(steps) - 1 else "t"
            ends = {"bp": "e"} if phase == "f" else {}
            at = step.number * _STEP + _LENGTH // 2
            yield {"ph": phase, "name": name, "cat": category, "id": self._flow, "ts": at, **self._where(step), **ends}


def _arguments(step: ReportStep) -> dict[str, Any]:
    found = {
        "step": step.number,
        "parameters": step.parameters,
        "source": f"{step.file}:{step.line}" if step.file else "",
        "called from": step.caller,
        "virtual seconds": step.now,
        "touches": ", ".join(step.touches),
        "state": step.state,
        "error": step.error,
        "marks": ", ".join(step.marks),
        "told": "; ".join(step.told),
    }
    return {name: value for name, value in found.items() if value != ""}
