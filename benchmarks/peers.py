"""Compares the answers and the speed of the harness and of frontrun, program by program: a table, and JSON on request.

    python -m benchmarks.peers [--cap SECONDS] [--only-ours | --only-frontrun] [--json FILE]
                               [--frontrun default|reused|both] [--program NAME ...] [--frontrun-python FILE]

Every cell is one call in a fresh process. The seconds are those of the call, including the start of its workers,
for both tools. Exit code 1 if the harness answers wrongly for a program or needs more than two seconds.
"""

from __future__ import annotations

import argparse
import json
import platform
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from benchmarks.child import Outcome, fresh_folder, run_child
from benchmarks.goals import SECONDS_PER_PROGRAM
from benchmarks.programs import JOURNALS, Program, programs

Judgement = Literal["right", "WRONG", "undecided"]
LIMIT_SECONDS = SECONDS_PER_PROGRAM
MODES = {"default": ("frontrun",), "reused": ("frontrun-reused",), "both": ("frontrun", "frontrun-reused")}


@dataclass(frozen=True)
class Cell:
    """One tool's answer to one program."""

    program: str
    journal: str
    expected: str
    tool: str
    answer: str
    judged: Judgement
    executions: int
    seconds: float
    complete: bool | None
    detail: str

    @property
    def ok(self) -> bool:
        """Return whether the answer is right and came in time."""
        return self.judged == "right" and self.seconds <= LIMIT_SECONDS


def judge(candidate: Program, tool: str, *, cap: float, python: str) -> Cell:
    """Let one tool judge one program, in a process that is killed after `cap` seconds."""
    with fresh_folder() as folder:
        arguments = (tool, candidate.name, candidate.journal, str(folder))
        outcome = run_child("benchmarks.judge", arguments, cap=cap, python=python)
    found = outcome.answer or {}
    answer = found.get("answer") or _no_answer(outcome)
    return Cell(
        program=candidate.name,
        journal=candidate.journal,
        expected=candidate.expected,
        tool=tool,
        answer=f"{answer} ({found['kind']})" if found.get("kind") else answer,
        judged=_judged(candidate, answer, str(found.get("kind"))),
        executions=int(found.get("executions", found.get("started", 1) - 1)),  # the last one begun never ended
        seconds=float(found.get("seconds", outcome.seconds)),
        complete=found.get("complete"),
        detail=str(found.get("detail") or outcome.errors[-2000:]),
    )


def _judged(candidate: Program, answer: str, kind: str) -> Judgement:
    """Judge an answer; `nondeterministic` is frontrun's word for no answer."""
    if answer not in ("valid", "invalid") or kind == "nondeterministic":
        return "undecided"
    return "right" if answer == candidate.expected else "WRONG"


def _no_answer(outcome: Outcome) -> str:
    return "no answer" if outcome.capped else "crashed"


# -- the table ---------------------------------------------------------------------------------------------

HEADINGS = ("program", "journal", "expected", "tool", "answer", "", "executions", "complete", "seconds")
WIDTHS = (17, 7, 8, 15, 26, 9, 10, 8, 7)


def render(cells: Iterator[Cell]) -> Iterator[str]:
    """Yield the table's lines, each as soon as its cell is known."""
    yield _line(HEADINGS)
    yield _line(tuple("-" * width for width in WIDTHS))
    for cell in cells:
        complete = {True: "yes", False: "no", None: ""}[cell.complete]
        yield _line(
            (
                cell.program,
                cell.journal,
                cell.expected,
                cell.tool,
                cell.answer,
                cell.judged,
                str(cell.executions),
                complete,
                f"{cell.seconds:.2f}",
            )
        )


def _line(values: Sequence[str]) -> str:
    return "  ".join(value.ljust(width) for value, width in zip(values, WIDTHS, strict=True)).rstrip()


def summary(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield a line for each tool: how many programs it judged right, wrong and not at all, and its seconds in all."""
    for tool in dict.fromkeys(cell.tool for cell in cells):
        own = [cell for cell in cells if cell.tool == tool]
        count = Counter(cell.judged for cell in own)
        took = sum(cell.seconds for cell in own)
        yield (
            f"{tool}: of {len(own)} {count['right']} right, {count['WRONG']} wrong,"
            f" {count['undecided']} undecided, {took:.1f} s in all"
        )


# -- the command -------------------------------------------------------------------------------------------


def main() -> int:
    """Judge every chosen program with every chosen tool; see the module's docstring for the exit code."""
    arguments = _parser().parse_args()
    wanted = [
        candidate
        for each in programs("delete")
        for journal in JOURNALS
        for candidate in programs(journal)
        if candidate.name == each.name and (not arguments.program or each.name in arguments.program)
    ]
    tools = _tools(arguments)
    cells: list[Cell] = []

    def measured() -> Iterator[Cell]:
        for candidate in wanted:
            for tool in tools:
                python = sys.executable if tool == "ours" else arguments.frontrun_python
                cells.append(judge(candidate, tool, cap=arguments.cap, python=python))
                yield cells[-1]

    for line in render(measured()):
        print(line, flush=True)
    print()
    for line in summary(cells):
        print(line)
    if arguments.json:
        arguments.json.write_text(json.dumps(_document(cells, arguments.cap), indent=1) + "\n")
    slow_or_wrong = [cell for cell in cells if cell.tool == "ours" and not cell.ok]
    for cell in slow_or_wrong:
        print(f"ours: {cell.program}/{cell.journal}: {cell.answer} in {cell.seconds:.2f} s: {cell.detail}")
    return 1 if slow_or_wrong else 0


def _tools(arguments: argparse.Namespace) -> tuple[str, ...]:
    if arguments.only_ours:
        return ("ours",)
    probe = run_child("benchmarks.has_frontrun", (), cap=30, python=arguments.frontrun_python)
    if probe.answer is None or not probe.answer["version"]:
        print("frontrun is not installed here (see the `bench` dependency group): only ours is shown\n")
        return () if arguments.only_frontrun else ("ours",)
    print(f"frontrun {probe.answer['version']}, killed after {arguments.cap:g} s a program\n")
    return MODES[arguments.frontrun] if arguments.only_frontrun else ("ours", *MODES[arguments.frontrun])


def _document(cells: Sequence[Cell], cap: float) -> dict[str, object]:
    return {
        "version": 1,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "cap_seconds": cap,
        "limit_seconds": LIMIT_SECONDS,
        "cells": [asdict(cell) for cell in cells],
    }


def _parser() -> argparse.ArgumentParser:
    keep_lines = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=keep_lines)
    parser.add_argument("--cap", type=float, default=20.0, help="seconds a tool may take per program (20)")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--only-ours", action="store_true")
    only.add_argument("--only-frontrun", action="store_true")
    parser.add_argument("--frontrun", choices=MODES, default="default", help="with which of its options")
    parser.add_argument("--frontrun-python", default=sys.executable, help="the interpreter that has frontrun")
    parser.add_argument("--program", action="append", help="only this one (repeatable)")
    parser.add_argument("--json", type=Path, help="write the same as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
