"""What the tasks and the steps of one race are called in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from harness.counterexample import Counterexample
from harness.explain import ERRORS, Conflict, Named
from harness.history import Step
from harness.result import Execution
from harness.schedule import FAULT_MARK
from harness.schedulers.planned import story
from reports.terminal import escaped, one_line, shortened

__all__ = ["NOUNS", "Words"]

_PROBE = "probe"
_BEFALLS = {
    "kill": "{who} was killed",
    "cancel": "{whose} call was cancelled",
    "lost": "{whose} {what} ran but was cancelled, its result lost",
    "busy": "{whose} {what} was refused as busy",
    "full": "{whose} {what} found the disk full",
    "io": "{whose} {what} met an I/O error",
}
_BOTH_WORDS = {"BEGIN": ("IMMEDIATE", "EXCLUSIVE", "DEFERRED"), "PRAGMA": None, "ROLLBACK": ("TO",)}
NOUNS = {"cancel": "cancellation", "lost": "cancellation", "clock": "jump of the clock", "lose": "loss"}
NOUNS.update(dict.fromkeys(("busy", "full", "io"), "error"), duplicate="second delivery")
"""What a fault is called, by its kind."""


class Words:
    """What to call the tasks and the steps of one race."""

    def __init__(self, race: Execution | Counterexample) -> None:
        steps = [step for step in race.steps if not step.choice.startswith(FAULT_MARK)]
        pairs = {(step.worker, story(step.lane)) for step in steps if story(step.lane) != _PROBE}
        self.steps = race.steps
        self.workers = race.workload.workers
        self._by_worker = len({worker for worker, _ in pairs}) == len(pairs) == len({task for _, task in pairs})
        callers: dict[str, set[str]] = {}
        for step in steps:
            if step.source is not None and step.source.caller:
                callers.setdefault(step.source.file, set()).add(step.source.caller)
        self._helpers = {file for file, found in callers.items() if len(found) > 1}
        """Files that are called from several places, so that who called says more than the line."""

    def who(self, step: Step) -> str:
        """Return whose step it is."""
        task = story(step.lane)
        if task == _PROBE:
            return "the probe"
        if step.kind == "kill" or (self._by_worker and step.worker < self.workers):
            return f"worker {step.worker}"
        return f"client {escaped(task)}" if task else f"worker {step.worker}"

    def whose(self, step: Step) -> str:
        """Return the same, as an owner."""
        return f"{self.who(step)}'s"

    def what(self, found: Named, *, place: bool = True) -> str:
        """Return what the step does in a word or two, and its line."""
        step = found.statement or found.step
        where = self.place(found.step) if place else ""
        return f"{_verb(step)} ({where})" if where else _verb(step)

    def step(self, found: Named) -> str:
        """Return a step by its owner, what it does, and its number, if it is in the counterexample."""
        if found.number is None:
            return f"{self.whose(found.step)} {self.what(found)}"
        return f"{self.whose(found.step)} {self.what(found, place=False)} (step {found.number})"

    def meet(self, conflicts: Sequence[Conflict]) -> str:
        """Return where two steps meet."""
        kind, _, name = conflicts[0].resource.partition(":")
        names = {
            "data": name,
            "lock": name,
            "process": f"the memory of worker {name}",
            "life": f"the life of worker {name}",
        }
        return escaped(names.get(kind, f"{kind} {name}".strip()))

    def fault(self, at: int) -> str:
        """Return what the fault at step *at* did."""
        step = self.steps[at]
        if step.kind not in _BEFALLS:
            return one_line(step.text).replace(" jumps ", " jumped ")
        whose = self.whose(step)
        return _BEFALLS[step.kind].format(who=self.who(step), whose=whose, what=self.what(Named(step, at)))

    def place(self, step: Step) -> str:
        """Return the line of source that tells most."""
        source = step.source
        if source is None:
            return ""
        if source.caller and source.file in self._helpers:
            return escaped(source.caller)
        line = f"{source.file.rpartition('/')[2]}:{source.line}"
        return escaped(f"{line} from {source.caller}" if source.caller else line)


def _verb(step: Step) -> str:
    text = one_line(step.text)
    if step.choice.startswith(FAULT_MARK) and step.kind not in ERRORS:
        return NOUNS.get(step.kind, step.kind)
    if step.kind in ("call", "probe"):
        return f"call of {text.partition('(')[0]}"
    if step.kind not in ("sql", "fetch", "commit", "rollback") and step.kind not in ERRORS:
        says_all = step.kind in ("file", "flock", "point") or text.startswith(step.kind)
        return shortened(text if says_all else f"{step.kind} {text}".strip(), 40)
    first, _, rest = text.partition(" ")
    second = rest.partition(" ")[0]
    allowed = _BOTH_WORDS.get(first.upper(), ())
    if second and (allowed is None or second.upper() in allowed):
        return f"{first} {second}"
    return shortened(first, 40) or step.kind
