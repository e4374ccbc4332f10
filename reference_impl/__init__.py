"""Agents, their tokens and idempotent creation, safe for several worker processes over one database, SQLite or PostgreSQL.

Ordinary production code: nothing in this package knows that it is tested. Each worker calls
:func:`open_service` once and shares the service among its tasks; :func:`initialise` is called once per
database, before any worker starts. Which one it is, its address says: ``postgresql://...``, or the path of a file.
"""

from reference_impl.database import initialise
from reference_impl.service import Service, open_service

NAME = "reference"

__all__ = ["NAME", "Service", "initialise", "open_service"]
