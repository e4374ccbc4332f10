"""How tests start pytest in a process of its own: without plugins that take a second to import and have no part in it."""

from __future__ import annotations

import sys

__all__ = ["PYTEST", "WITH_HYPOTHESIS"]

WITH_HYPOTHESIS = (sys.executable, "-m", "pytest", "-p", "no:schemathesis", "-p", "no:anyio")
"""The command, with Hypothesis' plugin."""

PYTEST = (*WITH_HYPOTHESIS, "-p", "no:hypothesispytest")
"""The command."""
