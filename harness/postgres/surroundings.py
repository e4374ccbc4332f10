"""Settings, privileges and roles: they belong to a database or to the whole server, but are in no copy of the database."""

from __future__ import annotations

from collections.abc import Sequence

from harness.postgres.link import Link
from harness.postgres.state import literal, text

__all__ = ["Surroundings"]

_SHARED = ("pg_authid", "pg_auth_members", "pg_parameter_acl", "pg_db_role_setting")
_MINE = "(SELECT oid FROM pg_database WHERE datname = $1)"
_SETTINGS = f"SELECT setrole, setconfig FROM pg_db_role_setting WHERE setdatabase = {_MINE}"
_DATABASE = (
    "SELECT datdba, coalesce(datacl::text, ''), datconnlimit, coalesce(shobj_description(oid, 'pg_database'), '') "
    "FROM pg_database WHERE datname = $1"
)
_ABOUT = f"(dbid = {_MINE} OR classid = 'pg_database'::regclass AND objid = {_MINE})"
_DEPENDS = f"SELECT classid, objid, objsubid, dbid = 0, refclassid, refobjid, deptype FROM pg_shdepend WHERE {_ABOUT}"
_DEPEND = f"""
INSERT INTO pg_shdepend (dbid, classid, objid, objsubid, refclassid, refobjid, deptype)
VALUES (CASE WHEN $5::bool THEN 0 ELSE {_MINE} END, $2::oid, CASE WHEN $5::bool THEN {_MINE} ELSE $3::oid END, $4::int,
  $6::oid, $7::oid, $8::"char")
"""


class Surroundings:
    """The surroundings of *database*, read when this is made, to be put back later.

    *admin* is connected to another database. *whole* says that the server is ours, so its roles are part of the state.
    """

    def __init__(self, admin: Link, database: str, *, whole: bool) -> None:
        self._admin, self._database = admin, database
        self._settings = admin.ask(_SETTINGS, database)
        self._depends = admin.ask(_DEPENDS, database)
        ((self._owner, self._privileges, self._limit, self._comment),) = admin.ask(_DATABASE, database)
        self._shared = {
            name: admin.ask(f"SELECT {name}::text {_which(name)}") for name in _SHARED if whole and self._has(name)
        }

    def _has(self, name: str) -> bool:
        return self._admin.ask("SELECT to_regclass($1) IS NOT NULL", name)[0][0] == b"t"

    def put_back(self) -> None:
        """Restore the surroundings of the database, which may have been made anew, and, on a server of ours, its roles."""
        ask, name = self._admin.ask, self._database
        for table, rows in self._shared.items():
            _put_rows(self._admin, table, [text(row) for (row,) in rows])
        ask(f"DELETE FROM pg_db_role_setting WHERE setdatabase = {_MINE}", name)
        for role, settings in self._settings:
            ask(f"INSERT INTO pg_db_role_setting SELECT {_MINE}, $2::oid, $3::text[]", name, text(role), text(settings))
        ask(
            "UPDATE pg_database SET datdba = $2::oid, datacl = nullif($3, '')::aclitem[], datconnlimit = $4::int "
            "WHERE datname = $1 AND (datdba, coalesce(datacl::text, ''), datconnlimit) <> ($2::oid, $3, $4::int)",
            name, text(self._owner), text(self._privileges), text(self._limit),
        )  # fmt: skip
        ask(f"DELETE FROM pg_shdepend WHERE {_ABOUT}", name)
        for row in self._depends:
            ask(_DEPEND, name, *map(text, row))
        if self._comment:
            ask(f"COMMENT ON DATABASE {name} IS {literal(text(self._comment))}")

    def stand_alone(self, copy: str) -> None:
        """Delete the records that the database *copy* depends on roles, so that roles can be dropped.

        Only the harness knows the copy.
        """
        self._admin.ask(f"DELETE FROM pg_shdepend WHERE dbid = {_MINE}", copy)


def _which(name: str) -> str:
    return f"FROM {name}{' WHERE setdatabase = 0' if name == 'pg_db_role_setting' else ''}"


def _put_rows(admin: Link, name: str, rows: Sequence[str]) -> None:
    """Make the server's table *name* hold exactly *rows*; rows that it has already are left alone."""
    listed = "ARRAY[" + ", ".join(map(literal, rows)) + "]::text[]"
    and_which = " AND setdatabase = 0" if name == "pg_db_role_setting" else ""
    admin.ask(f"DELETE FROM {name} WHERE {name}::text <> ALL ({listed}){and_which}")
    admin.ask(
        f"INSERT INTO {name} SELECT (r.it).* FROM (SELECT told::{name} AS it FROM unnest({listed}) AS told "
        f"WHERE told NOT IN (SELECT {name}::text {_which(name)}) OFFSET 0) AS r"
    )
