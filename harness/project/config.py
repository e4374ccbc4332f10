"""Settings that come from outside: the only file that reads the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

__all__ = [
    "child_environment",
    "colourful",
    "fix_hash_seed",
    "hash_seed",
    "postgres",
    "step_summary",
    "under_actions",
    "use_postgres",
    "version",
]

_HASH_SEED, _POSTGRES = "PYTHONHASHSEED", "HARNESS_POSTGRES"


def hash_seed() -> str:
    """Return the value of ``PYTHONHASHSEED``, on which the order of sets of strings depends, or ``random`` without one."""
    return os.environ.get(_HASH_SEED) or "random"


def fix_hash_seed() -> None:
    """Begin this process anew with ``PYTHONHASHSEED=0`` if the variable is not set; otherwise do nothing.

    So the order of sets in the code under test is the same in every run and replay. A value
    that is set, such as ``random``, is kept; a Python told to ignore its environment (``-E``, ``-I``) is left alone.
    """
    if os.environ.get(_HASH_SEED) or sys.flags.ignore_environment or not sys.executable:
        return
    os.environ[_HASH_SEED] = "0"
    sys.stdout.flush()
    sys.stderr.flush()
    with suppress(OSError):
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    del os.environ[_HASH_SEED]


def child_environment(first: Sequence[str] = (), *, hash_seed: str | None = None, postgres: str = "") -> dict[str, str]:
    """Return the environment for a ``python -m harness`` that can import the modules of this process, from *first* if there.

    *hash_seed* is its ``PYTHONHASHSEED``, by default this process's, or 0 if it has none; *postgres* is the URL of its
    PostgreSQL server, by default this process's.
    """
    path = os.pathsep.join([*first, *(part or os.getcwd() for part in sys.path)])
    return {
        **os.environ,
        _HASH_SEED: hash_seed or os.environ.get(_HASH_SEED) or "0",
        "PYTHONPATH": path,
        _POSTGRES: postgres or os.environ.get(_POSTGRES, ""),
    }


def postgres() -> str:
    """Return the URL of the PostgreSQL server to race over (``HARNESS_POSTGRES``), empty for one of each run's own."""
    return os.environ.get(_POSTGRES, "")


def use_postgres(url: str) -> None:
    """Have this process, and those that it starts, race over the PostgreSQL server at *url*; empty: one of each run's own.

    Children get it by the environment, as anybody may read a command line, and a password may be in it.
    """
    os.environ[_POSTGRES] = url


def colourful(stream: TextIO) -> bool:
    """Return whether to write colours to *stream*: a terminal that has them, and nobody set ``NO_COLOR``."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def version() -> str:
    """Return the version of the harness, or ``unknown`` where it is not installed."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("race-harness")
    except PackageNotFoundError:
        return "unknown"


def step_summary() -> Path | None:
    """Return the file that a job's summary is added to (``GITHUB_STEP_SUMMARY``), if there is one."""
    name = os.environ.get("GITHUB_STEP_SUMMARY")
    return Path(name) if name else None


def under_actions() -> bool:
    """Return whether this runs under GitHub Actions, which obeys workflow commands in a command's output."""
    return os.environ.get("GITHUB_ACTIONS") == "true"
