"""Prints the result of a run: as text, or as one JSON object."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from harness.cli.recorded import replay_command
from harness.cli.terminal import colour, print_json, width
from harness.result import Result, delay_count, fault_count

__all__ = ["print_result"]


def print_result(options: Namespace, result: Result, path: Path | None) -> None:
    """Print *result*; *path* is the file of its counterexample, if that was saved."""
    if options.json:
        print_json(_as_json(result, path))
    else:
        _show(options, result, path)


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
