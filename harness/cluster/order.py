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

    ``key`` is of this run alone; ``reference`` and ``variant`` are how the command line calls the scenario, ``digest`` is of
    the files that its functions come from; ``hash_seed`` is a ``PYTHONHASHSEED``, ``postgres`` the URL of a server,
    empty for what the node says. The rest is ``run``'s.
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
    """Return those of this process."""
    return Versions(config.version(), ".".join(map(str, sys.version_info[:2])), sqlite3.sqlite_version)


def differing(wanted: Versions, found: Versions) -> str:
    """Say in which versions both differ; empty where they do not."""
    names = {"harness": "the harness", "python": "Python", "sqlite": "SQLite"}
    return ", ".join(
        f"{names[field]} is {there} there and {here} here"
        for field, here, there in zip(Versions._fields, wanted, found, strict=True)
        if here != there
    )
