"""The command ``harness``: its arguments, its exit codes, and its handling of errors.

Exit codes: 0 valid (replay: no longer fails), 1 invalid (replay: fails again), 2 bad input or usage,
3 unknown; 130 when interrupted, 70 for a bug in the harness.
"""

from __future__ import annotations

import sys
import traceback
from argparse import (
    SUPPRESS,
    Action,
    ArgumentParser,
    Namespace,
    RawDescriptionHelpFormatter,
    _SubParsersAction,
)
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from harness.cli import arguments, streams
from harness.control.testbed.shortage import SHORTAGES, refused
from harness.errors import HarnessError, require_asserts
from harness.project import config
from harness.scenario import DATABASES

if TYPE_CHECKING:
    Commands = _SubParsersAction[ArgumentParser]

__all__ = ["main", "parser"]

BAD_INPUT, BUG, INTERRUPTED, NOBODY_READS = 2, 70, 130, 141

_EPILOG = """\
exit codes:
  0  valid                 replay: no longer fails
  1  invalid               replay: fails again
  2  bad input or usage
  3  unknown, which is never a pass
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (by default this process's) and return the exit code."""
    streams.make_usable()
    if argv is None:
        config.fix_hash_seed()
    try:
        options = parser().parse_args(argv)
    except SystemExit as exit_:
        return int(exit_.code or 0)
    try:
        code = _run(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader of our output has closed the pipe.
        streams.discard_output()
        return NOBODY_READS
    except OSError as error:
        streams.discard_output()
        _complain(f"harness: the output could not be written: {error.strerror}. Is the disk full or read-only?")
        return BAD_INPUT


def _run(options: Namespace) -> int:
    try:
        if options.module not in ("init.command", "listing", "reporting"):
            require_asserts()
        command = import_module(f"harness.cli.{options.module}").command
        if options.module == "gate.command":
            # The gate prints workflow commands of its own, so it stops others by itself.
            return int(command(options))
        with streams.workflow_commands_stopped(sys.stderr if getattr(options, "json", False) else sys.stdout):
            return int(command(options))
    except HarnessError as error:
        _complain(f"harness: {error}")
        return BAD_INPUT
    except KeyboardInterrupt:
        print("harness: interrupted, so nothing is concluded.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, OSError) and error.errno in SHORTAGES:
            _complain(f"harness: {refused('what the command needs', error)}")
            return BAD_INPUT
        if options.debug:
            traceback.print_exc()
        _complain(
            f"harness: this is a bug in the harness, please report it: {type(error).__name__}: {error}\n"
            f"{'' if options.debug else 'The same command with --debug shows where it happened.'}".rstrip()
        )
        return BUG


def _complain(text: str) -> None:
    """Print *text* on standard error, without obeying workflow commands that it may contain."""
    with streams.workflow_commands_stopped(sys.stderr):
        print(text, file=sys.stderr)


class _Version(Action):
    """Prints the version. It is looked up only here, because that takes longer than parsing."""

    def __call__(self, parser: ArgumentParser, *_: object) -> None:
        print(f"harness {config.version()}")
        parser.exit()


def parser() -> ArgumentParser:
    """Return the parser of the command line."""
    top = ArgumentParser(
        prog="harness",
        description="Races real worker processes over a real database, every interleaving under control.",
        epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_init(commands)
    _add_list(commands)
    _add_run(commands)
    _add_replay(commands)
    _add_gate(commands)
    _add_stress(commands)
    _add_compare(commands)
    _add_around(commands)
    _add_report(commands)
    return top


def _command(commands: Commands, name: str, module: str, *, text: str) -> ArgumentParser:
    command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    command.set_defaults(module=module)
    command.add_argument("--json", action="store_true", help="print one JSON value on standard output")
    command.add_argument("--debug", action="store_true", help="show the traceback of a bug in the harness")
    return command


def _add_init(commands: Commands) -> None:
    init = _command(commands, "init", "init.command", text="write a first scenario, and the settings that name it")
    init.add_argument(
        "folder", nargs="?", default=".", metavar="FOLDER", help="the project's folder (default: this one)"
    )


def _add_list(commands: Commands) -> None:
    _command(commands, "list", "listing", text="show the scenarios and their faulty variants")


def _add_run(commands: Commands) -> None:
    run = _command(commands, "run", "running", text="explore the interleavings of a scenario")
    add = run.add_argument
    add("scenario", metavar="SCENARIO", help="its name, or module:ATTRIBUTE, or path/to/file.py:ATTRIBUTE")
    add("--variant", metavar="NAME", help="a faulty variant of it, by its name in `harness list`")
    add(
        "--workers",
        type=arguments.workers,
        metavar="N",
        help="worker processes, 1 to 64 (default: the scenario's)",
    )
    add(
        "--scheduler",
        default="portfolio",
        metavar="NAME",
        help="portfolio (default: several in turns), exhaustive, random, pct, pos, greybox, hypothesis, or brute "
        "(exhaustive without reduction)",
    )
    add("--depth", type=arguments.count, default=3, metavar="N", help="of the bugs that pct looks for (default: 3)")
    _add_limits(run)
    add(
        "--seed",
        type=arguments.seed,
        default=0,
        metavar="N",
        help="of the scheduler and the code (default: 0)",
    )
    add(
        "--jobs",
        type=arguments.slots,
        metavar="N",
        help="explore with N processes at once, one core each, 1 to 64 (default: 1; not with hypothesis)",
    )
    _add_cluster(run, "explore on a cluster's nodes, with --jobs of them at once (default: one per thread)")
    add("--database", metavar="WHERE", help="where hypothesis keeps failing examples: a folder, or redis://HOST:PORT/N")
    _add_isolation(run)
    _add_postgres(run)
    _add_output(run)
    add("--no-save", action="store_true", help="do not save the counterexample")
    add("--html", metavar="OUT", help="write what is found as a page, to a file or folder")
    add("--no-explain", action="store_true", help=SUPPRESS)
    add("--dies-with", type=int, metavar="PID", help=SUPPRESS)


def _add_limits(run: ArgumentParser) -> None:
    add = run.add_argument
    add("--max-executions", type=arguments.count, metavar="N", help="stop after N executions")
    add(
        "--preemptions",
        type=arguments.bound,
        metavar="N",
        help="only executions with at most N preemptions (exhaustive)",
    )
    add(
        "--faults", type=arguments.bound, metavar="N", help="at most N faults in an execution (default: the scenario's)"
    )
    add(
        "--delays",
        type=arguments.bound,
        metavar="N",
        help="hold up at most N processes in an execution until others' sleeps and time-outs have passed (default: the "
        "scenario's, 1)",
    )
    add("--time", type=arguments.seconds, metavar="SECONDS", help="stop after so much time")
    add(
        "--stop-after",
        type=arguments.count,
        metavar="N",
        help="stop when N executions in a row showed nothing new (no pair of conflicting operations, answer or state)",
    )


def _add_isolation(command: ArgumentParser, whose: str = "the scenario's") -> None:
    command.add_argument(
        "--isolation",
        choices=("warm", "fork"),
        help="warm: processes live on from one execution to the next, and where executions then do not repeat themselves, "
        f"the run begins anew with fork: each execution gets fresh processes (default: {whose})",
    )
    command.add_argument(
        "--patience",
        type=arguments.seconds,
        metavar="SECONDS",
        help=f"how long a worker may get nothing done before it counts as stuck (default: {whose}, else 5)",
    )


def _add_cluster(command: ArgumentParser, text: str) -> None:
    command.add_argument("--cluster", metavar="ADDRESS", help=f"{text}; of a dask scheduler, as in tcp://HOST:8786")


def _add_postgres(command: ArgumentParser) -> None:
    command.add_argument(
        "--postgres",
        type=arguments.postgres,
        metavar="URL",
        help="race over the PostgreSQL server there, each exploration in a database of its own (default: $HARNESS_POSTGRES, "
        "else a server of the run's own)",
    )


def _add_output(command: ArgumentParser) -> None:
    command.add_argument(
        "--output",
        default="counterexamples",
        metavar="DIR",
        help="where counterexamples are saved (default: counterexamples)",
    )


def _add_replay(commands: Commands) -> None:
    replay = _command(commands, "replay", "replay.command", text="run a saved counterexample again, step by step")
    add = replay.add_argument
    add("file", metavar="FILE", help="a counterexample that `harness run` saved")
    add("--times", type=arguments.count, default=1, metavar="N", help="replay N times (default: 1)")
    _add_isolation(replay, "the counterexample's")
    _add_postgres(replay)
    add(
        "--scenario",
        metavar="REFERENCE",
        help="module:ATTRIBUTE or path/to/file.py:ATTRIBUTE, for a scenario that the project does not name",
    )
    add("--export", choices=("test",), help="write a regression test for pytest instead of replaying")
    add("--output", metavar="FILE", help="where to write it (default: standard output)")
    add("--step", action="store_true", help="walk through it, a command a line")
    add("--pdb", metavar="WORKER:STEP", help="have the debugger stop in that worker before that step")
    add(
        "--edit",
        metavar="SCHEDULE",
        help="make these choices instead, e.g. 'w0:c0*3 w1:c1': what if it had gone otherwise?",
    )
    add("--dies-with", type=int, metavar="PID", help=SUPPRESS)


def _add_gate(commands: Commands) -> None:
    gate = _command(
        commands,
        "gate",
        "gate.command",
        text="hold every scenario valid on the reference, and every faulty variant caught",
    )
    gate.epilog = "Settings come from [tool.harness] in pyproject.toml; what is given here overrules them."
    add = gate.add_argument
    add(
        "scenarios",
        nargs="*",
        metavar="SCENARIO",
        help="only these: names, patterns or references (default: the settings')",
    )
    add("--config", metavar="FILE", help="the file with [tool.harness] (default: the nearest pyproject.toml)")
    add("--jobs", type=arguments.slots, metavar="N", help="runs at the same time (default: one per core)")
    add(
        "--over",
        choices=(*DATABASES, "all"),
        help="only the scenarios over this database (default: the settings'; all of those that are named here)",
    )
    _add_isolation(gate, "the settings', else the scenario's")
    _add_postgres(gate)
    _add_cluster(gate, "carry the runs out on a cluster's nodes, one per thread at the same time")
    add("--time", type=arguments.seconds, metavar="SECONDS", help="for each exploration of a reference (default: 8)")
    add("--seed", type=arguments.seed, metavar="N", help="of the schedulers and the code (default: 0)")
    add("--counterexamples", metavar="DIR", help="a folder of known counterexamples, replayed first")
    add("--output", metavar="DIR", help="where new counterexamples are saved (default: counterexamples)")
    add("--changed-since", metavar="REV", help="only scenarios whose code has changed since this git revision")
    add("--report", metavar="DIR", help="write junit.xml, summary.md, results.sarif, gate.json and pages there")
    for name, text in (("junit", "JUnit XML"), ("markdown", "Markdown"), ("sarif", "SARIF 2.1.0")):
        add(f"--{name}", metavar="FILE", help=f"write {text} to this file")


def _add_stress(commands: Commands) -> None:
    stress = _command(
        commands, "stress", "stressing", text="run a scenario uncontrolled: a real server, real sockets, real kills"
    )
    add = stress.add_argument
    add("scenario", metavar="SCENARIO", help="one over HTTP that has turns, by name or reference as for `run`")
    add("--variant", metavar="NAME", help="a faulty variant of it; it is searched under control too, to compare")
    add("--workers", type=arguments.workers, default=4, metavar="N", help="processes that serve (default: 4)")
    add("--clients", type=arguments.count, default=8, metavar="N", help="turns under way at once (default: 8)")
    add("--time", type=arguments.seconds, default=60.0, metavar="SECONDS", help="how long to call (default: 60)")
    add(
        "--kill-every",
        type=arguments.pause,
        default=1.0,
        metavar="SECONDS",
        help="from one SIGKILL of a worker to the next, 0 for none (default: 1)",
    )
    add(
        "--seed",
        type=arguments.seed,
        default=0,
        metavar="N",
        help="seed of kills and disconnects (default: 0); the schedule is not controlled",
    )


def _add_report(commands: Commands) -> None:
    report = _command(commands, "report", "reporting", text="render saved counterexamples: a page, a trace")
    add = report.add_argument
    add("files", nargs="+", metavar="FILE", help="counterexamples that `harness run` saved")
    where = "OUT: a file, a folder (one document for each FILE) or - for standard output"
    add("--html", metavar="OUT", help=f"a page that opens offline; {where}")
    for name, text in (("markdown", "Markdown"), ("junit", "JUnit XML"), ("sarif", "SARIF 2.1.0")):
        add(f"--{name}", metavar="OUT", help=f"{text}; OUT as above")
    add("--perfetto", metavar="OUT", help="a trace for Perfetto or Chrome; OUT as above")
    add(
        "--scenario",
        metavar="REFERENCE",
        help="where the scenario is, if the project does not name it: as for `replay`",
    )
    add("--no-tables", action="store_true", help="do not replay to see what each step did to the tables")
    _add_postgres(report)


def _add_compare(commands: Commands) -> None:
    compare = _command(
        commands, "compare", "compare.command", text="say whether a race of one version is fixed in another"
    )
    compare.epilog = "exit codes: 0 fixed; 1 not fixed, masked or worse; 2 bad input; 3 can't tell"
    add = compare.add_argument
    add("base", metavar="BASE", help="a git revision with the race, or (with --scenario) a variant or `reference`")
    add("head", metavar="HEAD", help="the one that shall have fixed it, likewise")
    add("--scenario", metavar="SCENARIO", help="its name or reference (default: those that the project gates)")
    add("--counterexample", metavar="FILE", help="the race on BASE (default: it is searched)")
    add("--max-executions", type=arguments.count, metavar="N", help="for each exploration")
    add("--time", type=arguments.seconds, default=20.0, metavar="SECONDS", help="for each exploration (default: 20)")
    add("--seed", type=arguments.seed, default=0, metavar="N", help="of the scheduler and the code (default: 0)")
    add("--markdown", metavar="FILE", help="write the comparison as Markdown, for a comment on a pull request")
    _add_isolation(compare)
    _add_postgres(compare)
    add("--html", metavar="FILE", help="write both timelines side by side, one page for each race")
    _add_output(compare)


def _add_around(commands: Commands) -> None:
    around = commands.add_parser("around", allow_abbrev=False)
    around.set_defaults(module="compare.around", debug=False)
    add = around.add_argument
    add("file", metavar="FILE")
    add("--scenario", metavar="REFERENCE", required=True)
    add("--variant", metavar="NAME")
    add("--json", action="store_true")
