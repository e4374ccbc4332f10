"""What setup made in PostgreSQL is what each execution finds, however the one before left it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from harness.boundary.inherited_locks import Inherited
from harness.control.testbed.shared_database import SharedDatabase
from harness.postgres.state import MARK, cells
from tests.harness.postgres.programs import needs_server

pytestmark = [needs_server, pytest.mark.forks]

SETUP = """
CREATE SCHEMA "Odd.schema";
CREATE TYPE pair AS (a int, b text);
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE p (id int, note text) PARTITION BY LIST (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p DEFAULT;
INSERT INTO p VALUES (1, 'one'), (2, 'two');
CREATE TABLE parent (id int);
CREATE TABLE child (more text) INHERITS (parent);
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (2, 'x');
CREATE TABLE test (id int, t pair);
INSERT INTO test VALUES (7, ROW(1, 'a,"b"\\')), (8, NULL);
CREATE TABLE "Odd.schema"."select" ("x y" int GENERATED ALWAYS AS IDENTITY, "X.Y" text,
  twice int GENERATED ALWAYS AS (length("X.Y")) STORED);
INSERT INTO "Odd.schema"."select" ("X.Y") VALUES ('a'), (''), (NULL);
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE every (j jsonb, n jsonb, i int[], b bytea, m mood, d positive, r int4range, f float8, q numeric,
  s timestamptz, c money, e xml, k bit(3), h "char", o char(4), v interval, w tsvector, u int4multirange);
INSERT INTO every VALUES ('null', NULL, '[0:1]={5,6}', '\\x00ff', 'ok', 3, '[1,5)', 'NaN', 'NaN',
  '-infinity', '1.5', NULL, B'101', 'z', 'ab', '1 day -2 hours', 'a fat cat', '{[1,2),[5,6)}');
CREATE TABLE holes (id int PRIMARY KEY, gone text, body text);
INSERT INTO holes SELECT g, 'gone', repeat(md5(g::text), 800) FROM generate_series(1, 40) g;
ALTER TABLE holes ALTER body SET STORAGE EXTERNAL;
UPDATE holes SET body = repeat(md5(id::text), 900) WHERE id % 3 = 0;
DELETE FROM holes WHERE id % 4 = 0;
ALTER TABLE holes DROP COLUMN gone;
ALTER TABLE holes ADD added int DEFAULT 5;
CREATE INDEX ON holes USING gin (to_tsvector('simple', left(body, 100)));
CREATE INDEX ON holes USING brin (id);
CREATE INDEX ON holes USING hash (id);
ANALYZE;
CREATE TABLE unordered (id int);
INSERT INTO unordered VALUES (9), (10), (1);
CREATE UNLOGGED TABLE lost (id int);
INSERT INTO lost VALUES (1);
CREATE SEQUENCE counts CACHE 5;
SELECT nextval('counts'), nextval('counts');
CREATE TABLE boss (id int PRIMARY KEY, under int);
CREATE TABLE worker (id int PRIMARY KEY, boss int REFERENCES boss DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE boss ADD FOREIGN KEY (under) REFERENCES worker DEFERRABLE INITIALLY DEFERRED;
BEGIN;
INSERT INTO boss VALUES (1, 2);
INSERT INTO worker VALUES (2, 1);
COMMIT;
CREATE TABLE noted (text text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO noted VALUES (tg_op); RETURN NULL; END $$;
CREATE TRIGGER always AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON unordered FOR EACH STATEMENT EXECUTE FUNCTION note();
ALTER TABLE unordered ENABLE ALWAYS TRIGGER always;
CREATE TABLE hidden (id int);
INSERT INTO hidden VALUES (1);
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
ALTER TABLE hidden FORCE ROW LEVEL SECURITY;
CREATE RULE no_insert AS ON INSERT TO hidden DO INSTEAD NOTHING;
CREATE MATERIALIZED VIEW seen AS SELECT count(*) FROM unordered;
CREATE VIEW old AS SELECT now() AS at;
SELECT lo_from_bytea(4711, '\\xcafe');
CREATE ROLE tester LOGIN;
CREATE ROLE group_of_testers;
GRANT group_of_testers TO tester;
GRANT SELECT ON unordered TO tester;
ALTER ROLE tester SET work_mem = '5MB';
ALTER DATABASE race SET work_mem = '7MB';
ALTER ROLE tester IN DATABASE race SET lock_timeout = '9s';
ALTER DATABASE race CONNECTION LIMIT 77;
GRANT CREATE ON DATABASE race TO tester;
COMMENT ON DATABASE race IS 'it''s raced';
COMMENT ON TABLE unordered IS 'without order';
CREATE PUBLICATION news FOR TABLE boss;
"""

ROWS = """
TRUNCATE p, test, nothing;
INSERT INTO p VALUES (1, 'more');
DELETE FROM child;
UPDATE unordered SET id = id + 1;
DELETE FROM holes WHERE id < 20;
INSERT INTO holes (id, body) SELECT g, repeat('x', 9000) FROM generate_series(100, 300) g;
INSERT INTO "Odd.schema"."select" ("X.Y") VALUES ('b');
UPDATE every SET j = '{}', i = '{1}';
DELETE FROM lost;
SELECT nextval('counts');
SELECT setval('counts', 99);
"""
BEYOND = {
    "a table is made": "CREATE TABLE made (a int)",
    "a table is dropped": "DROP TABLE p, lost",
    "a column is changed": "ALTER TABLE holes DROP COLUMN added; ALTER TABLE test RENAME t TO u",
    "what was made is undone": "BEGIN; CREATE TABLE undone (a int); ROLLBACK",
    "ANALYZE": "DELETE FROM holes; ANALYZE",
    "VACUUM": "DELETE FROM unordered; VACUUM FULL unordered",
    "large objects": "SELECT lo_unlink(4711), lo_from_bytea(4712, 'x')",
    "roles": "DROP OWNED BY tester; DROP ROLE tester; CREATE ROLE another; GRANT group_of_testers TO another",
    "settings": "ALTER DATABASE race RESET ALL; ALTER ROLE tester SET work_mem = '1MB'; ALTER DATABASE race SET jit = on",
    "the database": "COMMENT ON DATABASE race IS 'x'; ALTER DATABASE race CONNECTION LIMIT 3; "
    "REVOKE ALL ON DATABASE race FROM PUBLIC",
    "a function": "CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
    "a view": "INSERT INTO unordered VALUES (4); REFRESH MATERIALIZED VIEW seen",
    "an event trigger": "ALTER EVENT TRIGGER harness_change DISABLE; CREATE TABLE unseen (a int)",
}

LISTED = """
SELECT oid::regclass::text, relkind, reltuples, relpages, relallvisible, relacl::text, obj_description(oid), relrowsecurity,
  pg_relation_size(oid), pg_relation_size(oid, 'fsm'), pg_relation_size(oid, 'vm')
FROM pg_class WHERE oid >= 16384 AND relnamespace <> 'harness'::regnamespace ORDER BY oid
"""
AROUND = (
    "SELECT starelid, staattnum, stanullfrac, stawidth, stadistinct, stanumbers1, stavalues1::text FROM pg_statistic "
    "WHERE starelid >= 16384",
    "SELECT loid, pageno, data FROM pg_largeobject ORDER BY 1, 2",
    "SELECT datdba, datacl::text, datconnlimit, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'race'",
    "SELECT setrole, setdatabase <> 0, setconfig FROM pg_db_role_setting ORDER BY 1, 2",
    "SELECT pg_authid::text FROM pg_authid ORDER BY oid",
    "SELECT roleid, member, admin_option FROM pg_auth_members ORDER BY oid",
    "SELECT dbid <> 0, classid, CASE WHEN dbid <> 0 THEN objid END, refobjid, deptype FROM pg_shdepend "
    "WHERE refobjid >= 16384 ORDER BY 1, 2, 3, 4",
    "SELECT proname, prosrc FROM pg_proc WHERE oid >= 16384 ORDER BY oid",
    "SELECT tgrelid, tgname, tgenabled FROM pg_trigger ORDER BY oid",
    "SELECT evtname, evtenabled FROM pg_event_trigger ORDER BY oid",
    "SELECT attrelid, attname, attnum FROM pg_attribute WHERE attrelid >= 16384 ORDER BY 1, 3",
    "SELECT * FROM counts",
    "SELECT * FROM seen",
    "SELECT count(*) FROM pg_publication_tables",
    "SHOW work_mem",
)  # fmt: skip


def everything(db: Any) -> list[Any]:
    """Return all that can be seen in the database: rows with their places, plans' grounds, settings, roles."""
    with psycopg.connect(db, autocommit=True) as connection:
        connection.execute("SET extra_float_digits = 1")
        listed = connection.execute(LISTED).fetchall()
        found: list[Any] = [tuple(str(cell) for cell in row) for row in listed]
        for name, kind, *_ in listed:
            if kind == "r" and not name.startswith("pg_toast"):
                found.append((name, connection.execute(_places(connection, name)).fetchall()))
        for query in AROUND:
            found.append((query, connection.execute(query.encode()).fetchall()))
        return found


def _places(connection: Any, name: str) -> bytes:
    """The query for the rows of the table *name* as text, and where they lie."""
    listed = "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
    columns = ["x.ctid", *(f"x.{column}" for (column,) in connection.execute(listed, (name,)).fetchall())]
    return f"SELECT {', '.join(f'{column}::text' for column in columns)} FROM ONLY {name} x".encode()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SharedDatabase, list[Any]]]:
    """A world in which setup has run, and all that was in the database then."""
    with closing(SharedDatabase(tmp_path_factory.mktemp("pg") / "world", Inherited())) as made:
        change(made, SETUP)
        before = everything(made.db)
        made.take_template()
        yield made, before


def change(world: SharedDatabase, script: str) -> None:
    """Run *script*, each statement in a transaction of its own."""
    with psycopg.connect(str(world.db), autocommit=True) as connection:
        for statement in script.split(";\n") if "$$" not in script else _statements(script):
            connection.execute(statement.encode())


def _statements(script: str) -> list[str]:
    found = [""]
    for line in script.splitlines():
        found[-1] += line + "\n"
        if line.endswith(";") and found[-1].count("$$") % 2 == 0:
            found.append("")
    return [each for each in found if each.strip()]


def differences(world: tuple[SharedDatabase, list[Any]]) -> list[Any]:
    """Return what is not as setup made it."""
    made, before = world
    now = everything(made.db)
    return [(was, found) for was, found in zip(before, now, strict=False) if was != found] + [(len(before), len(now))][
        : len(before) != len(now)
    ]


def test_rows_are_put_back_where_they_were(world: tuple[SharedDatabase, list[Any]]) -> None:
    """Values, places in the heap, sizes, statistics, sequences; three times over, with nothing done and with all changed."""
    world[0].reset()
    assert not differences(world)
    for _ in range(2):
        change(world[0], ROWS)
        assert differences(world)
        world[0].reset()
        assert not differences(world)


@pytest.mark.parametrize("what", BEYOND)
def test_what_is_more_than_rows_is_put_back_too(world: tuple[SharedDatabase, list[Any]], what: str) -> None:
    """Tables, statistics, large objects, roles, settings, functions; and rows after that."""
    try:
        for statement in BEYOND[what].split("; ") if "$$" not in BEYOND[what] else [BEYOND[what]]:
            change(world[0], statement)
        assert what == "what was made is undone" or differences(world)
    finally:
        world[0].reset()
    assert not differences(world)
    change(world[0], ROWS)
    world[0].reset()
    assert not differences(world)


def test_files_that_nobody_uses_are_removed(
    world: tuple[SharedDatabase, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many executions, a database has as many files as it had, and what is in it stays."""
    monkeypatch.setattr("harness.postgres.files._MOST_BYTES", 0)
    folder = next((Path(str(world[0].db).partition("host=")[2]) / "base").glob("*/30*")).parent
    counts = set()
    for _ in range(4):
        change(world[0], "TRUNCATE unordered; INSERT INTO holes (id) VALUES (1000)")
        world[0].reset()
        counts.add(len(list(folder.iterdir())))
    assert max(counts) - min(counts) < 20, counts
    assert not differences(world)


def test_what_a_rule_can_see_tells_states_apart(world: tuple[SharedDatabase, list[Any]]) -> None:
    """JSON's null and SQL's, bounds of arrays, the order of rows, a new table, a role; and equal states are equal."""
    made = world[0]
    made.reset()
    seen = [made.snapshot()]
    for script in (
        "UPDATE every SET j = NULL",
        "UPDATE every SET i = '{5,6}'",
        "UPDATE unordered SET id = 10 WHERE id = 10",
        "SELECT nextval('counts')",
        "CREATE TABLE empty ()",
        "CREATE ROLE somebody",
        "SELECT lo_put(4711, 0, 'y')",
    ):
        change(made, script)
        seen.append(made.snapshot())
        made.reset()
        assert made.snapshot() == seen[0]
    assert all(one != other for number, one in enumerate(seen) for other in seen[:number])
    assert seen[0][MARK] == b"" != seen[5][MARK]
    assert len([name for name in seen[0] if name.endswith(("p1", "p2", ".p"))]) == 2, "partitions once"


def test_rows_that_only_lie_in_another_order_are_one_outcome(world: tuple[SharedDatabase, list[Any]]) -> None:
    """A rule is asked about both, but they count as one."""
    made = world[0]
    made.reset()
    before = made.snapshot()
    change(made, "ALTER TABLE unordered DISABLE TRIGGER USER")
    made.reset()
    change(made, "DELETE FROM holes WHERE id = 1")
    one = made.snapshot()
    change(made, "UPDATE holes SET added = 5")
    other = made.snapshot()
    assert before != one != other
    assert list(made.content(one)) == list(made.content(other)) != list(made.content(before))
    made.reset()


def test_the_state_before_is_laid_out_exactly(world: tuple[SharedDatabase, list[Any]]) -> None:
    """In the second database: rows with all their values, in their order, and the moment that is asked about."""
    made = world[0]
    made.reset()
    made.set_time(5.0)
    before = made.snapshot()
    change(made, ROWS)
    for snapshot in (made.snapshot(), before):
        url = str(made.observe(snapshot, earlier=True))
        with psycopg.connect(url) as connection:
            query = (
                "SELECT row(every.*)::text FROM every UNION ALL SELECT row(x.*)::text FROM (SELECT * FROM unordered) x"
            )
            rows = [row for (row,) in connection.execute(query).fetchall()]
            told = connection.execute("SELECT extract(epoch FROM now())::float8 FROM old").fetchone()
    with psycopg.connect(str(made.observe(before))) as connection:
        now = connection.execute("SELECT extract(epoch FROM now())::float8 FROM old").fetchone()
    assert told == now
    assert "[0:1]={5,6}" in rows[0]
    assert rows[1:] == ["(9)", "(10)", "(1)"]
    made.reset()


def test_the_clock_is_found_whatever_the_search_path_is(world: tuple[SharedDatabase, list[Any]]) -> None:
    """Set by code, emptied, or written out; and the code's own functions are not found before the server's."""
    made = world[0]
    made.reset()
    made.set_time(7.0)
    with psycopg.connect(str(made.db), autocommit=True) as connection:
        told = set()
        for path in ("DEFAULT", "''", '"Odd.schema"'):
            connection.execute(f"SET search_path = {path}".encode())
            told |= set(connection.execute("SELECT now(), clock_timestamp(), pg_catalog.now()").fetchone() or ())
        connection.execute("SET search_path TO DEFAULT")
        connection.execute("CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql AS $$ SELECT 'ours' $$")
        assert connection.execute("SELECT lower('A'::text)").fetchone() == ("a",)
    assert len({moment.replace(microsecond=0) for moment in told}) == 1
    made.reset()


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        ("()", []),
        ("(1,)", ["1", None]),
        ('("a,b","x ""y"" \\\\",,"")', ["a,b", 'x "y" \\', None, ""]),
        ('("(1,""a,"""")")', ['(1,"a,"")']),
        ('("two\nlines",z)', ["two\nlines", "z"]),
    ],
)
def test_fields_of_a_record_are_read_as_the_server_wrote_them(record: str, fields: list[str | None]) -> None:
    """NULL, empty, quotes, backslashes, records in records."""
    assert cells(record) == fields
