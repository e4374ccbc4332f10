"""`benchmarks/endurance.py` sees growth, and finds none where there is none."""

from __future__ import annotations

import pytest

from benchmarks.endurance import ALLOWED, growth, measured


def test_growth_is_by_process_and_kind() -> None:
    """How many times as much each holds in the end."""
    early = {"worker 0": {"memory": 100, "descriptors": 10}}
    late = {"worker 0": {"memory": 150, "descriptors": 10}}
    assert growth({"early": early, "late": late}) == {"worker 0 memory": 1.5, "worker 0 descriptors": 1.0}


@pytest.mark.forks
@pytest.mark.slow
def test_descriptors_stay_as_they_are() -> None:
    """Of every process, over a few hundred executions."""
    factors = growth(measured("issue-token", 300, 100))
    assert {"controller memory", "worker 0 descriptors", "worker 1 memory"} <= set(factors)
    assert all(factor <= ALLOWED for name, factor in factors.items() if name.endswith("descriptors"))
