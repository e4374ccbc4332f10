"""Suggestions for a misspelt name."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["nearest"]


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a sentence for an error message on *word*, which is none of *known*: the nearest of them, and all of them."""
    known = list(known)
    guess = get_close_matches(word, known, n=1)
    mean = f"Did you mean {guess[0]!r}? " if guess else ""
    return f"{mean}There is: {', '.join(known)}." if known else "There is none."
