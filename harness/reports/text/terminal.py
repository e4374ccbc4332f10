"""Text for a terminal: escaped, measured in columns, wrapped, shortened, coloured."""

from __future__ import annotations

import unicodedata

__all__ = ["columns", "counted", "escaped", "one_line", "padded", "paragraph", "shortened", "styled", "wrapped"]

_STYLES = {"title": "1", "broken": "1;31", "error": "31", "waiting": "33", "told": "32", "dim": "2"}
_DOTS = "..."


def escaped(text: str) -> str:
    """Return *text* with control characters and other unprintable characters as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def one_line(text: str) -> str:
    """Return *text* on one line, escaped, with each run of blanks as one space."""
    return escaped(" ".join(text.split()))


def columns(text: str) -> int:
    """Return the number of terminal columns that *text* takes."""
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def padded(text: str, width: int) -> str:
    """Return *text* padded with spaces to *width* columns."""
    return text + " " * (width - columns(text))


def shortened(text: str, width: int) -> str:
    """Return *text* if it fits in *width* columns, else its beginning and three dots."""
    if columns(text) <= width:
        return text
    return _cut(text, max(0, width - len(_DOTS)))[0] + _DOTS[:width]


def _cut(text: str, width: int) -> tuple[str, str]:
    """Return the longest beginning of *text* that fits in *width* columns, and the rest."""
    used = 0
    for place, char in enumerate(text):
        used += _columns(char)
        if used > width:
            return text[:place], text[place:]
    return text, ""


def wrapped(text: str, width: int, most: int = 1000, *, hang: int = 0) -> list[str]:
    """Return *text* in lines of at most *width* columns, broken at blanks where possible.

    There are at most *most* lines: the last one ends in dots if some text is left. All lines but the first are narrower
    by *hang* columns. No line is limited to fewer than 8 columns.
    """
    lines: list[str] = []
    rest = text.strip()
    while rest and len(lines) < most:
        room = max(width - hang if lines else width, 8)
        line, after = _cut(rest, room)
        if after and not after.startswith(" ") and " " in line.strip():
            line = line[: line.rindex(" ")]
        rest = rest[len(line) :].strip()
        lines.append(line.rstrip())
    if rest:
        lines[-1] = shortened(f"{lines[-1]} {rest}", room)
    return lines


def paragraph(text: str, width: int, indent: str = "") -> list[str]:
    """Return *text* escaped, wrapped and indented; its own line breaks and margins are kept."""
    found: list[str] = []
    for line in text.splitlines():
        margin = indent + " " * min(len(line) - len(line.lstrip(" ")), width // 4)
        found += [margin + part for part in wrapped(escaped(line), width - len(margin))]
    return found


def styled(style: str, text: str, *, colour: bool) -> str:
    """Return *text* in the colour of *style* if *colour* is true, else unchanged."""
    code = _STYLES.get(style)
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code and text else text


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return *number* with *noun* in the right form: ``1 step``, ``2,000 steps``; *plural* where an ``s`` does not make it."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
