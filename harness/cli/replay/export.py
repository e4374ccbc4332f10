"""``harness replay FILE --export test``: a regression test for pytest, made of a counterexample."""

from __future__ import annotations

import shlex
from argparse import Namespace
from pathlib import Path

from harness.errors import BadInput
from harness.interleaving import text_of_calls
from harness.regression import legs_of
from harness.reports.documents.regression_test import regression_test
from harness.saved.counterexample import Counterexample

__all__ = ["export"]


def export(options: Namespace, counterexample: Counterexample) -> int:
    """Write the test to ``--output``, or to standard output; return 0. Raises ``BadInput`` if it can't be written."""
    name = options.scenario or counterexample.scenario
    text = regression_test(
        counterexample, name, text_of_calls(counterexample.workload), legs=legs_of(counterexample.steps)
    )
    if options.output is None:
        print(text, end="")
        return 0
    try:
        Path(options.output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(
            f"The test can't be written as {options.output!r}: {error.strerror or error}. Is its folder there?"
        ) from None
    print(f"{options.output}: fails while the race is there. To run it: pytest {shlex.quote(options.output)}")
    return 0
