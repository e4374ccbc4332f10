"""The content of a database: read exactly, as text, and put into another database."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from harness.postgres.link import Link

__all__ = ["MARK", "Contents", "Layout", "cells", "literal", "mark", "rows_of", "sorted_rows", "text", "watch_shape"]

Contents = dict[str, bytes]
"""By name: each table's rows as a JSON array of record literals, in the order of the heap; each sequence's position.

Under ``MARK`` is a value that changes with everything else that can be seen in the database (see ``mark``).
"""

MARK = "(mark)"
"""A key that is no table's name: a name with brackets would be in quotation marks."""
_OBJECTS = "(large objects)"

_TABLES = """
SELECT format('%I.%I', nspname, relname), relkind, (
    SELECT coalesce(json_agg(json_build_array(attname, quote_ident(attname), attgenerated <> '') ORDER BY attnum), '[]')
    FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
  ), (
    SELECT coalesce(json_agg(attname ORDER BY attnum), '[]') FROM pg_index
    JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey) WHERE indrelid = c.oid AND indisprimary)
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE (relkind IN ('r', 'S') OR relkind = 'm' AND relispopulated) AND relpersistence <> 't'
  AND nspname NOT IN ('information_schema', 'harness') AND NOT starts_with(nspname, 'pg_') ORDER BY 1
"""
_SCRIPT = """
CREATE SEQUENCE harness.changed MINVALUE 0 START 0;
CREATE FUNCTION harness.note_change() RETURNS event_trigger LANGUAGE plpgsql AS $$
  BEGIN PERFORM nextval('harness.changed'); END $$;
CREATE EVENT TRIGGER harness_change ON ddl_command_end EXECUTE FUNCTION harness.note_change();
CREATE EVENT TRIGGER harness_drop ON sql_drop EXECUTE FUNCTION harness.note_change();
"""

_VERSIONS = {
    # Changes that fire no event trigger: by ANALYZE, to large objects, to event triggers, to objects of the whole server.
    "pg_statistic": "starelid >= 16384", "pg_statistic_ext_data": "true", "pg_event_trigger": "true",
    "pg_largeobject_metadata": "true", "pg_largeobject": "true", "pg_authid": "oid >= 16384 OR oid = 10",
    "pg_auth_members": "true", "pg_shdescription": "true", "pg_shseclabel": "true", "pg_parameter_acl": "true",
    "pg_tablespace": "oid >= 16384", "pg_db_role_setting": "setdatabase = 0 OR setdatabase = {}",
    "pg_database": "oid = {}",
}  # fmt: skip
_OWN = "(SELECT oid FROM pg_database WHERE datname = current_database())"
_MARKED = "SELECT concat_ws('/', (SELECT last_value::text FROM harness.changed), {})".format(
    ", ".join(
        f"(SELECT md5(coalesce(string_agg(ctid::text || xmin, ','), '')) FROM {name} WHERE {which.format(_OWN)})"
        for name, which in _VERSIONS.items()
    ),
)
_LARGE = (
    f"SELECT '{_OBJECTS}', (SELECT md5(coalesce(string_agg(lo::text, ';' ORDER BY loid, pageno), '')) "
    "FROM pg_largeobject AS lo)"
)


def mark(link: Link) -> bytes:
    """Return a value that changes with every visible change to the database but to rows and sequences.

    It differs also after a change that was undone by another.
    """
    return link.ask_often(_MARKED)[0][0] or b""


def watch_shape(link: Link) -> None:
    """Make the database count the changes to its tables, indexes and functions; it must have the schema ``harness``."""
    link.ask(_SCRIPT)


