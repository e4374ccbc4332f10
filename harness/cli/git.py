"""Asks git."""

from __future__ import annotations

import subprocess
from pathlib import Path

from harness.errors import BadInput

__all__ = ["git", "top_of"]


def git(folder: Path, *arguments: str, otherwise: str) -> str:
    """Return what ``git`` prints in *folder*; raises ``BadInput``, whose last sentence is *otherwise*."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, errors="surrogateescape")
    except OSError as error:
        raise BadInput(f"git can't be run ({error}). Is it installed?") from None
    if done.returncode:
        said = done.stderr.strip() or arguments[-1]
        raise BadInput(f"`git {' '.join(arguments[:3])}` failed in {str(folder)!r}: {said}\n{otherwise}")
    return done.stdout


def top_of(folder: Path, *, otherwise: str) -> Path:
    """Return the top folder of the repository that *folder* is in; raises ``BadInput`` where it is in none."""
    return Path(git(folder, "rev-parse", "--show-toplevel", otherwise=otherwise).strip())
