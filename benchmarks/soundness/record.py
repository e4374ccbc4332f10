"""The results so far, in a file from which an interrupted run continues; and their sums."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["Record", "amounts", "told"]


class Record:
    """One JSON line for each program judged, written as they come: *file* has those of earlier runs (None: kept nowhere)."""

    def __init__(self, file: Path | None, key: str) -> None:
        self._file, self._key = file, key
        self.rows: dict[str, dict[str, Any]] = {}
        if file is not None and file.exists():
            rows = map(json.loads, file.read_text().splitlines())
            self.rows = {row["name"]: row for row in rows if row["key"] == key}

    def add(self, name: str, row: Mapping[str, Any]) -> None:
        """Note *row* for the program *name*."""
        self.rows[name] = {"name": name, "key": self._key, **row}
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a") as lines:
                lines.write(json.dumps(self.rows[name]) + "\n")


def amounts(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sums over *rows*: programs, of these complete and compared, real runs, differences, outcomes outside."""
    every = list(rows)
    complete = [row for row in every if not row.get("incomplete")]
    return {
        "programs": len(every),
        "by family": dict(sorted(Counter(row["family"] for row in every).items())),
        "complete": len(complete),
        "not complete": dict(
            Counter(_short(row["incomplete"]) for row in every if row.get("incomplete")).most_common()
        ),
        "compared with states": sum("with states" in row.get("compared", "") for row in complete),
        "compared with brute force to its end": sum("brute force" in row.get("compared", "") for row in complete),
        "executions": sum(row.get("executions", 0) for row in every),
        "outcomes": sum(row.get("outcomes", 0) for row in complete),
        "of these seen for real": sum(row.get("seen", 0) for row in complete),
        "real runs": sum(row.get("runs", 0) for row in complete),
        "of these with a kill": sum(row.get("kills", 0) for row in complete),
        "of these not judged": sum(row.get("unjudged", 0) for row in complete),
        "differences": sum(len(row.get("differences", ())) for row in every),
        "outside": sum(len(row.get("outside", ())) for row in every),
        "programs with either": sorted(row["name"] for row in every if row.get("differences") or row.get("outside")),
    }


def _short(why: str) -> str:
    return (
        "".join("N" if letter.isdigit() else letter for letter in why.splitlines()[0][:60])
        .replace("NN", "N")
        .replace("NN", "N")
    )


def told(sums: Mapping[str, Any]) -> str:
    """Return *sums* as lines of text."""
    lines = []
    for name, value in sums.items():
        if isinstance(value, dict):
            value = ", ".join(f"{number:,} {what}" for what, number in value.items()) or "none"
        elif isinstance(value, list):
            value = " ".join(value) or "none"
        lines.append(f"  {name:38} {value:,}" if isinstance(value, int) else f"  {name:38} {value}")
    return "\n".join(lines)
