"""Draws line plots as SVG; the few plots here need no plotting library."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 60, 190, 20, 50
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
"""Of Okabe and Ito, told apart by the colour-blind too."""
DASHES = ("", "6 3", "2 2")
"""Lines beyond the colours are dashed."""


@dataclass(frozen=True)
class Line:
    """A line through points from left to right; with `stepped`, a value holds until the next one."""

    name: str
    points: Sequence[tuple[float, float]]
    stepped: bool = False


@dataclass(frozen=True)
class Plot:
    """A plot with the labels of its axes; `logarithmic` is about the x axis, `top` is the end of the y axis.

    Without `top`, the y axis ends a little above the highest value.
    """

    x: str
    y: str
    lines: Sequence[Line]
    logarithmic: bool = False
    top: float | None = None

    def drawn(self) -> str:
        """Return the SVG."""
        body = "\n".join((*self._grid(), *self._curves()))
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
            f' font-family="sans-serif" font-size="12">\n<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n'
            f"{body}\n</svg>\n"
        )

    @property
    def _ends(self) -> tuple[float, float, float]:
        """Return the lowest and highest x, and the end of the y axis."""
        xs = [x for line in self.lines for x, _ in line.points] or [1.0]
        ys = [y for line in self.lines for _, y in line.points] or [1.0]
        return min(xs), max(xs), self.top or max(ys) * 1.05

    def _across(self, x: float) -> float:
        low, high, _ = self._ends
        if self.logarithmic:
            x, low, high = math.log10(x), math.log10(low), math.log10(high)
        return LEFT + (x - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT)

    def _up(self, y: float) -> float:
        return HEIGHT - BOTTOM - y / self._ends[2] * (HEIGHT - TOP - BOTTOM)

    def _grid(self) -> Iterator[str]:
        low, high, top = self._ends
        for y in steps(top):
            at = f"{self._up(y):.1f}"
            yield f'<path d="M{LEFT} {at}H{WIDTH - RIGHT}" stroke="#ddd"/>'
            yield f'<text x="{LEFT - 6}" y="{at}" text-anchor="end" dominant-baseline="middle">{y:g}</text>'
        for x in powers(low, high) if self.logarithmic else steps(high):
            at = f"{self._across(x):.1f}"
            yield f'<path d="M{at} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>'
            yield f'<text x="{at}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{x:g}</text>'
        yield f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(self.x)}</text>'
        middle = (TOP + HEIGHT - BOTTOM) / 2
        yield f'<text transform="translate(16 {middle}) rotate(-90)" text-anchor="middle">{escape(self.y)}</text>'

    def _curves(self) -> Iterator[str]:
        for number, line in enumerate(self.lines):
            colour = COLOURS[number % len(COLOURS)]
            dash = DASHES[number // len(COLOURS) % len(DASHES)]
            style = f'stroke="{colour}" stroke-width="2"' + (f' stroke-dasharray="{dash}"' if dash else "")
            yield f'<path d="{self._path(line)}" fill="none" {style}/>'
            at = TOP + 10 + number * 20
            yield f'<path d="M{WIDTH - RIGHT + 12} {at}h22" {style}/>'
            yield f'<text x="{WIDTH - RIGHT + 40}" y="{at}" dominant-baseline="middle">{escape(line.name)}</text>'

    def _path(self, line: Line) -> str:
        parts: list[str] = []
        for x, y in line.points:
            across, up = f"{self._across(x):.1f}", f"{self._up(y):.1f}"
            if not parts:
                parts.append(f"M{across} {up}")
            else:
                parts.append(f"H{across}V{up}" if line.stepped else f"L{across} {up}")
        return "".join(parts)


def steps(top: float) -> list[float]:
    """Return about five round numbers from 0 to *top*."""
    size = 10.0 ** math.floor(math.log10(top / 5 or 1))
    size *= next(factor for factor in (1, 2, 5, 10) if top / (size * factor) <= 6)
    return [size * number for number in range(int(top / size + 1e-9) + 1)]


def powers(low: float, high: float) -> list[float]:
    """Return the powers of ten from *low* to *high*, or powers of two where these are too few."""
    base = 10 if high / low > 100 else 2
    first, last = math.ceil(math.log(low, base) - 1e-9), math.floor(math.log(high, base) + 1e-9)
    return [float(base**number) for number in range(first, last + 1)]
