"""The result of a gate, as a value from which every kind of report is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.reports.text.gate_table import GateRow
from harness.saved.counterexample import Counterexample
from harness.verdict import Verdict

__all__ = ["Gated", "as_data"]


@dataclass(frozen=True, slots=True)
class Gated:
    """A gate that has run.

    ``found`` maps the number of a row to its counterexample, ``files`` to the counterexample's file. ``left_out`` maps
    scenarios that were not run to the reason. Source paths are shown relative to the folder ``root``.
    """

    rows: Sequence[GateRow]
    verdict: Verdict
    seconds: float
    found: Mapping[int, Counterexample] = field(default_factory=dict)
    files: Mapping[int, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    root: str = "."

    @property
    def wrong(self) -> int:
        """The number of rows that are not as expected."""
        return sum(not row.as_expected for row in self.rows)


def as_data(gated: Gated) -> dict[str, Any]:
    """Return *gated* as plain data."""
    return {
        "verdict": str(gated.verdict),
        "as_expected": len(gated.rows) - gated.wrong,
        "seconds": round(gated.seconds, 3),
        "left_out": dict(gated.left_out),
        "rows": [
            {
                **asdict(row),
                "variant": row.variant or None,
                "known": row.known or None,
                "counterexample": gated.files.get(number),
            }
            for number, row in enumerate(gated.rows)
        ],
    }
