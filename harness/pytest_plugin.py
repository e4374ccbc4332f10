"""Ends the processes that a Hypothesis test raced in, when the test is over. Loaded by pytest by itself."""

from __future__ import annotations

import sys

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """End what is left of the test's processes, before its fixtures are taken down."""
    staging = sys.modules.get("harness.staging")
    if staging is not None:
        staging.close()
