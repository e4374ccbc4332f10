"""``harness stress``: the same scenario without control, as a baseline for the controlled search."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import asdict

from harness import registry
from harness.cli.terminal import EXIT_CODES, Ticker, print_json, width
from harness.result import Result
from harness.scenario import Scenario

__all__ = ["command"]

_INTERRUPTED = 130
_SEARCH_EXECUTIONS, _SEARCH_SECONDS = 1_000, 60.0


def command(options: Namespace) -> int:
    """Run without control, and search a variant under control too.

    Return 0 if no rule was seen broken in the uncontrolled run, 1 if one was, 3 for unknown.
    """
    from harness.reports.text.stress_lines import stress_report
    from harness.stress.running import stress

    scenario = registry.find(options.scenario, options.variant)
    try:
        with Ticker() as ticker:
            stressed = stress(
                scenario,
                options.scenario,
                workers=options.workers,
                clients=options.clients,
                seconds=options.time,
                kill_every=options.kill_every or None,
                seed=options.seed,
                tell=ticker.show,
            )
            searched = _search(scenario, ticker) if scenario.variant else None
    except KeyboardInterrupt:
        print("harness: interrupted, so nothing is concluded.", file=sys.stderr)
        return _INTERRUPTED
    if options.json:
        document = {**asdict(stressed), "verdict": str(stressed.verdict), "variant": stressed.variant or None}
        document["controlled"] = searched and {
            "verdict": str(searched.verdict),
            "first_failure": searched.first_failure,
            "executions": searched.executions,
            "seconds": round(searched.seconds, 3),
        }
        print_json(document)
    else:
        print(stress_report(stressed, searched, width=width()), end="")
    return EXIT_CODES[stressed.verdict]


def _search(scenario: Scenario, ticker: Ticker) -> Result:
    from harness.control.run import run

    ticker.show("searching under control")
    return run(scenario, max_executions=_SEARCH_EXECUTIONS, seconds=_SEARCH_SECONDS)
