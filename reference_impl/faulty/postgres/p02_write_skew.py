"""P02: REPEATABLE READ is mistaken for SERIALIZABLE; no index, no lock.

Clients ask for a token for one agent. Each transaction sees one snapshot of the database from beginning to end, and would
be refused if it wrote to a row that changed meanwhile. But two transactions that insert different rows write to no common
row. Each decides on its own snapshot, and together they break the rule that each had checked.

Rule broken: TOK1, at most one active token per agent. Needs two requests and one preemption.
"""

from functools import partial
from typing import ClassVar

from reference_impl import service
from reference_impl.faulty.postgres.p01_check_then_insert import TrustsTheTransaction, initialise
from reference_impl.postgres.database import PostgresDatabase

__all__ = ["NAME", "initialise", "open_service"]

NAME = "p02-write-skew"


class Snapshots(PostgresDatabase):
    """A database with transactions that see one snapshot each."""

    ISOLATION: ClassVar[str] = "REPEATABLE READ"


open_service = partial(service.open_service, database=Snapshots, tokens=TrustsTheTransaction)
