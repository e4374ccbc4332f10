"""The settings of a deployment of the service."""

import hashlib
from dataclasses import dataclass, field

from reference_impl import reservations as defaults
from reference_impl.backend import Address
from reference_impl.schema import JournalMode


@dataclass(frozen=True, slots=True)
class Settings:
    """Holds all settings of a worker.

    Attributes:
        database: a URL ``postgresql://...``, or the path of an SQLite file.
        credentials: the managers: a name and the SHA-256 of a secret for each (see :func:`credential`).
        containers: the database of the recorded containers, a URL or a path too; None for a service that deploys nothing.
        journal_mode: ``"delete"`` or ``"wal"``.
        busy_timeout: how long a statement waits for another's lock, in seconds.
        patience: how long a request waits for another with the same key, in seconds.
        lease: how long an owner keeps a key without extending the lease, in seconds.
        retention: how long an answer is remembered, in seconds.
        capacity: how many keys are remembered at most.
        recover_every: how often to complete the deployments that crashed workers left, in seconds; None for never.
        most_body: how many bytes a request's body may have.
    """

    database: Address
    credentials: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    containers: Address | None = None
    journal_mode: JournalMode = "wal"
    busy_timeout: float = 5.0
    patience: float = 10.0
    lease: float = defaults.LEASE
    retention: float = defaults.RETENTION
    capacity: int = defaults.CAPACITY
    recover_every: float | None = None
    most_body: int = 1 << 20


def credential(name: str, secret: str) -> tuple[str, str]:
    """Return the entry of one manager in :attr:`Settings.credentials`.

    Args:
        name: the manager's name, which is also the caller that idempotency keys belong to.
        secret: the bearer token that the manager sends.

    Returns:
        The name, and a digest of the secret.
    """
    return name, hashlib.sha256(secret.encode()).hexdigest()
