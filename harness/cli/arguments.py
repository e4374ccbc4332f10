"""Converters for command-line arguments; each raises ``ArgumentTypeError``, which ``argparse`` reports."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from math import isfinite

from harness.errors import BadInput

__all__ = ["bound", "check_slots", "count", "pause", "postgres", "seconds", "seed", "slots", "workers"]

_MOST_WORKERS, _MOST_SLOTS = 64, 4096
_NUMBER = re.compile(r"[0-9]{1,12}")
_SEED = re.compile(r"-?[0-9]{1,18}")
_SECONDS = re.compile(r"[0-9]{0,9}(\.[0-9]{0,9})?([eE][+-]?[0-9]{1,3})?")


def count(text: str) -> int:
    """Return a number of things, at least 1."""
    if _NUMBER.fullmatch(text) is None or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def workers(text: str) -> int:
    """Return a number of processes, from 1 to 64."""
    if _NUMBER.fullmatch(text) is None or not 1 <= int(text) <= _MOST_WORKERS:
        raise ArgumentTypeError(f"{text!r} is not a number from 1 to {_MOST_WORKERS}")
    return int(text)


def slots(text: str) -> int:
    """Return a number of executions at once, from 1 to 4096; ``check_slots`` checks the limit of 64 for one machine."""
    if _NUMBER.fullmatch(text) is None or not 1 <= int(text) <= _MOST_SLOTS:
        raise ArgumentTypeError(f"{text!r} is not a number from 1 to {_MOST_WORKERS} (on a cluster to {_MOST_SLOTS})")
    return int(text)


def check_slots(jobs: int | None, cluster: str | None) -> None:
    """Raise ``BadInput`` if there are more than 64 *jobs* and no *cluster*."""
    if cluster is None and jobs is not None and jobs > _MOST_WORKERS:
        raise BadInput(
            f"{jobs} jobs are too many for one machine: give a number from 1 to {_MOST_WORKERS}, or a --cluster to run them on."
        )


def seed(text: str) -> int:
    """Return a seed: any whole number of at most 18 digits."""
    if _SEED.fullmatch(text) is None:
        raise ArgumentTypeError(f"{text!r} is not a whole number of at most 18 digits")
    return int(text)


def seconds(text: str) -> float:
    """Return a number of seconds above 0."""
    try:
        number = float(text) if _SECONDS.fullmatch(text) else 0.0
    except ValueError:
        number = 0.0
    if not (number > 0 and isfinite(number)):
        raise ArgumentTypeError(f"{text!r} is not a number of seconds above 0, such as 30 or 0.5")
    return number


def bound(text: str) -> int:
    """Return a number of things, at least 0."""
    if _NUMBER.fullmatch(text) is None:
        raise ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return int(text)


def postgres(text: str) -> str:
    """Return the URL of a PostgreSQL server, checked."""
    from harness.postgres.address import Address

    try:
        Address.parse(text)
    except BadInput as error:
        raise ArgumentTypeError(str(error).replace("%", "%%")) from None
    return text


def pause(text: str) -> float:
    """Return a number of seconds, or 0 for never."""
    return 0.0 if text == "0" else seconds(text)
