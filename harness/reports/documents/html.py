"""One self-contained page of reports: it opens offline, loads nothing, and runs no script but its own."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources

from harness.reports.report import Report, as_data

__all__ = ["page"]

_SCRIPTS = ("elements.js", "timeline.js", "picture.js", "details.js", "orders.js", "page.js")


def page(reports: Sequence[Report]) -> str:
    """Return *reports*, at least one, as one HTML page, ASCII only."""
    style, script = _file("page.css"), _script()
    title = reports[0].title if len(reports) == 1 else f"{len(reports)} counterexamples"
    parts = {
        "STYLE_HASH": _hash(style),
        "SCRIPT_HASH": _hash(script),
        "TITLE": html.escape(title).encode("ascii", "xmlcharrefreplace").decode("ascii"),
        "STYLE": style,
        "DATA": _inert(reports),
        "SCRIPT": script,
    }
    # Fill the template in one pass, so that text of a report that looks like ``@NAME@`` is not replaced.
    return re.sub("@([A-Z_]+)@", lambda place: parts[place[1]], _file("page.html"))


def _inert(reports: Sequence[Report]) -> str:
    """Return *reports* as JSON that is safe inside a script element: without ``<``, ``>`` and ``&``, on one line."""
    text = json.dumps({"reports": [as_data(report) for report in reports]}, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _script() -> str:
    return '"use strict";\n(() => {\n' + "\n".join(map(_file, _SCRIPTS)) + "})();\n"


@cache
def _file(name: str) -> str:
    return resources.files("harness.reports").joinpath("page", name).read_text(encoding="ascii")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
