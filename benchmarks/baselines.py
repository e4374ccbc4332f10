"""What `power.py` is compared with: the same cases uncontrolled, and under frontrun where it can express them."""

from __future__ import annotations
from typing import Any


def add(record: Any, names: Any, *, seconds: float, frontrun_python: str) -> None:
    """Add the baselines."""
