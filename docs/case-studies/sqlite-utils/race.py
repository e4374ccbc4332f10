"""Two processes look up the same value in a table that does not exist yet; when all is quiet, another looks it up again.

The rules: there is one row for the value, and that last look-up works. One that loses the race and raises SQLite's error
is forgiven: its caller can try again.
"""

from pathlib import Path

from sqlite_utils import Database

from harness import Call, Check, Scenario, Workload


def look_up(db: Path) -> int:
    with Database(db) as database:
        return database["species"].lookup({"name": "Palm"})


def one_row(db: Path) -> None:
    with Database(db) as database:
        rows = list(database["species"].rows)
    assert len(rows) == 1, f"one value, but {len(rows)} rows: {rows}"


def goes_on_working(history, _: Path) -> None:
    last = history.outcomes()[-1]
    assert last.ok, f"a look-up when all is quiet raises {last.error}: {last.value}"


CASE = Scenario(
    name="sqlite-utils-lookup",
    setup=lambda db: Database(db).close(),
    operations={"look_up": look_up},
    workload=lambda workers: Workload.each("look_up", workers=workers),
    probe=lambda _: [Call("look_up")],
    expected_errors=("OperationalError", "IntegrityError"),
    at_end=(Check("one row for a value", one_row),),
    postconditions=(Check("look-ups go on working", goes_on_working),),
)
