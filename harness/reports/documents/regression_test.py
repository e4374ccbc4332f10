"""A counterexample as a regression test: a pytest file that reproduces the race on the current code."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.reports.source_lines import message_of
from harness.reports.text.terminal import escaped, wrapped
from harness.saved.counterexample import Counterexample

__all__ = ["regression_test"]

_WIDTH = 100


def regression_test(found: Counterexample, reference: str, calls: str, *, legs: Sequence[tuple[object, ...]]) -> str:
    """Return the source of a test that fails while the race of *found* is there.

    *reference* is the scenario's name or a reference to it; *calls* and *legs* are for ``harness.regression.check``.
    """
    variant = repr(found.variant) if found.variant else "None"
    lines = [
        f'"""{_told(f"{found.scenario}: {_rule(found)} must hold in the interleaving that once broke it.")}',
        "",
        *(_told(line) for line in wrapped(escaped(message_of(found)), _WIDTH)),
        '"""',
        "",
        "from harness import registry, regression",
        "",
        f"SCENARIO = {reference!r}",
        f"VARIANT = {variant}",
        "",
        f"CALLS = {calls!r}",
        "LEGS = [",
        *(f"    {leg!r}," for leg in legs),
        "]",
        "",
        "",
        f"def test_{_identifier(found)}() -> None:",
        f'    """{_told(_rule(found))} holds."""',
        "    scenario = registry.find(SCENARIO, VARIANT)",
        f"    regression.check(scenario, legs=LEGS, calls=CALLS, workers={found.workers}, seed={found.seed})",
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _rule(found: Counterexample) -> str:
    return escaped(f"{found.failure.kind} {found.failure.rule}".strip())


def _told(text: str) -> str:
    """Return *text* on one line, safe inside a docstring: no double quotes, backslashes escaped."""
    return " ".join(text.replace("\\", "\\\\").replace('"', "'").split())


def _identifier(found: Counterexample) -> str:
    words = re.sub(r"[^a-z0-9]+", "_", f"{found.scenario} {found.failure.rule or found.failure.kind}".lower())
    return words.strip("_")[:60]
