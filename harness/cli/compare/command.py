"""``harness compare``: whether a race in one version is fixed in another."""

from __future__ import annotations

import re
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from harness import registry
from harness.cli.compare.versions import Side, SideFailed, revisions
from harness.cli.recorded import replay_command
from harness.cli.terminal import Ticker, colour, print_json, width
from harness.errors import BadInput
from harness.project.settings import load as load_settings
from harness.reports.comparison import Compared, as_data, comparison_lines, comparison_markdown, worst
from harness.result import Failure
from harness.saved.counterexample import Counterexample, load, save
from harness.saved.steps import event_of, step_of
from harness.saved.untrusted import Part
from harness.values.history import History

__all__ = ["command", "judged"]

_CODES = {"fixed": 0, "no race": 3, "can't tell": 3}
_GRACE = 90.0
_REFERENCE = "reference"


def command(options: Namespace) -> int:
    """Compare two versions; return 0 for fixed, 1 for not fixed, masked or worse, 3 if no verdict is possible."""
    with _sides(options) as (base, head), Ticker() as ticker:
        compared = [
            _Comparison(options, base, head, name=name, ticker=ticker).judge() for name in _names(options, base)
        ]
    if options.markdown is not None:
        _write(Path(options.markdown), comparison_markdown(options.base, options.head, compared))
    if options.html is not None:
        _write_pages(options, compared)
    if options.json:
        print_json(as_data(options.base, options.head, compared))
    else:
        print("\n".join(comparison_lines(options.base, options.head, compared, width=width(), colour=colour())))
    return _CODES.get(worst(compared), 1)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise BadInput(f"The comparison can't be written as {str(file)!r}: {error.strerror or error}.") from None


def _write_pages(options: Namespace, compared: Sequence[Compared]) -> None:
    """Write a page for each race with two timelines side by side: the recorded schedule on BASE and on HEAD."""
    found = [each for each in compared if each.counterexample]
    if not found:
        print("No page is written: no race was found to show.", file=sys.stderr)
    for each in found:
        name = Path(options.html)
        if len(found) > 1:
            name = name.with_stem(f"{name.stem}-{re.sub('[^A-Za-z0-9._-]+', '_', each.scenario)}")
        _write(name, _page(options, each))


def _page(options: Namespace, each: Compared) -> str:
    from harness.reports.documents.side_by_side import side_by_side
    from harness.reports.report import report_of

    base = load(Path(each.counterexample))
    around: Any = each.details["around"]
    head = after_change(base, around[options.head], options.head if base.variant else "")
    no_tables = "They are not recorded for a comparison: see harness report."
    one, other = (report_of(side, command=each.command, no_tables=no_tables) for side in (base, head))
    title = f"{each.scenario}: {each.verdict}"
    return side_by_side(
        title, ((f"{options.base}: as recorded", one), (f"{options.head}: the same, task by task", other))
    )


def after_change(base: Counterexample, around: Mapping[str, Any], variant: str = "") -> Counterexample:
    """Return the execution of *base*'s schedule on the other version, in the form of a counterexample.

    *around* is the output of ``harness around`` on that version; *variant* is the variant's name there. If every rule
    held, the failure's kind is ``held``; if the execution can't be judged, it is ``unknown``.
    """
    base = replace(base, variant=variant)
    said = Part("execution", around["execution"])
    if said.value is None:
        return replace(base, failure=Failure("unknown", "", around["stuck"] or "It can't be judged.", -1))
    steps = said["steps"].each(lambda step: step_of(step, base.workers))
    events = said["history"].each(lambda event: event_of(event, base.workers, len(steps)))
    kind, _, rule = around["recorded"].partition(" ")
    failure = Failure("held", base.failure.rule, "Every rule holds in this schedule.", -1)
    if around["recorded"]:
        failure = Failure(kind, rule, said["message"].text(), said["broken_at"].integer(-1, len(steps) - 1))
    left_open = said["left_open"].each(Part.text)
    return replace(base, steps=steps, history=History(events, left_open), failure=failure, explanation=None)


