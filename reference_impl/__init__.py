"""Agents, their tokens and idempotent creation, safe for several worker processes over one database, SQLite or PostgreSQL.

Ordinary production code: nothing in this package knows that it is tested. Call :func:`initialise` once per database,
before any worker starts. Each worker calls :func:`open_service` once and shares the service among its tasks. The
address selects the database: ``postgresql://...`` is PostgreSQL, the path of a file is SQLite.
"""

from reference_impl.database import initialise
from reference_impl.service import Service, open_service

NAME = "reference"

__all__ = ["NAME", "Service", "initialise", "open_service"]
