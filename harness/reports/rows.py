"""The order of columns in a changed table: the cells that a step changed come first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.values.tables import Changed, Row

__all__ = ["changed_first"]


def changed_first(table: Changed) -> Changed:
    """Return *table* with its first column, then those in which a cell changed, then the others."""
    rows = [*(table.before or ()), *(table.after or ())]
    changed = {place for row in rows for place in row.changed}
    order = sorted(range(len(table.columns)), key=lambda place: (place > 0, place not in changed, place))
    if any(len(row.cells) != len(order) for row in rows):
        # The columns changed too, so the two sides have different ones: keep the order.
        return table
    return replace(
        table,
        columns=tuple(table.columns[place] for place in order),
        before=_ordered(table.before, order),
        after=_ordered(table.after, order),
    )


def _ordered(rows: Sequence[Row] | None, order: Sequence[int]) -> tuple[Row, ...] | None:
    if rows is None:
        return None
    return tuple(
        Row(
            tuple(row.cells[place] for place in order),
            tuple(to for to, place in enumerate(order) if place in row.changed),
            row.lone,
        )
        for row in rows
    )
