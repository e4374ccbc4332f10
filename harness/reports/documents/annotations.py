"""Annotations for GitHub Actions: workflow commands that mark the source lines of the races a gate found."""

from __future__ import annotations

from collections.abc import Iterator

from harness.reports.gated import Gated
from harness.reports.source_lines import marks, message_of, relative

__all__ = ["workflow_commands"]


def workflow_commands(gated: Gated) -> Iterator[str]:
    """Yield commands for rows that are not as expected: one per line of a race window, or one if there is no race."""
    for number, row in enumerate(gated.rows):
        if row.as_expected:
            continue
        found = gated.found.get(number)
        title = f"{row.scenario} {row.name}"
        if found is None:
            yield f"::error title={_property(title)}::{_data(row.note or str(row.verdict))}"
            continue
        message = f"{message_of(found)}\nTo replay it: {row.command}"
        for place, mark in enumerate(marks(found)):
            file, level = _property(relative(mark.file, gated.root)), "error" if place == 0 else "notice"
            said = f"{mark.role}: {mark.text}\n{message}" if place == 0 else f"{mark.role}: {mark.text}"
            yield f"::{level} file={file},line={mark.line},title={_property(title)}::{_data(said)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
