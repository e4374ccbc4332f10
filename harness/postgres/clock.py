"""The server's clock and randomness under control: functions in the place of the server's own, in each database raced over.

Each reading is a microsecond after the reading before it, of any session, because time stamps order events. A read-only
transaction can't advance the sequence, so its readings are counted in the session.

Code that asks for the time by a function (``now()``, ``clock_timestamp()``, also as a column's default) gets virtual time. The
words of the SQL standard (``CURRENT_TIMESTAMP``) are no functions, so they give real time; code that uses them is reported.
"""

from __future__ import annotations

import re

from harness.boundary.epoch import EPOCH
from harness.postgres.link import Link

__all__ = ["by_function", "install", "replace_defaults", "set_clock", "setting"]

# The clock is a sequence: that has one value for all transactions, whatever snapshot they have, and a rollback does not
# take it back. It is unlogged, so that a transaction that reads the clock gets no transaction number. The server's own
# functions are renamed, which leaves everything compiled before as it was; so code finds ours under any ``search_path``.
_SCRIPT = """
CREATE SCHEMA harness;
CREATE UNLOGGED SEQUENCE harness.clock MINVALUE 0;
GRANT USAGE ON SCHEMA harness TO PUBLIC;
GRANT SELECT, USAGE ON harness.clock TO PUBLIC;
DO $rename$ DECLARE each regprocedure; BEGIN
  FOR each IN SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace = 'pg_catalog'::regnamespace AND (
    proname IN ('clock_timestamp', 'statement_timestamp', 'now', 'transaction_timestamp', 'timeofday', 'gen_random_uuid',
      'uuidv4')
    OR proname = 'age' AND pronargs = 1 AND proargtypes[0] <> 'xid'::regtype)
  LOOP EXECUTE format('ALTER FUNCTION %s RENAME TO %I', each,
    'harness_real_' || (SELECT proname FROM pg_proc WHERE oid = each)); END LOOP;
END $rename$;
CREATE FUNCTION harness.tick() RETURNS bigint VOLATILE LANGUAGE plpgsql SET search_path = pg_catalog AS $$
  DECLARE count int; BEGIN
    IF current_setting('transaction_read_only') = 'off' THEN RETURN nextval('harness.clock'); END IF;
    count := coalesce(nullif(current_setting('harness.ticks', true), ''), '0')::int + 1;
    PERFORM set_config('harness.ticks', count::text, false);
    RETURN count + last_value FROM harness.clock;
  END $$;
CREATE FUNCTION harness.kept(setting text, during text) RETURNS timestamptz VOLATILE LANGUAGE plpgsql
  SET search_path = pg_catalog AS $$
  DECLARE known text := current_setting(setting, true); BEGIN
    IF known IS NULL OR split_part(known, '|', 1) <> during THEN
      known := during || '|' || harness.tick();
      PERFORM set_config(setting, known, false);
    END IF;
    RETURN to_timestamp(split_part(known, '|', 2)::numeric / 1000000.0);
  END $$;
CREATE FUNCTION pg_catalog.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql AS
  'SELECT pg_catalog.to_timestamp(harness.tick() / 1000000.0)';
CREATE FUNCTION pg_catalog.statement_timestamp() RETURNS timestamptz STABLE LANGUAGE sql AS
  $$ SELECT harness.kept('harness.statement', extract(epoch FROM pg_catalog.harness_real_statement_timestamp())::text) $$;
CREATE FUNCTION pg_catalog.now() RETURNS timestamptz STABLE LANGUAGE sql AS
  $$ SELECT harness.kept('harness.transaction', extract(epoch FROM pg_catalog.harness_real_now())::text) $$;
CREATE FUNCTION pg_catalog.transaction_timestamp() RETURNS timestamptz STABLE LANGUAGE sql AS 'SELECT pg_catalog.now()';
CREATE FUNCTION pg_catalog.timeofday() RETURNS text VOLATILE LANGUAGE sql AS
  $$ SELECT pg_catalog.to_char(pg_catalog.clock_timestamp(), 'Dy Mon DD HH24:MI:SS.US YYYY TZ') $$;
CREATE FUNCTION pg_catalog.age(timestamptz) RETURNS interval STABLE STRICT LANGUAGE sql AS
  'SELECT pg_catalog.age(pg_catalog.now()::date::timestamptz, $1)';
CREATE FUNCTION pg_catalog.age(timestamp) RETURNS interval STABLE STRICT LANGUAGE sql AS
  'SELECT pg_catalog.age(pg_catalog.now()::date::timestamp, $1)';
CREATE FUNCTION pg_catalog.gen_random_uuid() RETURNS uuid VOLATILE LANGUAGE sql AS
  'SELECT pg_catalog.md5(pg_catalog.random()::text || pg_catalog.random()::text)::uuid';
CREATE FUNCTION pg_catalog.uuidv4() RETURNS uuid VOLATILE LANGUAGE sql AS 'SELECT pg_catalog.gen_random_uuid()';
"""


