"""The service over PostgreSQL: the differences from SQLite, in the places named here.

- ``connection.py``: statements, and the clock that counts.
- ``database.py``: connections, transactions, locks, and retried transactions.
- ``listening.py``: wake-ups from other workers.
- ``schema.py``, ``migrations/``: the tables.
"""
