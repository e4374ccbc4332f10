"""A gate as JUnit XML, in the format of Jenkins' ``junit-10.xsd``: a suite per scenario, a case per row."""

from __future__ import annotations

import re
from itertools import groupby
from xml.etree import ElementTree

from harness.reports.gated import Gated
from harness.reports.source_lines import message_of
from harness.reports.text.transcript import transcript
from harness.verdict import Verdict

__all__ = ["junit"]

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 can't contain, not even escaped."""
_WIDTH = 100


def junit(gated: Gated) -> str:
    """Return *gated* as XML: a wrong row is a failure, an unexpected unknown verdict is an error."""
    numbered = list(enumerate(gated.rows))
    unknown = sum(_is_unknown(gated, number) for number, _ in numbered)
    top = ElementTree.Element(
        "testsuites",
        name="harness gate",
        tests=str(len(numbered)),
        failures=str(gated.wrong - unknown),
        errors=str(unknown),
        time=f"{gated.seconds:.3f}",
    )
    for scenario, group in groupby(numbered, key=lambda each: each[1].scenario):
        _suite(top, gated, scenario, numbers=[number for number, _ in group])
    ElementTree.indent(top)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(top, encoding="unicode") + "\n"


def _suite(top: ElementTree.Element, gated: Gated, scenario: str, *, numbers: list[int]) -> None:
    rows = [gated.rows[number] for number in numbers]
    unknown = sum(_is_unknown(gated, number) for number in numbers)
    suite = ElementTree.SubElement(
        top,
        "testsuite",
        name=_text(scenario),
        tests=str(len(rows)),
        failures=str(sum(not row.as_expected for row in rows) - unknown),
        errors=str(unknown),
        time=f"{sum(row.seconds for row in rows):.3f}",
    )
    for number in numbers:
        _case(suite, gated, number)


def _case(suite: ElementTree.Element, gated: Gated, number: int) -> None:
    row = gated.rows[number]
    case = ElementTree.SubElement(
        suite, "testcase", name=_text(row.name), classname=_text(row.scenario), time=f"{row.seconds:.3f}"
    )
    said = f"{row.verdict}, {row.executions} executions, {row.covered}"
    if not row.as_expected:
        found = gated.found.get(number)
        message = message_of(found) if found is not None else row.note or said
        tag = "error" if _is_unknown(gated, number) else "failure"
        element = ElementTree.SubElement(case, tag, message=_text(message), type=str(row.verdict))
        shown = transcript(found, command=row.command, why=found.explanation or "", width=_WIDTH) if found else row.note
        element.text = _text(shown)
    ElementTree.SubElement(case, "system-out").text = _text(f"{said}\n{row.note}".strip())


def _is_unknown(gated: Gated, number: int) -> bool:
    row = gated.rows[number]
    return not row.as_expected and row.verdict is Verdict.UNKNOWN


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