@contextmanager
def _sides(options: Namespace) -> Iterator[tuple[Side, Side]]:
    """Yield both versions: variants if the scenario has variants of both names, else git revisions."""
    if options.scenario is not None:
        try:
            known = {_REFERENCE: "", **{name: name for name in registry.find(options.scenario).variants}}
        except BadInput:
            known = {}  # it may be there in the revisions only
        if options.base in known and options.head in known:
            here = Path.cwd()
            base, head = (
                Side(name, here, known[name], postgres=options.postgres or "") for name in (options.base, options.head)
            )
            yield base, head
            return
    with revisions(options.base, options.head, options.postgres or "") as sides:
        yield sides


def _names(options: Namespace, base: Side) -> list[str]:
    """Return the scenarios to compare: the one named, that of the counterexample, or those that the project gates."""
    if options.scenario is not None:
        return [options.scenario]
    if options.counterexample is not None:
        return [load(Path(options.counterexample)).scenario]
    settings = load_settings(start=base.folder)
    patterns = [name for name in settings.scenarios if ":" not in name]
    if settings.scenarios and len(patterns) == len(settings.scenarios) and not set("*?[") & set("".join(patterns)):
        return list(dict.fromkeys(patterns))
    known = base.scenarios(_GRACE)
    chosen = [
        name
        for name, installed in known.items()
        if not settings.scenarios or not installed or any(fnmatchcase(name, pattern) for pattern in patterns)
    ]
    names = chosen + [name for name in patterns if not set("*?[") & set(name) and name not in chosen]
    if not names:
        raise BadInput("Nothing says which scenario to compare: name one with --scenario, or in [tool.harness].")
    return list(dict.fromkeys(names))


class _Comparison:
    """The comparison of one scenario on both versions."""

    def __init__(self, options: Namespace, base: Side, head: Side, *, name: str, ticker: Ticker) -> None:
        self._options, self._base, self._head, self._name, self._ticker = options, base, head, name, ticker
        self._seconds = float(options.time)

    def judge(self) -> Compared:
        """Return the verdict with its reasons; "can't tell" if a command of one side gave no answer."""
        try:
            with tempfile.TemporaryDirectory(prefix="race-harness-found-") as folder:
                return self._judge(Path(folder))
        except SideFailed as error:
            return Compared(self._name, "can't tell", (" ".join(str(error).split()),))

    def _judge(self, folder: Path) -> Compared:
        options = self._options
        if options.counterexample is not None:
            file = Path(options.counterexample).resolve()
        else:
            first = self._explore(self._base, folder)
            if first["counterexample"] is None:
                return self._nothing_on_base(first, folder)
            file = Path(first["counterexample"])
        found = load(file)
        rule = f"{found.failure.kind} {found.failure.rule}".strip()
        around = {side.name: self._around(side, file) for side in (self._base, self._head)}
        after = self._explore(self._head, folder / "head")
        verdict, reasons = judged(rule, around[self._base.name], around[self._head.name], after=after)
        kept = save(found, Path(options.output)) if options.counterexample is None else file
        return Compared(
            self._name, verdict, tuple(reasons), f"{rule}: {found.failure.message}",
            tuple(_done(around[self._head.name], after)), self._replay(kept), str(kept), {"around": around, "explored": after},
        )  # fmt: skip

    def _nothing_on_base(self, first: dict[str, Any], folder: Path) -> Compared:
        """Return the verdict if no execution fails on the base: the head must not be worse."""
        if first["verdict"] == "unknown":
            return Compared(self._name, "can't tell", (f"On {self._base.name}: {' '.join(first['reasons'])}",))
        after = self._explore(self._head, folder / "head")
        if after["verdict"] == "invalid":
            failure = after["failure"]
            return Compared(
                self._name, "worse",
                (f"Nothing breaks on {self._base.name}, but on {self._head.name}: {failure['kind']} {failure['rule']}: "
                 f"{failure['message']}",),
            )  # fmt: skip
        if after["verdict"] == "unknown":
            return Compared(self._name, "can't tell", (f"On {self._head.name}: {' '.join(after['reasons'])}",))
        return Compared(self._name, "no race", (f"Nothing breaks on {self._base.name}, nor on {self._head.name}.",))

    def _explore(self, side: Side, folder: Path) -> dict[str, Any]:
        self._ticker.show(f"{self._name}: exploring {side.name}")
        options = self._options
        limits = ["--time", str(self._seconds), "--seed", str(options.seed)]
        limits += ["--max-executions", str(options.max_executions)] if options.max_executions else []
        limits += ["--isolation", options.isolation] if options.isolation else []
        limits += ["--patience", str(options.patience)] if options.patience else []
        return side.ask("run", self._name, *limits, "--output", str(folder), seconds=self._seconds + _GRACE)

    def _around(self, side: Side, file: Path) -> dict[str, Any]:
        self._ticker.show(f"{self._name}: looking around the race on {side.name}")
        return side.ask("around", str(file), "--scenario", self._name, seconds=_GRACE)

    def _replay(self, file: Path) -> str:
        return replay_command(file, self._name)


