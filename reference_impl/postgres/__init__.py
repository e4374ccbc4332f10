"""The service over PostgreSQL: what differs from SQLite, in the places named here.

- ``connection.py``: statements, and whose clock counts.
- ``database.py``: connections, transactions, locks, and what is tried again.
- ``listening.py``: wake-ups from other workers.
- ``schema.py``, ``migrations/``: the tables.
"""
