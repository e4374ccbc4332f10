"""The server's clock and randomness under control: functions in the place of the server's own, in each database raced over.

What asks by function (``now()``, ``clock_timestamp()``, also as a column's default) is told virtual time. The words of the
SQL standard (``CURRENT_TIMESTAMP``) are no functions, so they tell real time; whoever uses them is named.
"""

from __future__ import annotations

from harness.epoch import EPOCH
from harness.postgres.link import Link

__all__ = ["install", "set_clock", "setting"]

# A sequence has one value for all transactions, whatever snapshot they have. A function that has another name is the same
# to all that was compiled before, so the server's own are renamed: whatever ``search_path`` code sets, it finds ours.
_SCRIPT = """
CREATE SCHEMA harness;
CREATE SEQUENCE harness.clock MINVALUE 0;
GRANT USAGE ON SCHEMA harness TO PUBLIC;
GRANT SELECT ON harness.clock TO PUBLIC;
DO $rename$ DECLARE each regprocedure; BEGIN
  FOR each IN SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace = 'pg_catalog'::regnamespace AND (
    proname IN ('clock_timestamp', 'statement_timestamp', 'now', 'transaction_timestamp', 'timeofday', 'gen_random_uuid',
      'uuidv4')
    OR proname = 'age' AND pronargs = 1 AND proargtypes[0] <> 'xid'::regtype)
  LOOP EXECUTE format('ALTER FUNCTION %s RENAME TO %I', each,
    'harness_real_' || (SELECT proname FROM pg_proc WHERE oid = each)); END LOOP;
END $rename$;
CREATE FUNCTION pg_catalog.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql AS
  'SELECT pg_catalog.to_timestamp(last_value / 1000000.0) FROM harness.clock';
CREATE FUNCTION pg_catalog.statement_timestamp() RETURNS timestamptz STABLE LANGUAGE sql AS
  'SELECT pg_catalog.to_timestamp(last_value / 1000000.0) FROM harness.clock';
CREATE FUNCTION pg_catalog.now() RETURNS timestamptz STABLE LANGUAGE sql AS $$
  SELECT pg_catalog.to_timestamp(pg_catalog.set_config('harness.began',
    coalesce(nullif(pg_catalog.current_setting('harness.began', true), ''),
    (SELECT last_value::text FROM harness.clock)), true)::float8 / 1000000.0) $$;
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
    """Put the functions into the database of *link*."""
    link.ask(_SCRIPT)
    set_clock(link, 0.0)


def setting(now: float) -> str:
    """Return the SQL that has the clock show *now*, in virtual seconds."""
    return f"SELECT setval('harness.clock', {round((EPOCH + now) * 1e6)})"


def set_clock(link: Link, now: float) -> None:
    """Have the clock show *now*, in virtual seconds."""
    link.ask(setting(now))
