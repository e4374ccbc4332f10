"""The history of the tables in PostgreSQL: one file in ``versions/`` for each change, for Alembic."""
