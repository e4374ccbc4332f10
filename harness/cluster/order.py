"""The description of a run for the nodes of a cluster: names and numbers, no code."""

from __future__ import annotations

import sqlite3
import sys
from typing import NamedTuple

from harness.project import config

__all__ = ["Order", "Versions", "differing", "versions"]


class Versions(NamedTuple):
    """The versions that must be equal on every node, because they can change an execution."""

    harness: str
    python: str
    sqlite: str


class Order(NamedTuple):
    """A run, as its nodes need to know it.

    ``key`` is unique to this run. ``reference`` and ``variant`` name the scenario as the command line does; ``digest`` is the
    digest of the files that its functions come from. ``hash_seed`` is the value of ``PYTHONHASHSEED``. ``postgres`` is the
    URL of a server, empty for the server in the node's own settings. The other fields are parameters of ``run``.
    """

    key: str
    versions: Versions
    hash_seed: str
    reference: str
    variant: str
    digest: str
    workers: int
    faults: int | None
    delays: int
    seed: int
    isolation: str
    patience: float
    outcomes: bool
    postgres: str


def versions() -> Versions:
    """Return the versions of this process."""
    return Versions(config.version(), ".".join(map(str, sys.version_info[:2])), sqlite3.sqlite_version)


def differing(wanted: Versions, found: Versions) -> str:
    """Return a text that names the versions in which *wanted* and *found* differ, empty if they are equal."""
    names = {"harness": "the harness", "python": "Python", "sqlite": "SQLite"}
    return ", ".join(
        f"{names[field]} is {there} there and {here} here"
        for field, here, there in zip(Versions._fields, wanted, found, strict=True)
        if here != there
    )
