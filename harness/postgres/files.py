"""The files of tables, indexes and sequences, byte for byte: read once, written anew before each execution.

Each file gets a number that the server has never used, so none of the server's buffers is about that file. The number is
written into ``pg_class``. So the rows lie in the heap where they lay, with the holes between them, the indexes have the same
structure, and the planner has the statistics that it had after setup. This is only for a server with files of ours, which
need not survive a crash (``fsync`` off).
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from harness.postgres.link import Link
from harness.postgres.state import literal, text

__all__ = ["Files"]

_FIRST = 3_000_000_000
"""The first number given here. The server counts its own numbers upwards from 16384, and skips numbers that are taken."""
_MOST_BYTES = 8 << 20
"""Bytes of unused files that may pile up: removing them takes a checkpoint, so that no buffer has to be written to them."""
_FORKS = ("", "_fsm", "_vm", "_init")
_NUMBERED = re.compile(r"(\d+)(_fsm|_vm|_init)?(\.\d+)?")

_COLUMNS = {
    "relpages": "int4", "reltuples": "float4", "relallvisible": "int4", "relallfrozen": "int4", "relfrozenxid": "xid",
    "relminmxid": "xid", "relhasindex": "bool", "relhasrules": "bool", "relhastriggers": "bool",
}  # fmt: skip
"""Columns of ``pg_class`` that VACUUM and ANALYZE write without firing an event trigger. Not all versions have all columns."""
_HAS = "SELECT attname FROM pg_attribute WHERE attrelid = 'pg_class'::regclass AND attname = ANY($1)"
_RELATIONS = """
SELECT oid, coalesce(pg_relation_filepath(oid), ''), {} FROM pg_class
WHERE oid >= 16384 AND relkind IN ('r', 't', 'i', 'S', 'm', 'p', 'I') AND relpersistence <> 't'
  AND relnamespace <> 'harness'::regnamespace ORDER BY ctid
"""
_PATHS = "SELECT oid, pg_relation_filepath(oid) FROM pg_class WHERE oid = ANY($1)"
_UNLOGGED = "SELECT count(*) > 0 FROM pg_class WHERE relpersistence = 'u' AND relnamespace <> 'harness'::regnamespace"
_FLUSHED = "race_harness_flushed"
_USED = "SELECT pg_relation_filenode(oid) FROM pg_class WHERE relkind IN ('r', 't', 'i', 'S', 'm')"


class _Relation:
    """A table, an index or a sequence: its files by the suffix of their names, and its columns of ``pg_class`` as SQL."""

    __slots__ = ("columns", "files", "folder", "oid")

    def __init__(self, root: Path, oid: str, path: str, *, columns: str) -> None:
        self.oid, self.columns = oid, columns
        self.folder = str((root / path).parent) if path else ""
        self.files = _read(root / path) if path else {}


class Files:
    """The current content of the database of *link*, in the cluster *root*; no other session may be connected to it."""

    def __init__(self, link: Link, root: Path) -> None:
        self._root, self._number, self._unused = root, _FIRST, 0
        self._unlogged = link.ask(_UNLOGGED)[0][0] == b"t"
        self._flush(link)
        has = {text(name) for (name,) in link.ask(_HAS, "{" + ",".join(_COLUMNS) + "}")}
        self._columns = {name: kind for name, kind in _COLUMNS.items() if name in has}
        self._relations = [
            _Relation(root, text(oid), text(path), columns=", ".join(map(self._typed, values, self._columns.values())))
            for oid, path, *values in link.ask(_RELATIONS.format(", ".join(self._columns)))
        ]
        self._size = sum(len(data) for relation in self._relations for data in relation.files.values())

    @staticmethod
    def _typed(value: bytes | None, kind: str) -> str:
        return f"{literal(text(value))}::{kind}"

    def moved(self, link: Link) -> None:
        """Learn where the files are in the database of *link*, which is another copy of the same database."""
        oids = "{" + ",".join(relation.oid for relation in self._relations) + "}"
        paths = {text(oid): text(path) for oid, path in link.ask(_PATHS, oids)}
        for relation in self._relations:
            if relation.folder:
                relation.folder = str((self._root / paths[relation.oid]).parent)
        self._unused = 0

    def put_back(self, link: Link) -> str:
        """Write the files anew, and return the SQL that makes the server use them; raises ``OSError``."""
        if self._unused > _MOST_BYTES:
            self._remove_unused(link)
        rows = []
        for relation in self._relations:
            number = 0
            if relation.folder:
                number, self._number = self._number, self._number + 1
                _write(f"{relation.folder}/{number}", relation.files)
            rows.append(f"({relation.oid}::oid, {number}::oid, {relation.columns})")
        self._unused += self._size
        if not rows:
            return ""
        names = list(self._columns)
        return (
            f"UPDATE pg_class SET relfilenode = v.number, {', '.join(f'{name} = v.{name}' for name in names)} "
            f"FROM (VALUES {', '.join(rows)}) AS v (oid, number, {', '.join(names)}) WHERE pg_class.oid = v.oid"
        )

    def _remove_unused(self, link: Link) -> None:
        """Remove the files that no relation uses, after a checkpoint, so that no buffer has to be written to them."""
        self._flush(link)
        used = {text(number) for (number,) in link.ask(_USED)}
        for folder in {relation.folder for relation in self._relations if relation.folder}:
            for path in Path(folder).iterdir():
                found = _NUMBERED.fullmatch(path.name)
                if found is not None and found[1] not in used:
                    with suppress(FileNotFoundError):
                        path.unlink()
        self._unused = 0

    def _flush(self, link: Link) -> None:
        """Have the server write all its buffers."""
        if self._unlogged:
            # A plain checkpoint skips the buffers of unlogged relations. The one that precedes a copy of a database's files
            # does not, so a database is copied and dropped.
            link.ask(f"CREATE DATABASE {_FLUSHED} TEMPLATE template0 STRATEGY file_copy")
            link.ask(f"DROP DATABASE {_FLUSHED}")
        else:
            link.ask("CHECKPOINT")


def _read(path: Path) -> dict[str, bytes]:
    """Return the segments of all forks of the relation at *path*."""
    found = {}
    for fork in _FORKS:
        segment, count = path.with_name(path.name + fork), 0
        while segment.exists():
            found[segment.name.removeprefix(path.name)] = segment.read_bytes()
            count += 1
            segment = path.with_name(f"{path.name}{fork}.{count}")
    return found


def _write(path: str, files: dict[str, bytes]) -> None:
    for suffix, data in files.items():
        with open(path + suffix, "xb", buffering=0, opener=_private) as file:
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
