"""Text for a walk through an execution: the next step, stacks, variables, tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.reports.text.terminal import columns, escaped, one_line, padded, shortened
from harness.values.history import Step
from harness.values.tables import Changed

__all__ = ["committed_lines", "stack_lines", "step_line", "table_lines", "variable_lines"]

_MOST_CELL = 40


def step_line(number: int, step: Step, width: int) -> str:
    """Return the step as one line of at most *width* columns."""
    mark = ">" if step.preempts else " "
    where = f"  {step.source}" if step.source is not None else ""
    what = one_line(f"{step.text} {step.detail}".strip() or step.kind)
    head = f"{number:>5} {mark} w{step.worker} {escaped(step.lane)}: "
    return shortened(f"{head}{shortened(what, max(width - columns(head) - columns(where), 20))}{escaped(where)}", width)


def stack_lines(found: Mapping[str, Sequence[Any]], width: int) -> Iterator[str]:
    """Yield the stack of every task, innermost call first."""
    for worker, tasks in found.items():
        if not tasks:
            yield f"{worker}: nothing of the code under test is under way"
        for task, frames in tasks:
            yield shortened(f"{worker} {escaped(task)}:", width)
            for file, line, function, _ in frames:
                yield shortened(f"    {escaped(file.rpartition('/')[2])}:{line} in {escaped(function)}", width)


def variable_lines(found: Mapping[str, Sequence[Any]], width: int) -> Iterator[str]:
    """Yield the local variables of every frame."""
    for worker, tasks in found.items():
        for task, frames in tasks:
            for file, line, function, variables in frames:
                place = f"{worker} {task} in {function} ({file.rpartition('/')[2]}:{line}):"
                yield shortened(escaped(place), width)
                for name, text in variables:
                    yield shortened(f"    {escaped(name)} = {one_line(text)}", width)


def table_lines(
    name: str, titles: Sequence[str], rows: Sequence[Sequence[str | None]], *, clean: Any, width: int
) -> Iterator[str]:
    """Yield a table, its columns as wide as their widest cell (at most 40)."""
    yield shortened(escaped(name), width)
    cells = [[shortened(one_line(clean("NULL" if cell is None else cell)), _MOST_CELL) for cell in row] for row in rows]
    heads = [shortened(one_line(title), _MOST_CELL) for title in titles]
    if not heads:
        return
    widths = [max(columns(row[place]) for row in (heads, *cells)) for place in range(len(heads))]
    for row in (heads, *cells):
        yield shortened(
            "    " + "  ".join(padded(cell, size) for cell, size in zip(row, widths, strict=True)).rstrip(), width
        )


def committed_lines(tables: Sequence[Changed], only: str, width: int) -> Iterator[str]:
    """Yield the committed *tables*, or only those named *only* if it is not empty."""
    for table in tables:
        if not only or table.table == only:
            more = f" ({table.rows_after} rows)" if table.rows_after > len(table.after or ()) else ""
            rows = [row.cells for row in table.after or ()]
            yield from table_lines(f"{table.file} {table.table}{more}", table.columns, rows, clean=str, width=width)