def install(link: Link) -> None:
    """Put the clock and its functions into the database of *link*, and set the clock to 0."""
    link.ask(_SCRIPT)
    link.ask(setting(0.0))


def setting(now: float) -> str:
    """Return the SQL that sets the clock to *now*, in virtual seconds, even if that is earlier than its last reading."""
    return f"SELECT setval('harness.clock', {_microseconds(now)})"


def _microseconds(now: float) -> int:
    return round((EPOCH + now) * 1e6)


def set_clock(link: Link, now: float) -> None:
    """Set the clock to *now*, in virtual seconds, unless readings have already brought it further."""
    link.ask(f"SELECT setval('harness.clock', greatest({_microseconds(now)}, (SELECT last_value FROM harness.clock)))")


_BY_WORD = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|"
    r"\b(CURRENT_TIMESTAMP|LOCALTIMESTAMP|CURRENT_DATE|CURRENT_TIME|LOCALTIME)\b(\(\d+\))?"
)
_TYPES = {
    "CURRENT_TIMESTAMP": "timestamp{} with time zone", "LOCALTIMESTAMP": "timestamp{} without time zone",
    "CURRENT_DATE": "date",
    "CURRENT_TIME": "time{} with time zone", "LOCALTIME": "time{} without time zone",
}  # fmt: skip
_DEFAULTS = """
SELECT format('%I.%I', nspname, relname), quote_ident(attname), pg_get_expr(adbin, adrelid), relkind = 'v'
FROM pg_attrdef JOIN pg_class c ON c.oid = adrelid JOIN pg_namespace n ON n.oid = relnamespace
JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
WHERE adbin::text LIKE '%SQLVALUEFUNCTION%' AND attgenerated = '' AND c.oid >= 16384
"""


def by_function(expression: str) -> str:
    """Return *expression*, SQL as the server prints it, with functions in the place of the words that ask for the time."""

    def instead(found: re.Match[str]) -> str:
        return f"(now())::{_TYPES[found[1]].format(found[2] or '')}" if found[1] else found[0]

    return _BY_WORD.sub(instead, expression)


def replace_defaults(link: Link) -> None:
    """Make defaults of columns that ask for the time by a word ask by a function; no event trigger of the code fires."""
    changes = []
    for table, column, expression, is_view in link.ask(_DEFAULTS):
        was = (expression or b"").decode()
        if (now := by_function(was)) != was:
            kind = "VIEW" if is_view == b"t" else "TABLE ONLY"
            names = (table or b"").decode(), (column or b"").decode()
            changes.append(f"ALTER {kind} {names[0]} ALTER COLUMN {names[1]} SET DEFAULT {now}")
    if changes:
        link.ask(";".join(["BEGIN", "SET LOCAL session_replication_role = replica", *changes, "COMMIT"]))
