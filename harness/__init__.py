"""Find, reproduce and rule out races between real worker processes that share state.

``race`` is the sixty-second way in; ``Scenario`` and ``run`` are for more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import BadInput, Diverged, HarnessError
from harness.racing import RaceFound, Undecided, race
from harness.result import Result
from harness.scenario import Call, Check, Client, Scenario, Workload
from harness.values.history import History
from harness.verdict import Verdict

__all__ = [
    "BadInput",
    "Call",
    "Check",
    "Client",
    "Diverged",
    "HarnessError",
    "History",
    "RaceFound",
    "Result",
    "Scenario",
    "Undecided",
    "Verdict",
    "Workload",
    "race",
    "run",
]

if TYPE_CHECKING:
    from harness.control.run import run
else:

    def run(scenario: Scenario, **options: Any) -> Result:
        """Explore *scenario* and return the result; *options* are those of ``harness.control.run.run``."""
        # Imported when called: whoever only describes scenarios need not load the engine.
        from harness.control.run import run as explore

        return explore(scenario, **options)
