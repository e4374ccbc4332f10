"""``harness replay FILE --step``: walks through a counterexample, one command per line, from a terminal or a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from harness.cli.terminal import width
from harness.control.repeating.stops import Moment, walk
from harness.reports.text.step_walk import committed_lines, stack_lines, step_line, table_lines, variable_lines
from harness.reports.text.terminal import escaped
from harness.saved.counterexample import Counterexample
from harness.scenario import Scenario

__all__ = ["step_through"]

_HELP = """\
  n [COUNT]   go on, by one step or so many        b [COUNT]   go back
  g NUMBER    stop before that step                v           stop before the step that breaks the rule
  s           the steps around here                w           where the tasks of every worker are
  l           their local variables                t [TABLE]   the tables as they are committed
  c           the tables as each worker sees them  q           leave
"""


def step_through(scenario: Scenario, found: Counterexample) -> int:
    """Walk through *found* as the user's commands say; return 0."""
    walk(scenario, found, _Guide(found).visit)
    return 0


class _Guide:
    """Reads commands and decides which step to go to."""

    def __init__(self, found: Counterexample) -> None:
        self._found = found
        self._last = len(found.steps)

    def visit(self, moment: Moment) -> int | None:
        """Show *moment*, and obey commands until one leads to another step; return that step, or None to quit."""
        self._show(moment)
        while True:
            words = self._ask(moment).split()
            if not words:
                continue
            target = self._obey(moment, words[0], words[1:])
            if target != moment.number or words[0] == "q":
                return target

    def _ask(self, moment: Moment) -> str:
        print(f"[{moment.number}/{self._last}] ", end="", flush=True)
        line = sys.stdin.readline()
        if not sys.stdin.isatty():
            print(escaped(line.strip()))
        return line.strip() or ("n" if line else "q")

    def _obey(self, moment: Moment, command: str, arguments: list[str]) -> int | None:
        """Do *command*; return the step to stop before: the current one if the command doesn't move, None to quit."""
        here = moment.number
        if command == "q":
            return None
        if command in ("n", "b", "g"):
            return self._move(here, command, arguments)
        if command == "v":
            return self._found.failure.step if self._found.failure.step >= 0 else self._last
        shown: dict[str, Callable[[], Iterable[str]]] = {
            "w": lambda: stack_lines(moment.frames(), width()),
            "l": lambda: variable_lines(moment.frames(), width()),
            "t": lambda: committed_lines(moment.tables(), " ".join(arguments), width()),
            "c": lambda: self._seen(moment),
            "s": lambda: self._around(moment),
        }
        if command in shown:
            lines = list(shown[command]())
            print("\n".join(lines or ["nothing"]))
        else:
            print(_HELP, end="")
        return here

    def _move(self, here: int, command: str, arguments: list[str]) -> int:
        number = arguments[0] if arguments else "1"
        if not number.isdecimal() or (command == "g" and not arguments):
            print(f"{command} takes a number, not {' '.join(arguments)!r}.")
            return here
        target = {"n": here + int(number), "b": here - int(number), "g": int(number)}[command]
        target = min(max(target, 0), self._last)
        if target == here:
            print("This is the end." if here == self._last else "This is the beginning." if not here else "Here it is.")
        return target

    def _show(self, moment: Moment) -> None:
        if moment.ended:
            failure = self._found.failure
            print(escaped(f"The end. Broken: {failure.kind} '{failure.rule}': {failure.message}"))
        else:
            print(step_line(moment.number, self._found.steps[moment.number], width()))

    def _around(self, moment: Moment) -> list[str]:
        first, last = max(moment.number - 5, 0), min(moment.number + 6, self._last)
        return [
            ("->" if number == moment.number else "  ") + step_line(number, self._found.steps[number], width() - 2)
            for number in range(first, last)
        ]

    def _seen(self, moment: Moment) -> list[str]:
        lines: list[str] = []
        for worker, tables in moment.seen().items():
            for label, name, titles, rows in tables:
                lines += table_lines(f"{worker}, {label}: {name}", titles, rows, clean=moment.clean, width=width())
        return lines
