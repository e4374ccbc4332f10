"""When virtual time begins."""

from __future__ import annotations

__all__ = ["EPOCH"]

EPOCH = 1_700_000_000.0
"""What ``time.time()`` says when an execution begins (14 November 2023, 22:13:20 UTC)."""
