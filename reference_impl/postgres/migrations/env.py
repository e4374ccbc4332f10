"""The environment that Alembic runs: it applies the missing migrations in the caller's transaction."""

from alembic import context
from sqlalchemy import text

connection = context.config.attributes["connection"]
# Two servers may be started at the same time; the second finds nothing left to do.
connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('reference_impl migrations', 0))"))
context.configure(connection=connection)
context.run_migrations()
