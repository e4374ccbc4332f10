"""What is in a database: read as text, and put back."""

from __future__ import annotations

import json

from harness.postgres.link import Link

__all__ = ["Contents", "Layout", "shape", "watch_shape"]

Contents = dict[str, bytes]
"""The rows of each table as a JSON array in a fixed order, the position of each sequence, by qualified name."""

_TABLES = """
SELECT format('%I.%I', schemaname, tablename), (
  SELECT json_agg(attname ORDER BY attnum) FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
  WHERE indrelid = format('%I.%I', schemaname, tablename)::regclass AND indisprimary)
FROM pg_tables
WHERE schemaname <> 'information_schema' AND schemaname NOT LIKE 'pg\\_%' AND schemaname <> 'harness' ORDER BY 1
"""
_SEQUENCES = """
SELECT format('%I.%I', schemaname, sequencename) FROM pg_sequences
WHERE schemaname NOT LIKE 'pg\\_%' AND schemaname <> 'harness' ORDER BY 1
"""
_SCRIPT = """
CREATE SEQUENCE harness.changed MINVALUE 0 START 0;
CREATE FUNCTION harness.note_change() RETURNS event_trigger LANGUAGE plpgsql AS $$
  BEGIN PERFORM nextval('harness.changed'); END $$;
CREATE EVENT TRIGGER harness_change ON ddl_command_end EXECUTE FUNCTION harness.note_change();
CREATE EVENT TRIGGER harness_drop ON sql_drop EXECUTE FUNCTION harness.note_change();
"""


def watch_shape(link: Link) -> None:
    """Have the database, which has the schema ``harness``, count how often its tables, indexes and functions change."""
    link.ask(_SCRIPT)


class Layout:
    """Which tables and sequences a database has: what it takes to read them all in one statement, and to put rows back.

    ``keys`` are the columns of each table's primary key.
    """

    def __init__(self, link: Link) -> None:
        self.shape = shape(link)
        self.keys: dict[str, list[str]] = {text(name): json.loads(keys or b"[]") for name, keys in link.ask(_TABLES)}
        self._tables = list(self.keys)
        self._sequences = [text(row[0]) for row in link.ask(_SEQUENCES)]
        parts = [_rows(name) for name in self._tables] + [_position(name) for name in self._sequences]
        self._read = " UNION ALL ".join(parts)

    def read(self, link: Link) -> Contents:
        """Return what is committed; raises ``ServerSaid``."""
        rows = link.ask(self._read) if self._read else []
        return {text(name): value or b"[]" for name, value in rows}

    def put_back(self, link: Link, contents: Contents) -> None:
        """Empty all tables and fill them with *contents*; no trigger fires and no constraint is asked."""
        script = ["BEGIN", "SET LOCAL session_replication_role = replica"]
        if self._tables:
            script.append(f"TRUNCATE {', '.join(self._tables)}")
        for name in self._tables:
            rows = contents.get(name, b"[]")
            if rows != b"[]":
                script.append(
                    f"INSERT INTO {name} OVERRIDING SYSTEM VALUE "
                    f"SELECT * FROM json_populate_recordset(NULL::{name}, {literal(rows.decode())})"
                )
        for name in self._sequences:
            value, called = json.loads(contents[name])
            script.append(f"SELECT setval({literal(name)}, {value}, {str(called).lower()})")
        script.append("COMMIT")
        try:
            link.ask(";".join(script))
        except Exception:
            link.ask("ROLLBACK")
            raise


def shape(link: Link) -> bytes:
    """Return what changes when tables, indexes, constraints, triggers or functions do, also where that was undone."""
    return link.ask("SELECT last_value FROM harness.changed")[0][0] or b""


def _rows(name: str) -> str:
    return (
        f'SELECT {literal(name)}, (SELECT json_agg(row_to_json(t) ORDER BY row_to_json(t)::text COLLATE "C")::text '
        f"FROM {name} AS t)"
    )


def _position(name: str) -> str:
    return f"SELECT {literal(name)}, (SELECT json_build_array(last_value, is_called)::text FROM {name})"


def literal(value: str) -> str:
    """Return *value* as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def text(value: bytes | None) -> str:
    """Return what the server sent as text."""
    return (value or b"").decode()
