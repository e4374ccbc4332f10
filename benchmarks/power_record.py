"""The results of `power.py` as JSON: saved as they come, so that an interrupted run can continue."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import time
from pathlib import Path
from typing import Any

from benchmarks.searching import Found

VERSION = 1
COLUMNS = ("first", "executions", "seconds", "preemptions", "faults", "length", "complete")
"""What is kept of one search, in this order; `first` is 0 where nothing was found. One that failed is its reason instead."""

_FIRST, _EXECUTIONS, _SECONDS, _COMPLETE = (
    COLUMNS.index(name) for name in ("first", "executions", "seconds", "complete")
)
_EVERY = 5.0
"""Seconds between two writes."""


class Record:
    """Holds the document `data`: `cases[suite][case][scheduler][seed]` is a search, `baselines[suite][case]` the baselines."""

    def __init__(self, file: Path | None) -> None:
        self._file, self._saved = file, 0.0
        self.data: dict[str, Any] = {
            "version": VERSION,
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "columns": list(COLUMNS),
            "budgets": {},
            "cases": {},
            "baselines": {},
        }

    def begin(self, executions: dict[str, int]) -> None:
        """Load the file, if it exists; raise `ValueError` where a suite was measured with another number of executions."""
        if self._file is not None and self._file.exists():
            found = json.loads(self._file.read_text())
            if found.get("version") != VERSION or found.get("columns") != list(COLUMNS):
                raise ValueError(f"{self._file} is of another version: move it away")
            self.data = found
        for suite, number in executions.items():
            if (known := self.data["budgets"].setdefault(suite, number)) != number:
                raise ValueError(f"{self._file} has {suite} with at most {known} executions, not {number}")

    def has(self, suite: str, case: str, scheduler: str, seed: int, seconds: float) -> bool:
        """Return whether that search was made: to its end, or cut after at least *seconds*."""
        rows = self.data["cases"].get(suite, {}).get(case, {}).get(scheduler, [])
        if len(rows) <= seed or not isinstance(rows[seed], list):
            return False
        return not was_cut(rows[seed], self.data["budgets"][suite]) or rows[seed][_SECONDS] >= seconds

    def add(self, suite: str, case: str, scheduler: str, seed: int, result: Found | str) -> None:
        """Add a search's result, or the reason why it failed; save the file from time to time."""
        row = self.data["cases"].setdefault(suite, {}).setdefault(case, {}).setdefault(scheduler, [])
        row.extend([None] * (seed + 1 - len(row)))
        row[seed] = result if isinstance(result, str) else _kept(result)
        if time.monotonic() - self._saved >= _EVERY:
            self.save()

    def baselines(self, suite: str, case: str) -> dict[str, Any]:
        """Return the baselines of the case, by kind."""
        found: dict[str, Any] = self.data["baselines"].get(suite, {}).get(case, {})
        return found

    def add_baseline(self, suite: str, case: str, kind: str, result: dict[str, Any]) -> None:
        """Add a baseline of the case, and save the file."""
        self.data["baselines"].setdefault(suite, {}).setdefault(case, {})[kind] = result
        self.save()

    def save(self) -> None:
        """Write the file by a rename, so that an interruption leaves either the old file or the new one."""
        self._saved = time.monotonic()
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_name(self._file.name + ".new")
        new.write_text(json.dumps(self.data, separators=(",", ":")) + "\n")
        os.replace(new, self._file)


def was_cut(row: list[Any], executions: int) -> bool:
    """Return whether a search ended because its time was up."""
    return not (row[_FIRST] or row[_COMPLETE] or row[_EXECUTIONS] >= executions)


def _kept(found: Found) -> list[float]:
    return [
        found.first or 0,
        found.executions,
        round(found.seconds, 4),
        found.preemptions,
        found.faults,
        found.length,
        int(found.complete),
    ]
