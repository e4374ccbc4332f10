"""``harness run``: explores a scenario, saves the counterexample, shows the result."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from harness import registry
from harness.cli.arguments import check_slots
from harness.cli.recorded import replay_command
from harness.cli.results import print_result
from harness.cli.terminal import EXIT_CODES, Ticker
from harness.errors import BadInput
from harness.result import Interrupted, Result
from harness.saved.counterexample import Counterexample, save
from harness.scenario import Scenario

__all__ = ["command"]

_INTERRUPTED = 130


def command(options: Namespace) -> int:
    """Explore; return 0 for valid, 1 for invalid, 3 for unknown."""
    if options.dies_with is not None:
        from harness.boundary.parent import die_with

        die_with(options.dies_with)
    check_slots(options.jobs, options.cluster)
    scenario = registry.find(options.scenario, options.variant)
    seen: list[int] = []
    try:
        result = _explore(options, scenario, seen)
    except Interrupted as interrupted:
        print_result(options, interrupted.result, None)
        print("harness: interrupted, so nothing is concluded and nothing saved.", file=sys.stderr)
        return _INTERRUPTED
    except KeyboardInterrupt:
        executions, failures = seen[-2:] or (0, 0)
        print(
            f"harness: interrupted after about {executions} executions ({failures} failed). "
            "Nothing was concluded and nothing saved.",
            file=sys.stderr,
        )
        return _INTERRUPTED
    path, unsaved = None, None
    if result.counterexample is not None and not options.no_save:
        try:
            path = save(Counterexample.of(result), Path(options.output))
        except BadInput as error:
            unsaved = error
    print_result(options, result, path)
    if options.html is not None and result.counterexample is not None:
        from harness.cli.reporting import write_page

        again = replay_command(path, options.scenario) if path else ""
        write_page(Counterexample.of(result), scenario, again, out=options.html)
    if unsaved is not None:
        # Raised only after the result was shown, so that it is not lost.
        raise unsaved
    return EXIT_CODES[result.verdict]


def _explore(options: Namespace, scenario: Scenario, seen: list[int]) -> Result:
    from harness.control.options import Place, RunOptions
    from harness.control.run import carry_out
    from harness.control.tally import Progress

    with Ticker() as ticker:

        def progress(now: Progress) -> None:
            seen[:] = now.executions, now.failures
            ticker.show(f"{now.phase}: {now.executions} executions, {now.failures} failed, {now.seconds:.1f} s")

        return carry_out(
            scenario,
            RunOptions(
                workers=options.workers, scheduler=options.scheduler, depth=options.depth,
                max_executions=options.max_executions, preemptions=options.preemptions, faults=options.faults,
                delays=options.delays, seconds=options.time, stop_after=options.stop_after, seed=options.seed,
                jobs=options.jobs, isolation=options.isolation, patience=options.patience, server=options.postgres,
                cluster=Place(options.cluster, options.scenario) if options.cluster is not None else None,
                explain=not options.no_explain, examples=options.database,
            ),
            progress,
        )  # fmt: skip
