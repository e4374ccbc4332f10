"""Names for the tasks and steps of a race, for use in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from harness.reports.text.terminal import escaped, one_line, shortened
from harness.result import Execution
from harness.saved.counterexample import Counterexample
from harness.values.explanation import ERRORS, Conflict, Named
from harness.values.history import Step
from harness.values.names import Resource

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
"""The noun for a fault, by its kind, if it differs from the kind."""


class Words:
    """The words for the tasks and steps of one race."""

    def __init__(self, race: Execution | Counterexample) -> None:
        steps = [step for step in race.steps if not step.is_fault]
        pairs = {(step.worker, step.task.client) for step in steps if step.task.client != _PROBE}
        self.steps = race.steps
        self.workers = race.workload.workers
        self._by_worker = len({worker for worker, _ in pairs}) == len(pairs) == len({task for _, task in pairs})
        callers: dict[str, set[str]] = {}
        for step in steps:
            if step.source is not None and step.source.caller:
                callers.setdefault(step.source.file, set()).add(step.source.caller)
        self._helpers = {file for file, found in callers.items() if len(found) > 1}
        """Files with helpers called from several places: for their steps, the calling line says more than their own."""

    def who(self, step: Step) -> str:
        """Return the name of the step's task: its worker, its client or the probe."""
        task = step.task.client
        if task == _PROBE:
            return "the probe"
        if step.kind == "kill" or (self._by_worker and step.worker < self.workers):
            return f"worker {step.worker}"
        return f"client {escaped(task)}" if task else f"worker {step.worker}"

    def whose(self, step: Step) -> str:
        """Return the name of the step's task in the possessive."""
        return f"{self.who(step)}'s"

    def what(self, found: Named, *, place: bool = True) -> str:
        """Return the step's action in a word or two, and with *place* its source line."""
        step = found.statement or found.step
        where = self.place(found.step) if place else ""
        return f"{_verb(step)} ({where})" if where else _verb(step)

    def step(self, found: Named) -> str:
        """Return a step as its task, its action, and its number, or its line if it is not in the counterexample."""
        if found.number is None:
            return f"{self.whose(found.step)} {self.what(found)}"
        return f"{self.whose(found.step)} {self.what(found, place=False)} (step {found.number})"

    def meet(self, conflicts: Sequence[Conflict]) -> str:
        """Return the name of the resource on which two steps conflict."""
        resource = Resource(conflicts[0].resource)
        kind, name = resource.kind, resource.name
        names = {
            "data": name,
            "lock": name,
            "process": f"the memory of worker {name}",
            "life": f"the life of worker {name}",
        }
        return escaped(names.get(kind, f"{kind} {name}".strip()))

    def fault(self, at: int) -> str:
        """Return a clause on the effect of the fault at step *at*."""
        step = self.steps[at]
        if step.kind not in _BEFALLS:
            return one_line(step.text).replace(" jumps ", " jumped ")
        whose = self.whose(step)
        return _BEFALLS[step.kind].format(who=self.who(step), whose=whose, what=self.what(Named(step, at)))

    def place(self, step: Step) -> str:
        """Return the most telling source line of *step*: for a helper the line that calls it, else its own."""
        source = step.source
        if source is None:
            return ""
        if source.caller and source.file in self._helpers:
            return escaped(source.caller)
        line = f"{source.file.rpartition('/')[2]}:{source.line}"
        return escaped(f"{line} from {source.caller}" if source.caller else line)


def _verb(step: Step) -> str:
    text = one_line(step.text)
    if step.is_fault and step.kind not in ERRORS:
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
