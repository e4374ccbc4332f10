"""The gate's table: a line per scenario and variant, with the expected and the actual verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from harness.reports.text.terminal import escaped, one_line, padded, shortened, styled, wrapped
from harness.verdict import Verdict

__all__ = ["GateRow", "gate_table"]

_WIDTHS = {"variant": 32, "expected": 8, "verdict": 7, "runs": 6, "first": 5, "pre/flt": 7, "s": 5}
_RIGHT = ("runs", "first", "pre/flt", "s")
_LEGEND = "runs: executions, + if complete; pre/flt: of the minimal counterexample"
_BESIDE = 24
"""With at least this many columns left, the oracle is shown beside the row, else under it."""


@dataclass(frozen=True, slots=True)
class GateRow:
    """The result of a scenario on the reference (``variant`` empty) or on a variant, or of a ``known`` counterexample.

    ``first_failure`` is the number of the first execution that failed; ``preemptions`` and ``faults`` are those of the
    minimal counterexample, ``oracle`` is the rule that it breaks. If the row is not as expected, ``note`` says why and
    ``command`` reproduces it. ``known`` is the file name of a known counterexample; the row is ``stale`` if the code
    has changed so that it can't be replayed. ``seen``, ``residual`` (at depth 2) and ``since_new`` are from the run's
    ``Coverage``; ``delays`` is the bound on delays within which the run is ``complete``. ``allowed`` names events that
    no schedule decides and that the scenario allows. ``anew`` says why the run began anew with fresh processes, if it
    did.
    """

    scenario: str
    variant: str
    expected: Verdict
    verdict: Verdict
    executions: int = 0
    complete: bool = False
    first_failure: int | None = None
    preemptions: int | None = None
    faults: int | None = None
    oracle: str = ""
    seconds: float = 0.0
    note: str = ""
    seen: float | None = None
    residual: float | None = None
    since_new: int = 0
    command: str = ""
    known: str = ""
    stale: bool = False
    delays: str = ""
    allowed: tuple[str, ...] = ()
    anew: str = ""

    @property
    def as_expected(self) -> bool:
        """Whether the verdict is the expected one; a stale row always counts as expected."""
        return self.stale or self.verdict is self.expected

    @property
    def covered(self) -> str:
        """Whether every interleaving was covered, and with which exceptions, in words."""
        how = f"complete{self.delays and f' with {self.delays}'}" if self.complete else "not complete"
        how += ", each execution in fresh processes" if self.anew else ""
        return f"{how}, but for what it allows: {', '.join(self.allowed)}" if self.allowed else how

    @property
    def name(self) -> str:
        """The row's name within its scenario."""
        return f"known {self.known}" if self.known else self.variant or "(reference)"


def gate_table(rows: Sequence[GateRow], *, width: int = 80, colour: bool = False) -> str:
    """Return *rows* as a table of at most *width* columns, with a heading per scenario.

    A row that is not as expected begins with ``!``, and its note follows.
    """
    spare = width - sum(_WIDTHS.values()) - len(_WIDTHS) - 2
    head = _cells(dict(zip(_WIDTHS, _WIDTHS, strict=True)))
    lines = [styled("dim", shortened(f"  {head}{'  oracle' if spare >= _BESIDE else ''}", width), colour=colour)]
    for scenario, group in groupby(rows, key=lambda row: row.scenario):
        lines.append(styled("title", shortened(escaped(scenario), width), colour=colour))
        for row in group:
            lines += _row(row, width, spare, colour=colour)
    wrong = sum(not row.as_expected for row in rows)
    bounds = " or ".join(sorted({row.delays for row in rows if row.complete and row.delays}))
    legend = _LEGEND.replace("complete", f"complete with {bounds}", 1) if bounds else _LEGEND
    lines += [styled("dim", line, colour=colour) for line in wrapped(legend, width)]
    lines.append(f"{len(rows) - wrong} of {len(rows)} as expected" + (f", {wrong} not" if wrong else ""))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _row(row: GateRow, width: int, spare: int, *, colour: bool) -> Iterator[str]:
    style = "" if row.as_expected else "broken"
    minimal = "" if row.preemptions is None else f"{row.preemptions}/{row.faults}"
    cells = _cells(
        {
            "variant": escaped(row.name),
            "expected": str(row.expected),
            "verdict": "stale" if row.stale else str(row.verdict),
            "runs": f"{row.executions}{'+' if row.complete else ''}",
            "first": str(row.first_failure or ""),
            "pre/flt": minimal,
            "s": f"{row.seconds:.1f}",
        }
    )
    oracle = one_line(row.oracle)
    beside = f"  {oracle}" if oracle and spare >= _BESIDE else ""
    line = shortened(f"{' ' if row.as_expected else '!'} {cells}{beside}", width)
    yield styled(style, line, colour=colour)
    if oracle and not beside:
        yield styled("dim", shortened(f"    {oracle}", width), colour=colour)
    if row.anew:
        anew = wrapped(one_line(row.anew), width - 4, most=4)
        yield from (styled("dim", f"    {line}", colour=colour) for line in anew)
    if row.allowed:
        allowed = wrapped(one_line(f"but for what it allows: {', '.join(row.allowed)}"), width - 4, most=4)
        yield from (styled("dim", f"    {line}", colour=colour) for line in allowed)
    yield from (styled(style, f"    {line}", colour=colour) for line in wrapped(one_line(row.note), width - 4, most=6))


def _cells(cells: dict[str, str]) -> str:
    return " ".join(
        text.rjust(width) if name in _RIGHT else padded(text, width)
        for name, width in _WIDTHS.items()
        for text in [shortened(cells[name], width)]
    )
