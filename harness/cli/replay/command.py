"""``harness replay``: runs a saved counterexample again and reports whether it still fails."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from harness.cli.recorded import replay_command, scenario_of
from harness.cli.terminal import EXIT_CODES, colour, print_json, width
from harness.control.repeating.replays import Replayed, replay
from harness.reports.text.terminal import counted, escaped, paragraph, wrapped
from harness.reports.text.transcript import title_of_counterexample, transcript
from harness.saved.counterexample import Counterexample, MadeWith, load
from harness.scenario import Scenario
from harness.values.schedule import Schedule
from harness.verdict import Verdict

__all__ = ["command", "scenario_of"]


def command(options: Namespace) -> int:
    """Replay; return 0 if it no longer fails, 1 if it fails again, 3 if the verdict is unknown."""
    if options.dies_with is not None:
        from harness.boundary.parent import die_with

        die_with(options.dies_with)
    path = Path(options.file)
    counterexample = load(path)
    scenario = scenario_of(options, path, counterexample)
    if options.export is not None:
        from harness.cli.replay.export import export

        return export(options, counterexample)
    if options.step:
        from harness.cli.replay.walk import step_through

        return step_through(scenario, counterexample)
    if options.pdb is not None:
        from harness.cli.replay.debugger import debug

        return debug(scenario, counterexample, options.pdb)
    if options.edit is not None:
        return _edited(options, scenario, counterexample)
    replayed = replay(
        scenario, counterexample, times=options.times, isolation=options.isolation, patience=options.patience
    )
    differences = _differences(counterexample.made_with) if replayed.divergence else []
    if options.json:
        print_json(_as_json(path, counterexample, replayed, differences=differences))
    else:
        _show(options, path, counterexample, replayed=replayed, differences=differences)
    return EXIT_CODES[replayed.verdict]


def _edited(options: Namespace, scenario: Scenario, counterexample: Counterexample) -> int:
    """Run the choices given instead of the recorded ones; after the last one, run on without preemption."""
    from harness.control.repeating.edited import make

    execution = make(scenario, counterexample, Schedule.parse(options.edit))
    title = title_of_counterexample(counterexample)
    failed = execution.failure is not None
    verdict = Verdict.UNKNOWN if execution.stuck else Verdict.INVALID if failed else Verdict.VALID
    if options.json:
        print_json(
            {
                "verdict": str(verdict),
                "failure": str(execution.failure) if execution.failure is not None else None,
                "schedule": str(execution.schedule),
                "stuck": execution.stuck or None,
            }
        )
    else:
        words = {Verdict.INVALID: "fails", Verdict.VALID: "passes: every rule held", Verdict.UNKNOWN: "can't be judged"}
        print(*wrapped(f"The edited schedule {words[verdict]}. {escaped(execution.stuck)}", width()), sep="\n")
        print()
        print(transcript(execution, title=title, width=width(), colour=colour()), end="")
    return EXIT_CODES[verdict]


def _differences(made_with: MadeWith) -> list[str]:
    here = MadeWith.here()
    return [
        f"{name}: recorded with {getattr(made_with, name)}, now {getattr(here, name)}"
        for name in MadeWith.__slots__
        if getattr(made_with, name) != getattr(here, name)
    ]


def _as_json(
    path: Path, counterexample: Counterexample, replayed: Replayed, *, differences: list[str]
) -> dict[str, object]:
    failure = counterexample.failure
    return {
        "scenario": counterexample.scenario,
        "variant": counterexample.variant or None,
        "workers": counterexample.workers,
        "counterexample": str(path),
        "verdict": str(replayed.verdict),
        "times": replayed.times,
        "failed_again": replayed.failed_again,
        "divergence": replayed.divergence or None,
        "differences": differences,
        "failure": {
            "kind": failure.kind,
            "rule": failure.rule,
            "message": failure.message,
            "step": failure.step,
        },
        "seconds": round(replayed.seconds, 6),
        "startup_seconds": round(replayed.startup_seconds, 6),
    }


def _show(
    options: Namespace, path: Path, counterexample: Counterexample, *, replayed: Replayed, differences: list[str]
) -> None:
    columns = width()
    for line in [
        *wrapped(escaped(f"{path}: {_meaning(replayed)}"), columns),
        *paragraph(replayed.divergence, columns),
    ]:
        print(line)
    if differences:
        print("What differs from when it was recorded:")
    for difference in differences:
        print(*paragraph(difference, columns, "  "), sep="\n")
    if replayed.verdict is Verdict.INVALID and replayed.execution is not None:
        title = title_of_counterexample(counterexample)
        again = replay_command(path, options.scenario or "")
        print()
        why = counterexample.explanation or ""
        print(
            transcript(replayed.execution, title=title, command=again, why=why, width=columns, colour=colour()), end=""
        )


def _meaning(replayed: Replayed) -> str:
    failed = f"{replayed.failed_again} of {counted(replayed.times, 'replay')}"
    tally = f"{failed} failed as recorded, in {replayed.seconds:.2f} s."
    return {
        Verdict.INVALID: f"fails again. {tally}",
        Verdict.VALID: f"no longer fails. The same steps were taken and every rule held. {tally}",
        Verdict.UNKNOWN: f"unknown, which is neither pass nor failure. {tally}",
    }[replayed.verdict]
