"""What a scheduler is: two methods. What it sees: the options at a decision and the steps so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from harness.history import Step
from harness.result import Execution

__all__ = ["PASS", "Option", "Scheduler", "View", "by_default"]


class Option(NamedTuple):
    """An operation that can be let go, or a fault that can be injected.

    ``continues`` says that it belongs to the task that ran last; ``fault`` that it is one. ``group`` is what options have in
    common of which only one can be made (a request that may arrive at one worker or another), empty for none. ``retries`` says
    that it asks for a lock again: in vain it is no step. ``operation`` is the kind and the text of what would run.
    """

    choice: str
    lane: str
    continues: bool = False
    fault: bool = False
    group: str = ""
    retries: bool = False
    operation: str = ""


PASS = Option("@", "")
"""Offered where all else that can be done is a fault: lets time pass (or what waits ask again) instead. It is no step."""


class View(NamedTuple):
    """A decision. ``options`` has at least one entry, those that continue the last task first, faults last.

    The first one is never a fault: where nothing else can be done it is ``PASS``.
    """

    options: Sequence[Option]
    steps: Sequence[Step]
    now: float = 0.0
    """Virtual seconds."""
    faults_left: bool = False
    """Whether faults may still be injected, now or at a later step."""
    waiting: Sequence[str] = ()
    """What waits for a lock inside SQLite and was told of no release. Chosen, it asks again, mostly in vain."""
    state: int = 0
    """Equal where executions stand at the same state, so that the same choice has the same consequence; 0 where nobody can
    tell, or the scheduler does not want to know."""

    delays: int = 0
    """How many more there may be in this execution."""

    @property
    def could_continue(self) -> bool:
        """Whether the task that ran last could go on."""
        return self.options[0].continues


class Scheduler(Protocol):
    """Chooses. ``name`` is what the command line calls it.

    A scheduler may have a third method, ``ahead(view)``, called right after ``choose`` with the same view: how many more times
    it would go on with the task it chose, if the options stay as they are (but for faults: where one may be injected, each
    step is a decision, even one that nobody else can notice). The worker then need not ask, and
    executions are faster; ``choose`` may see several new steps at once.

    One that has ``wants_states`` and says True there is told the state of each decision (``View.state``).

    ``start(previous)`` is called before each execution with the one before it (None at first) and returns whether
    there is another one to run. ``choose(view)`` returns the choice, or None to abandon the execution.
    """

    name: str

    def start(self, previous: Execution | None) -> bool:
        """Return whether there is another execution to run."""

    def choose(self, view: View) -> str | None:
        """Return one of the options, or None."""


def by_default(view: View) -> str:
    """Return what costs no preemption and no fault: going on with the same task, else the first that can run."""
    return view.options[0].choice
