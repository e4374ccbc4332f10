"""Schedule points in PostgreSQL clients, ``psycopg`` and ``asyncpg``: statements, locks, time-outs."""
