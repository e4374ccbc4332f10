"""Agents, their tokens and idempotent creation, safe for several worker processes over one SQLite file.

Ordinary production code: nothing in this package knows that it is tested. Each worker calls
:func:`open_service` once and shares the service among its tasks; :func:`initialise` is called once per
database file, before any worker starts.
"""

from reference_impl.database import initialise
from reference_impl.service import Service, open_service

NAME = "reference"

__all__ = ["NAME", "Service", "initialise", "open_service"]
