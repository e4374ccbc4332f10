"""``harness run``: explores a scenario, saves the counterexample, shows the result."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from harness import registry
from harness.cli.arguments import check_slots
from harness.cli.terminal import EXIT_CODES, Ticker, colour, print_json, width
from harness.errors import BadInput
from harness.project.suggestions import nearest
from harness.result import Interrupted, Result, delay_count, fault_count
from harness.saved.counterexample import Counterexample, save
from harness.scenario import Scenario

__all__ = ["command", "replay_command"]

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
        _say(options, interrupted.result, None)
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
    _say(options, result, path)
    if options.html is not None and result.counterexample is not None:
        from harness.cli.reporting import write_page

        again = replay_command(path, options.scenario) if path else ""
        write_page(Counterexample.of(result), scenario, again, options.html)
    if unsaved is not None:
        # Raised only after the result was shown, so that it is not lost.
        raise unsaved
    return EXIT_CODES[result.verdict]


def _say(options: Namespace, result: Result, path: Path | None) -> None:
    if options.json:
        print_json(_as_json(result, path))
    else:
        _show(options, result, path)


def _explore(options: Namespace, scenario: Scenario, seen: list[int]) -> Result:
    from harness.control.run import SCHEDULERS, Progress, run
    from harness.control.sharding.together import Place

    if options.scheduler not in SCHEDULERS:
        raise BadInput(f"There is no scheduler {options.scheduler!r}. {nearest(options.scheduler, SCHEDULERS)}")
    with Ticker() as ticker:

        def progress(now: Progress) -> None:
            seen[:] = now.executions, now.failures
            ticker.show(f"{now.phase}: {now.executions} executions, {now.failures} failed, {now.seconds:.1f} s")

        return run(
            scenario,
            workers=options.workers,
            scheduler=options.scheduler,
            depth=options.depth,
            max_executions=options.max_executions,
            preemptions=options.preemptions,
            faults=options.faults,
            delays=options.delays,
            seconds=options.time,
            stop_after=options.stop_after,
            seed=options.seed,
            jobs=options.jobs,
            cluster=Place(options.cluster, options.scenario) if options.cluster is not None else None,
            isolation=options.isolation,
            patience=options.patience,
            progress=progress,
            explain=not options.no_explain,
            examples=options.database,
        )


def _as_json(result: Result, path: Path | None) -> dict[str, object]:
    from harness.reports.text.why import as_data

    found = result.counterexample
    failure = found.failure if found else None
    return {
        "scenario": result.scenario,
        "variant": result.variant or None,
        "workers": result.workers,
        "scheduler": result.scheduler,
        "seed": result.seed,
        "jobs": result.jobs,
        "isolation": result.isolation,
        "verdict": str(result.verdict),
        "executions": result.executions,
        "complete": result.complete,
        "bound": result.bound or None,
        "within": result.within or None,
        "bound_on_delays": result.delays or None,
        "failures": result.failures,
        "first_failure": result.first_failure,
        "seconds": round(result.seconds, 6),
        "startup_seconds": round(result.startup_seconds, 6),
        "reasons": list(result.reasons),
        "notes": list(result.notes),
        "anew": result.anew or None,
        "allowed": list(result.allowed),
        "counterexample": str(path) if path else None,
        "failure": {
            "kind": failure.kind,
            "rule": failure.rule,
            "message": failure.message,
            "step": failure.step,
        }
        if failure
        else None,
        "preemptions": found.preemptions if found else None,
        "faults": fault_count(found.steps) if found else None,
        "delays": delay_count(found.steps) if found else None,
        "explanation": as_data(result.explanation, found) if result.explanation is not None and found else None,
        "unexplained": result.unexplained or None,
        "shrink_executions": result.shrink_executions,
        "outcomes": result.outcomes,
        "steps": result.steps,
        "abandoned": result.abandoned,
        "foreseen": result.foreseen,
        "happened": dict(result.happened),
        "coverage": asdict(result.coverage),
    }


def _show(options: Namespace, result: Result, path: Path | None) -> None:
    from harness.reports.text.summary import summary
    from harness.reports.text.transcript import transcript_of

    print(summary(result, width=width()), end="")
    if result.counterexample is not None:
        again = replay_command(path, options.scenario) if path else ""
        print()
        print(transcript_of(result, command=again, width=width(), colour=colour()), end="")


def replay_command(path: Path, scenario: str) -> str:
    """Return the command that replays *path*; *scenario* is the scenario's reference on the command line."""
    own = f" --scenario {shlex.quote(scenario)}" if ":" in scenario else ""
    return f"harness replay {shlex.quote(str(path))}{own}"
