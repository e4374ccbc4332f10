"""The server's clock and randomness under control: functions of the same names, found before the server's own.

What asks by function (``now()``, ``clock_timestamp()``, also as a column's default) is told virtual time. The words of the
SQL standard (``CURRENT_TIMESTAMP``) are no functions, so they tell real time; whoever uses them is named.
"""

from __future__ import annotations

from harness.epoch import EPOCH
from harness.postgres.link import Link

__all__ = ["PATH", "install", "set_clock"]

# A sequence has one value for all transactions, whatever snapshot they have.
_SCRIPT = """
CREATE SCHEMA harness;
CREATE SEQUENCE harness.clock MINVALUE 0;
CREATE FUNCTION harness.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql AS
  'SELECT to_timestamp(last_value / 1000000.0) FROM harness.clock';
CREATE FUNCTION harness.statement_timestamp() RETURNS timestamptz STABLE LANGUAGE sql AS
  'SELECT to_timestamp(last_value / 1000000.0) FROM harness.clock';
CREATE FUNCTION harness.now() RETURNS timestamptz STABLE LANGUAGE sql AS $$
  SELECT to_timestamp(set_config('harness.began', coalesce(nullif(current_setting('harness.began', true), ''),
    (SELECT last_value::text FROM harness.clock)), true)::float8 / 1000000.0) $$;
CREATE FUNCTION harness.transaction_timestamp() RETURNS timestamptz STABLE LANGUAGE sql AS 'SELECT harness.now()';
CREATE FUNCTION harness.gen_random_uuid() RETURNS uuid VOLATILE LANGUAGE sql AS
  'SELECT md5(random()::text || random()::text)::uuid';
GRANT USAGE ON SCHEMA harness TO PUBLIC;
GRANT SELECT ON harness.clock TO PUBLIC;
"""


def install(link: Link) -> None:
    """Put the functions into the database of *link*. It finds them once its ``search_path`` is ``PATH``."""
    link.ask(_SCRIPT)
    set_clock(link, 0.0)


def set_clock(link: Link, now: float) -> None:
    """Have the clock show *now*, in virtual seconds."""
    link.ask(f"SELECT setval('harness.clock', {round((EPOCH + now) * 1e6)})")


PATH = '"$user", public, harness, pg_catalog'
"""New tables go where they always go; of functions ours are found before the server's."""