class Layout:
    """The tables and sequences of a database, as needed to read them all in one statement and to put rows back.

    ``keys`` has the columns of each table's primary key, ``columns`` all columns of each table.
    """

    def __init__(self, link: Link) -> None:
        self.keys: dict[str, list[str]] = {}
        self.columns: dict[str, list[str]] = {}
        self._given: dict[str, list[str]] = {}
        self._sequences = []
        parts = [_LARGE]
        for name, kind, columns, keys in link.ask(_TABLES):
            table = text(name)
            if kind == b"S":
                self._sequences.append(table)
                parts.append(_position(table))
                continue
            known = json.loads(columns or b"[]")
            self.keys[table], self.columns[table] = json.loads(keys or b"[]"), [column for column, _, _ in known]
            parts.append(_rows(table, [quoted for _, quoted, _ in known]))
            if kind == b"r":
                self._given[table] = [quoted for _, quoted, generated in known if not generated]
        self._read = " UNION ALL ".join(parts)

    def read(self, link: Link) -> Contents:
        """Return the committed content; raises ``ServerSaid``."""
        found = {text(name): value or b"[]" for name, value in link.ask_often(self._read)}
        found[MARK] = mark(link)
        return found

    def put_back(self, link: Link, contents: Contents) -> None:
        """Empty all tables and fill them with *contents*; no trigger fires, and no constraint between tables is checked.

        Raises ``ServerSaid``, after a rollback.
        """
        script = ["BEGIN", "SET LOCAL session_replication_role = replica", "SET LOCAL search_path TO DEFAULT"]
        if self._given:
            script.append(f"TRUNCATE {', '.join(f'ONLY {name}' for name in self._given)}")
        script += (_filled(name, columns, contents.get(name, b"[]")) for name, columns in self._given.items())
        for name in self._sequences:
            value, called = json.loads(contents[name])
            script.append(f"SELECT setval({literal(name)}, {value}, {str(called).lower()})")
        script.append("COMMIT")
        try:
            link.ask(";".join(filter(None, script)))
        except Exception:
            link.ask("ROLLBACK")
            raise


def _rows(name: str, columns: Sequence[str]) -> str:
    # Each column is named, because an alias that stands for the whole row may be a column's name too. The rows are in the
    # order of the heap, because a query finds them in that order.
    row = ", ".join(f"x.{column}" for column in columns)
    return f"SELECT {literal(name)}, (SELECT json_agg(ROW({row})::text ORDER BY x.ctid)::text FROM ONLY {name} AS x)"


def _position(name: str) -> str:
    return f"SELECT {literal(name)}, (SELECT json_build_array(last_value, is_called)::text FROM {name})"


def _filled(name: str, columns: Sequence[str], rows: bytes) -> str:
    if rows == b"[]":
        return ""
    told = f"json_array_elements_text({literal(rows.decode())}::json) WITH ORDINALITY AS e (told, place)"
    known = f"(SELECT e.told::{name} AS it FROM {told} ORDER BY e.place OFFSET 0) AS r"
    if not columns:
        return f"INSERT INTO {name} SELECT FROM {known}"
    row = ", ".join(f"(r.it).{column}" for column in columns)
    return f"INSERT INTO {name} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE SELECT {row} FROM {known}"


_FIELD = re.compile(r'"((?:[^"\\]|""|\\.)*)"|([^",]*)', re.DOTALL)
_ESCAPED = re.compile(r'""|\\(.)', re.DOTALL)


def cells(record: str) -> list[str | None]:
    """Return the fields of a record literal as text, None for NULL."""
    found: list[str | None] = []
    body, at = record[1:-1], 0
    while record != "()":
        field = _FIELD.match(body, at)
        assert field is not None
        quoted = field[1]
        found.append((field[2] or None) if quoted is None else _ESCAPED.sub(lambda each: each[1] or '"', quoted))
        at = field.end() + 1
        if at > len(body):
            break
    return found


def rows_of(value: bytes) -> list[str]:
    """Return the record literals in the value that ``read`` gave for a table."""
    return list(json.loads(value))


def sorted_rows(value: bytes) -> bytes:
    """Return the value that ``read`` gave for a table or a sequence, with its rows sorted."""
    found = json.loads(value) if value.startswith(b"[") else value.decode()
    rows = isinstance(found, list) and bool(found) and isinstance(found[0], str)
    return json.dumps(sorted(found) if rows else found).encode()


def literal(value: str) -> str:
    """Return *value* as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def text(value: bytes | None) -> str:
    """Return the text that the server sent as *value*."""
    return (value or b"").decode()
