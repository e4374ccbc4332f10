"""``harness gate``: the reference valid in every scenario, every faulty variant caught, one run for each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from harness import config, registry
from harness.cli.running import replay_command
from harness.cli.terminal import EXIT_CODES, Ticker, colour, print_json, width
from harness.errors import BadInput
from harness.scenario import Scenario
from harness.verdict import Verdict, merge
from reports.coverage import not_covered
from reports.table import GateRow, gate_table

__all__ = ["command"]

_REFERENCE_EXECUTIONS, _VARIANT_EXECUTIONS = 20_000, 1_000
_VARIANT_SECONDS = 60.0
_GRACE = 30.0
"""Seconds beyond its budget that a run may take to start, confirm and shrink, before it is given up."""
_POLL = 0.02


def command(options: Namespace) -> int:
    """Run all; return 0 if all came as expected, 1 if something is wrong, 3 if something is unknown."""
    rows = _todo(registry.scenarios())
    began = time.monotonic()
    gate = _Gate(options, rows)
    gate.run()
    verdict = merge(map(_judged, gate.rows))
    seconds = time.monotonic() - began
    if options.json:
        print_json(
            {
                "verdict": str(verdict),
                "as_expected": sum(row.as_expected for row in gate.rows),
                "seconds": round(seconds, 3),
                "rows": [{**asdict(row), "variant": row.variant or None} for row in gate.rows],
            }
        )
    else:
        print(gate_table(gate.rows, width=width(), colour=colour()), end="")
        print(not_covered(gate.rows, width=width()), end="")
        print(f"gate: {_MEANINGS[verdict]} ({seconds:.1f} s)")
    return EXIT_CODES[verdict]


_MEANINGS = {
    Verdict.VALID: "passed",
    Verdict.INVALID: "FAILED",
    Verdict.UNKNOWN: "unknown, which is not a pass",
}


def _judged(row: GateRow) -> Verdict:
    """Return what *row* means for the gate."""
    if row.as_expected:
        return Verdict.VALID
    return Verdict.UNKNOWN if row.verdict is Verdict.UNKNOWN else Verdict.INVALID


def _todo(known: Mapping[str, Scenario]) -> list[GateRow]:
    if not known:
        raise BadInput(
            f"There is nothing to gate: no distribution here has entry points in {registry.GROUP!r}. "
            "Is the project that brings the scenarios installed (pip install -e .)?"
        )
    return [
        GateRow(scenario.name, variant, Verdict.INVALID if variant else Verdict.VALID, Verdict.UNKNOWN)
        for scenario in known.values()
        for variant in ("", *scenario.variants)
    ]


@dataclass(slots=True)
class _Run:
    """One ``harness run`` under way, for the row *number*."""

    number: int
    process: subprocess.Popen[bytes]
    deadline: float
    output: IO[bytes]
    errors: IO[bytes]


class _Gate:
    """Fills in the verdicts of *rows*, so many at a time. Only a failure that should not be is saved."""

    def __init__(self, options: Namespace, rows: list[GateRow]) -> None:
        self.rows, self._options = rows, options
        self._waiting = list(range(len(rows)))[::-1]
        self._second: set[int] = set()
        self._running: list[_Run] = []
        self._done = 0
        self._began = time.monotonic()

    def run(self) -> None:
        """Start runs and collect what they say until there are none left."""
        jobs = self._options.jobs or len(os.sched_getaffinity(0))
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
        row = self.rows[number]
        seconds = _VARIANT_SECONDS if row.variant else self._options.time
        most = _VARIANT_EXECUTIONS if row.variant else _REFERENCE_EXECUTIONS
        command = [sys.executable, "-P", "-m", "harness", "run", row.scenario, "--json"]
        command += ["--variant", row.variant, "--no-save"] if row.variant else ["--output", self._options.output]
        command += ["--no-explain"] if row.variant else []
        command += ["--scheduler", "random"] if number in self._second else []
        command += ["--max-executions", str(most), "--time", str(seconds), "--dies-with", str(os.getpid())]
        output, errors = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 -- closed by _collect
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=config.child_environment()
        )
        return _Run(number, process, time.monotonic() + seconds + _GRACE, output, errors)

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
        row = _row(self.rows[run.number], output, errors, run.process.returncode)
        if row.variant and row.verdict is Verdict.VALID and not row.complete and run.number not in self._second:
            # Cheapest first comes too late to what takes several faults together: let chance have a try.
            self._second.add(run.number)
            self._waiting.append(run.number)
            return
        self.rows[run.number] = row
        self._done += 1
        ticker.clear()
        mark = "as expected" if row.as_expected else "NOT AS EXPECTED"
        name = f"{row.scenario} {row.variant or '(reference)'}"
        line = f"[{self._done:{len(str(len(self.rows)))}}/{len(self.rows)}] {name}: {row.verdict}, {mark}"
        if not ticker.live or not row.as_expected:
            print(f"{line}, {row.seconds:.1f} s", file=sys.stderr, flush=True)

    def _state(self) -> str:
        names = ", ".join(
            f"{self.rows[run.number].scenario} {self.rows[run.number].variant or '(reference)'}"
            for run in self._running
        )
        return f"{self._done} of {len(self.rows)}, {time.monotonic() - self._began:.0f} s: {names}"


def _row(row: GateRow, output: bytes, errors: bytes, code: int) -> GateRow:
    """Return *row* with what its run printed."""
    try:
        said: dict[str, Any] = json.loads(output)
    except ValueError:
        how = "took too long and was killed" if code < 0 else f"ended with exit code {code}"
        words = errors.decode(errors="replace").strip()
        return replace(row, note=f"The run {how} without an answer. {words}".strip())
    failure, coverage = said["failure"], said["coverage"]
    row = replace(
        row,
        verdict=Verdict(said["verdict"]),
        executions=said["executions"],
        complete=said["complete"],
        first_failure=said["first_failure"],
        preemptions=said["preemptions"],
        faults=said["faults"],
        oracle=f"{failure['kind']} {failure['rule']}".strip() if failure else "",
        seconds=said["seconds"] + said["startup_seconds"],
        seen=coverage["seen"],
        residual=coverage["residual"]["2"],
        since_new=coverage["since_new"],
    )
    return row if row.as_expected else replace(row, note=_note(row, said))


def _note(row: GateRow, said: Mapping[str, Any]) -> str:
    """Say what is wrong with *row*, and what to do."""
    if said["reasons"]:
        return " ".join(said["reasons"])
    if said["counterexample"]:
        return f"To replay it: {replay_command(Path(said['counterexample']), '')}"
    limit = "in any interleaving" if row.complete else f"within {said['bound'] or 'its budget'}"
    return f"This faulty variant was not caught: no rule broke {limit}."
