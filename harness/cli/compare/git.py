"""Runs git commands."""

from __future__ import annotations

import subprocess
from pathlib import Path

from harness.errors import BadInput

__all__ = ["git", "top_of"]


def git(folder: Path, *arguments: str, otherwise: str) -> str:
    """Return the output of ``git`` in *folder*.

    Raises ``BadInput`` if git fails or can't be run; if it fails, the message ends with *otherwise*.
    """
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, errors="surrogateescape")
    except OSError as error:
        raise BadInput(f"git can't be run ({error}). Is it installed?") from None
    if done.returncode:
        said = done.stderr.strip() or arguments[-1]
        raise BadInput(f"`git {' '.join(arguments[:3])}` failed in {str(folder)!r}: {said}\n{otherwise}")
    return done.stdout


def top_of(folder: Path, *, otherwise: str) -> Path:
    """Return the top folder of the repository that contains *folder*; raises ``BadInput`` if there is none."""
    return Path(git(folder, "rev-parse", "--show-toplevel", otherwise=otherwise).strip())
