"""The runs of a gate: one process for each row, so many at a time, and what each said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from harness import config
from harness.cli.running import replay_command
from harness.cli.terminal import Ticker
from harness.settings import Settings
from harness.verdict import Verdict
from reports.table import GateRow

__all__ = ["Todo", "carry_out"]

_GRACE = 30.0
"""Seconds beyond its budget that a run may take to start, confirm and shrink, before it is given up."""
_POLL = 0.02


@dataclass(frozen=True, slots=True)
class Todo:
    """A row to fill, what the command line calls its scenario, and the file of the known counterexample to be replayed."""

    row: GateRow
    reference: str
    file: Path | None = None

    @property
    def own(self) -> str:
        """The reference, where that is no installed name."""
        return self.reference if ":" in self.reference else ""


@dataclass(slots=True)
class _Run:
    """One command under way, for the row *number*."""

    number: int
    process: subprocess.Popen[bytes]
    deadline: float
    output: IO[bytes]
    errors: IO[bytes]


def carry_out(todo: Sequence[Todo], settings: Settings) -> tuple[list[GateRow], dict[int, Path]]:
    """Fill the rows of *todo*; return them, and by number the counterexamples that were saved (or failed again)."""
    runs = _Runs(todo, settings)
    runs.run()
    return runs.rows, runs.files


class _Runs:
    """Only a failure that should not be is saved."""

    def __init__(self, todo: Sequence[Todo], settings: Settings) -> None:
        self._todo, self._settings = todo, settings
        self.rows = [each.row for each in todo]
        self.files: dict[int, Path] = {}
        self._waiting = list(range(len(todo)))[::-1]
        self._second: set[int] = set()
        self._running: list[_Run] = []
        self._done = 0
        self._began = time.monotonic()

    def run(self) -> None:
        """Start runs and collect what they say until there are none left."""
        jobs = self._settings.jobs or len(os.sched_getaffinity(0))
        with Ticker() as ticker, self._cleaned_up():
            while self._waiting or self._running:
                while self._waiting and len(self._running) < jobs:
                    self._running.append(self._start(self._waiting.pop()))
                time.sleep(_POLL)
                for run in [run for run in self._running if self._ended(run)]:
                    self._running.remove(run)
                    self._collect(run, ticker)
                ticker.show(self._state())

    @contextmanager
    def _cleaned_up(self) -> Iterator[None]:
        try:
            yield
        finally:
            for run in self._running:
                run.process.kill()
                run.process.wait()

    def _start(self, number: int) -> _Run:
        todo, settings = self._todo[number], self._settings
        seconds = settings.variant_seconds if todo.row.variant else settings.seconds
        command = [sys.executable, "-P", "-m", "harness", *self._arguments(number, todo, seconds), "--json"]
        output, errors = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 -- closed by _collect
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=config.child_environment()
        )
        return _Run(number, process, time.monotonic() + seconds + _GRACE, output, errors)

    def _arguments(self, number: int, todo: Todo, seconds: float) -> list[str]:
        row, settings = todo.row, self._settings
        if todo.file is not None:
            own = ["--scenario", todo.own] if todo.own else []
            return ["replay", str(todo.file), *own, "--dies-with", str(os.getpid())]
        most = settings.variant_executions if row.variant else settings.executions
        output = ["--variant", row.variant, "--no-save", "--no-explain"]
        return [
            "run", todo.reference,
            *(output if row.variant else ["--output", str(settings.output or "counterexamples")]),
            *(["--scheduler", "random"] if number in self._second else []),
            "--seed", str(settings.seed), "--max-executions", str(most), "--time", str(seconds),
            "--dies-with", str(os.getpid()),
        ]  # fmt: skip

    def _ended(self, run: _Run) -> bool:
        if run.process.poll() is None and time.monotonic() > run.deadline:
            run.process.kill()
            run.process.wait()
        return run.process.returncode is not None

    def _collect(self, run: _Run, ticker: Ticker) -> None:
        with run.output, run.errors:
            run.output.seek(0)
            run.errors.seek(0)
            output, errors = run.output.read(), run.errors.read()
        todo = self._todo[run.number]
        row, file = filled(todo, output, errors, run.process.returncode)
        late = row.variant and not row.known and row.verdict is Verdict.VALID and not row.complete
        if late and run.number not in self._second:
            # Cheapest first comes too late to what takes several faults together: let chance have a try.
            self._second.add(run.number)
            self._waiting.append(run.number)
            return
        self.rows[run.number] = row
        if file is not None:
            self.files[run.number] = file
        self._done += 1
        ticker.clear()
        mark = "as expected" if row.as_expected else "NOT AS EXPECTED"
        line = f"[{self._done:{len(str(len(self.rows)))}}/{len(self.rows)}] {row.scenario} {row.name}: {row.verdict}, {mark}"
        if not ticker.live or not row.as_expected:
            print(f"{line}, {row.seconds:.1f} s", file=sys.stderr, flush=True)

    def _state(self) -> str:
        rows = [self.rows[run.number] for run in self._running]
        names = ", ".join(f"{row.scenario} {row.name}" for row in rows)
        return f"{self._done} of {len(self.rows)}, {time.monotonic() - self._began:.0f} s: {names}"


def filled(todo: Todo, output: bytes, errors: bytes, code: int) -> tuple[GateRow, Path | None]:
    """Return the row with what its command printed, and the file of the counterexample that it ended with, if any."""
    row = replace(todo.row, command=_command(todo))
    try:
        said: dict[str, Any] = json.loads(output)
    except ValueError:
        how = "took too long and was killed" if code < 0 else f"ended with exit code {code}"
        words = errors.decode(errors="replace").strip()
        return replace(row, note=f"The run {how} without an answer. {words}".strip()), None
    row = _replayed(row, said) if todo.file is not None else _explored(row, said)
    if row.as_expected and not row.stale:
        return row, None
    file = Path(said["counterexample"]) if said["counterexample"] and not row.stale else None
    if file is not None and row.verdict is Verdict.INVALID:
        row = replace(row, command=replay_command(file, todo.own))
    return replace(row, note=_note(row, said)), file


def _explored(row: GateRow, said: Mapping[str, Any]) -> GateRow:
    coverage = said["coverage"]
    return replace(
        _both(row, said),
        executions=said["executions"],
        complete=said["complete"],
        first_failure=said["first_failure"],
        preemptions=said["preemptions"],
        faults=said["faults"],
        seen=coverage["seen"],
        residual=coverage["residual"]["2"],
        since_new=coverage["since_new"],
    )


def _replayed(row: GateRow, said: Mapping[str, Any]) -> GateRow:
    stale = said["verdict"] == "unknown" and bool(said["divergence"])
    row = replace(_both(row, said), executions=said["times"], stale=stale)
    # What a replay ends otherwise with is in its divergence; the rule is that of the recording.
    return row if row.verdict is Verdict.INVALID else replace(row, oracle="")


def _both(row: GateRow, said: Mapping[str, Any]) -> GateRow:
    failure = said["failure"]
    return replace(
        row,
        verdict=Verdict(said["verdict"]),
        oracle=f"{failure['kind']} {failure['rule']}".strip() if failure else "",
        seconds=said["seconds"] + said["startup_seconds"],
    )


def _command(todo: Todo) -> str:
    if todo.file is not None:
        return replay_command(todo.file, todo.own)
    import shlex

    variant = f" --variant {shlex.quote(todo.row.variant)}" if todo.row.variant else ""
    return f"harness run {shlex.quote(todo.reference)}{variant}"


def _note(row: GateRow, said: Mapping[str, Any]) -> str:
    """Say what is wrong with *row*, and what to do."""
    if row.stale:
        why = " ".join(said["divergence"].split("Usual causes")[0].split())
        return (
            f"It can't be replayed, for the code has changed: {why} The exploration decides; find the race anew, "
            "or delete the file if it is fixed."
        )
    if row.known and row.verdict is Verdict.INVALID:
        return f"A known race is back. To replay it: {row.command}"
    if row.known and row.verdict is Verdict.VALID:
        return f"It no longer fails, though it is of a faulty variant. To replay it: {row.command}"
    if said.get("reasons"):
        return f"{' '.join(said['reasons'])} To see it: {row.command}"
    if said["counterexample"]:
        return f"To replay it: {row.command}"
    limit = "in any interleaving" if row.complete else f"within {said.get('bound') or 'its budget'}"
    return f"This faulty variant was not caught: no rule broke {limit}. To search it: {row.command}"
