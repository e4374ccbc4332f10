"""The scheduler protocol: two methods, and the view of a decision (its options and the steps so far) that they get."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from harness.result import Execution
from harness.values.history import Step
from harness.values.names import Task

__all__ = ["PASS", "Option", "Scheduler", "SearchReport", "View", "by_default", "report_of"]


class Option(NamedTuple):
    """An operation that can run next, or a fault that can be injected.

    ``choice`` is the text that selects the option, ``lane`` the name of its task. ``continues`` is true if the option
    belongs to the task that ran last, ``fault`` if it is a fault. Options with the same nonempty ``group`` exclude each
    other (a request that may arrive at one worker or another). ``retries`` is true if the operation asks again for a
    lock: if it does not get it, there is no step. ``operation`` is the kind and the text of the operation.
    """

    choice: str
    lane: str
    continues: bool = False
    fault: bool = False
    group: str = ""
    retries: bool = False
    operation: str = ""

    @property
    def task(self) -> Task:
        """The task, which can be asked for its client."""
        return Task(self.lane)


PASS = Option("@", "")
"""Offered where every other option is a fault: lets time pass or blocked operations ask again. It is no step."""


class View(NamedTuple):
    """A decision. ``options`` is never empty: options that continue the last task come first, faults last.

    The first option is never a fault: where every other option is a fault, it is ``PASS``.
    """

    options: Sequence[Option]
    steps: Sequence[Step]
    now: float = 0.0
    """Virtual seconds."""
    faults_left: bool = False
    """Whether faults may still be injected, now or at a later step."""
    waiting: Sequence[str] = ()
    """Choices of operations that wait for a lock inside SQLite and were told of no release.

    A scheduler may choose one: the operation then asks for the lock again, mostly without success.
    """
    state: int = 0
    """Fingerprint of the execution state: in equal states the same choice leads to the same steps.

    It is 0 where the state is not known, or where the scheduler does not ask for it (``wants_states``).
    """

    delays: int = 0
    """How many more delays may be injected in this execution."""

    @property
    def could_continue(self) -> bool:
        """Whether the task that ran last could continue."""
        return self.options[0].continues


class Scheduler(Protocol):
    """Chooses the next move at each decision of each execution. ``name`` is its name on the command line.

    A scheduler may have a third method, ``ahead(view)``, which is called right after ``choose`` with the same view. It
    returns how many more times the scheduler would choose the same task if the options stay the same. (Faults are the
    exception: where one may be injected, each step is a decision, even a step that no other task can notice.) The
    worker then passes that many points without asking, which makes executions faster; ``choose`` may see several new
    steps at once.

    A scheduler that has something to say of its search has a method ``report()``, which returns a ``SearchReport``. (An
    attribute ``complete`` alone will do, too: whether every interleaving was covered.)

    A scheduler whose attribute ``wants_states`` is true gets the state of each decision (``View.state``).

    ``start(previous)`` is called before each execution with the one before it (None at first) and returns whether
    there is another one to run. ``choose(view)`` returns the choice, or None to abandon the execution.
    """

    name: str

    def start(self, previous: Execution | None) -> bool:
        """Return whether there is another execution to run."""

    def choose(self, view: View) -> str | None:
        """Return the choice of one of the options, or None to abandon the execution."""


@dataclass(frozen=True, slots=True)
class SearchReport:
    """A scheduler's report on its search. The defaults claim nothing."""

    complete: bool = False
    """Whether every interleaving was covered and no limit was hit."""
    cut: bool = False
    """Whether interleavings beyond a bound of its own were left out."""
    stopped: str = ""
    """The name of the limit at which the search ended early, or an empty string."""
    seen: float | None = None
    """The estimated part of the tree that was seen, from 0 to 1; None without an estimate."""
    pct: Mapping[int, int] = field(default_factory=dict)
    """The number of executions for which PCT's guarantee holds, by depth."""
    predicted: int = 0
    """The number of executions whose outcome was known from visited states, and which were not run."""


def report_of(scheduler: object) -> SearchReport:
    """Return the report of *scheduler*; of one that makes none, whether it is ``complete``, if it says so."""
    report: Callable[[], SearchReport] | None = getattr(scheduler, "report", None)
    if report is not None:
        return report()
    return SearchReport(complete=bool(getattr(scheduler, "complete", False)))


def by_default(view: View) -> str:
    """Return the choice that costs no preemption and no fault: the same task, else the first that can run."""
    return view.options[0].choice
