"""Two reports side by side, in one page that contains both whole pages and opens offline."""

from __future__ import annotations

import html

from harness.reports.documents.html import page
from harness.reports.report import Report

__all__ = ["side_by_side"]

_STYLE = """\
html, body { height: 100%; margin: 0; font-family: system-ui, sans-serif; color-scheme: light dark; }
body { display: flex; flex-direction: column; }
h1 { font-size: 1rem; margin: 0.6rem 1rem; }
main { flex: 1; display: flex; gap: 2px; min-height: 0; }
section { flex: 1; display: flex; flex-direction: column; min-width: 0; min-height: 0; }
h2 { font-size: 0.85rem; font-weight: 600; margin: 0.3rem 1rem; }
iframe { flex: 1; border: 0; border-top: 1px solid GrayText; }
@media (max-width: 900px) { main { flex-direction: column; } section { min-height: 90vh; } html, body { height: auto; } }
"""


def side_by_side(title: str, sides: tuple[tuple[str, Report], tuple[str, Report]]) -> str:
    """Return a page with both *sides* (each a heading and a report), ASCII only."""
    parts = [
        f"<section><h2>{_text(heading)}</h2>"
        f'<iframe title="{_text(heading)}" srcdoc="{html.escape(page([report]), quote=True)}"></iframe></section>'
        for heading, report in sides
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{_text(title)}</h1><main>{''.join(parts)}</main></body></html>\n"
    )


def _text(text: str) -> str:
    return html.escape(text, quote=True).encode("ascii", "xmlcharrefreplace").decode("ascii")
