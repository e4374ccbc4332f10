"""The service over PostgreSQL: all differences from SQLite are in the modules named here.

- ``connection.py``: the translation of statements, and the server's clock.
- ``database.py``: connections, transactions, locks, and retries.
- ``listening.py``: wake-ups from other workers.
- ``schema.py``, ``migrations/``: the tables.
"""