def _done(around: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    fails = f"{around['tried']} tried, {around['fails']} break the same rule"
    yield f"Neighbouring schedules, one or two switches or faults moved: {fails}."
    within = after["bound"] or after["within"] or "its budget"
    covered = f"complete{_with_delays(after)}" if after["complete"] else f"within {within}"
    yield f"Explored afresh: {after['verdict']} after {after['executions']:,} executions, {covered}."
    if after.get("allowed"):
        yield f"Allowed, so that nothing is claimed of it: {', '.join(after['allowed'])}."


def _with_delays(said: dict[str, Any]) -> str:
    return f" with {bound}" if (bound := said.get("bound_on_delays")) else ""


def judged(
    rule: str, before: dict[str, Any], around: dict[str, Any], *, after: dict[str, Any]
) -> tuple[str, list[str]]:
    """Return the verdict on a race that breaks *rule*, and the reasons.

    *before* and *around* are the output of ``harness around`` for the race on the old and on the new version, *after*
    is the output of ``harness run`` on the new one.
    """
    failure = after["failure"]
    broken = f"{failure['kind']} {failure['rule']}".strip() if failure else ""
    if around["recorded"] == rule:
        return "not fixed", ["The recorded schedule, made again task by task, breaks the same rule."]
    if around["fails"]:
        return "masked", [
            "The recorded schedule no longer fails, but schedules next to it do: "
            f"{around['fails']} of {around['tried']}, for example {around['nearest']}"
        ]
    if broken == rule:
        return "not fixed", [
            "The recorded schedule and those next to it pass, but exploring afresh breaks the same rule."
        ]
    lost = _lost(before, around)
    if lost:
        return "worse", [f"The race is gone because calls no longer do their work. {' '.join(lost)}"]
    others = [broken] if broken else around["others"] or ([around["recorded"]] if around["recorded"] else [])
    if others:
        return "worse", [f"The rule holds, but another one breaks now: {', '.join(others)}."]
    if around["stuck"] or after["verdict"] == "unknown":
        return "can't tell", [" ".join([around["stuck"], *after["reasons"]]).strip()]
    scope = (
        f"in every interleaving{_with_delays(after)}"
        if after["complete"]
        else f"within {after['bound'] or after['within'] or 'its budget'}"
    )
    return "fixed", [f"The rule holds {scope}, in the recorded schedule and in {around['tried']} next to it."]


def _lost(before: dict[str, Any], around: dict[str, Any]) -> list[str]:
    """Return sentences on calls that succeeded before but no longer do: one after another, or in passing executions."""
    found = []
    for name, kind in before["alone"].items():
        now = around["alone"].get(name, "pending")
        if kind == "ok" and now != "ok":
            found.append(f"Called one after another, {name} returned; now: {_words(now)}.")
    for operation, kinds in before["calls"].items():
        now = around["calls"].get(operation, {})
        if kinds.get("ok") and now and not now.get("ok") and not found:
            found.append(f"{operation} returned in {kinds['ok']} calls; now in none of {sum(now.values())}.")
    return found


def _words(kind: str) -> str:
    return {"pending": "it never ends", "info": "nobody knows"}.get(kind, f"it raises {kind.removeprefix('fail ')}")
