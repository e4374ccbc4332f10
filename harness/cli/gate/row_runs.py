"""The runs of a gate: one process per row, several at a time; their output fills the rows."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.cli.gate.executors import carriers
from harness.cli.recorded import replay_command
from harness.cli.terminal import Ticker
from harness.cluster.rows import Command, Said
from harness.control.sharding.executor import Executor, Lost
from harness.project.settings import Settings
from harness.reports.text.gate_table import GateRow
from harness.reports.text.terminal import one_line
from harness.verdict import Verdict

__all__ = ["Todo", "carry_out"]

_POLL = 0.05
"""Seconds between two checks of the progress."""


@dataclass(frozen=True, slots=True)
class Todo:
    """A row to fill, its scenario's reference on the command line, and the known counterexample to replay, if any."""

    row: GateRow
    reference: str
    file: Path | None = None

    @property
    def own(self) -> str:
        """The reference if it is ``place:ATTRIBUTE``, empty if it is an installed name."""
        return self.reference if ":" in self.reference else ""


def carry_out(
    todo: Sequence[Todo], settings: Settings, cluster: str | None = None
) -> tuple[list[GateRow], dict[int, Path]]:
    """Fill the rows of *todo*, on this machine or on the cluster at address *cluster*.

    Returns the rows and, by row number, the files of counterexamples that were saved or that failed again. Raises
    ``BadInput`` if the cluster can't be used.
    """
    with carriers(cluster, settings.jobs) as them:
        runs = _Runs(todo, settings, them)
        runs.run()
    return runs.rows, runs.files


class _Runs:
    """The runs of a gate under way. Only counterexamples of the reference are saved, not those of faulty variants."""

    def __init__(self, todo: Sequence[Todo], settings: Settings, them: Executor[Command, Said]) -> None:
        self._todo, self._settings, self._executor = todo, settings, them
        self.rows = [each.row for each in todo]
        self.files: dict[int, Path] = {}
        self._second: set[int] = set()
        self._promises: dict[int, Future[Said]] = {}
        self._done = 0
        self._began = time.monotonic()

    def run(self) -> None:
        """Submit all rows, and collect the results until none is left."""
        # Long runs first, so that no core is idle for long at the end: a reference uses all its time, a variant seldom.
        for number in sorted(range(len(self._todo)), key=self._rank):
            self._submit(number)
        with Ticker() as ticker:
            while self._promises:
                self._executor.wait(_POLL)
                for number in [number for number, promise in self._promises.items() if promise.done()]:
                    self._collect(number, self._promises.pop(number), ticker)
                ticker.show(self._state())

    def _rank(self, number: int) -> tuple[bool, bool]:
        row = self._todo[number].row
        return not row.known, bool(row.variant)

    def _submit(self, number: int) -> None:
        self._promises[number] = self._executor.submit(self._command(number))

    def _command(self, number: int) -> Command:
        todo, settings = self._todo[number], self._settings
        row = todo.row
        seconds = settings.variant_seconds if row.variant else settings.seconds
        patience = ("--patience", str(settings.patience)) if settings.patience is not None else ()
        if todo.file is not None:
            return Command(
                ("replay", *(["--scenario", todo.own] if todo.own else []), *patience),
                seconds,
                todo.file,
                postgres=settings.postgres,
            )
        most = settings.variant_executions if row.variant else settings.executions
        arguments = (
            "run", todo.reference,
            *(["--variant", row.variant, "--no-save", "--no-explain"] if row.variant else []),
            *(["--scheduler", "random"] if number in self._second else []),
            *(["--delays", str(settings.delays)] if settings.delays is not None else []),
            "--seed", str(settings.seed), "--max-executions", str(most), "--time", str(seconds),
            *(["--isolation", settings.isolation] if settings.isolation is not None else []), *patience,
        )  # fmt: skip
        output = "" if row.variant else str(settings.output or "counterexamples")
        return Command(arguments, seconds, output=output, postgres=settings.postgres)

    def _collect(self, number: int, promise: Future[Said], ticker: Ticker) -> None:
        todo = self._todo[number]
        try:
            said = promise.result()
        except Lost as lost:
            row, file = replace(todo.row, command=_command(todo), note=str(lost)), None
        else:
            row, file = filled(todo, said.output, said.errors, code=said.code)
        late = row.variant and not row.known and row.verdict is Verdict.VALID and not row.complete
        if late and number not in self._second:
            # The default scheduler, cheapest first, is slow to find bugs that need several faults: try the random one.
            self._second.add(number)
            self._submit(number)
            return
        self.rows[number] = row
        if file is not None:
            self.files[number] = file
        self._done += 1
        ticker.clear()
        mark = "as expected" if row.as_expected else "NOT AS EXPECTED"
        line = f"[{self._done:{len(str(len(self.rows)))}}/{len(self.rows)}] {row.scenario} {row.name}: {row.verdict}, {mark}"
        if not ticker.live or not row.as_expected:
            print(one_line(f"{line}, {row.seconds:.1f} s"), file=sys.stderr, flush=True)

    def _state(self) -> str:
        rows = [self.rows[number] for number, promise in self._promises.items() if promise.running()]
        names = ", ".join(f"{row.scenario} {row.name}" for row in rows)
        return f"{self._done} of {len(self.rows)}, {time.monotonic() - self._began:.0f} s: {names}"


def filled(todo: Todo, output: bytes, errors: bytes, *, code: int) -> tuple[GateRow, Path | None]:
    """Return the row filled from its command's output, and the file of the unexpected counterexample, if any."""
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
        delays=said.get("bound_on_delays") or "",
        first_failure=said["first_failure"],
        preemptions=said["preemptions"],
        faults=said["faults"],
        seen=coverage["seen"],
        residual=coverage["residual"]["2"],
        since_new=coverage["since_new"],
        allowed=tuple(said.get("allowed", ())),
        anew=said.get("anew") or "",
    )


def _replayed(row: GateRow, said: Mapping[str, Any]) -> GateRow:
    stale = said["verdict"] == "unknown" and bool(said["divergence"])
    row = replace(_both(row, said), executions=said["times"], stale=stale)
    # The failure in the output is the recorded one, so its rule was broken only if the replay failed again.
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
    """Return sentences that say why *row* is wrong, and which command to run next."""
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
    limit = (
        f"in any interleaving{row.delays and f' with {row.delays}'}"
        if row.complete
        else f"within {said.get('bound') or 'its budget'}"
    )
    return f"This faulty variant was not caught: no rule broke {limit}. To search it: {row.command}"
