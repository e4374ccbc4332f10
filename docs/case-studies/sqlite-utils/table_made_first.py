"""The same race over a table that is there already, with its unique index."""

from dataclasses import replace
from pathlib import Path

from race import CASE
from sqlite_utils import Database


def make_table(db: Path) -> None:
    with Database(db) as database:
        database["species"].create({"id": int, "name": str}, pk="id").create_index(["name"], unique=True)


CASE = replace(CASE, name="sqlite-utils-lookup-table-made-first", setup=make_table)
