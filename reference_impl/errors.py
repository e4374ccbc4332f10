"""The errors that a client can get. Any other exception that leaves an operation is a defect.

Every error keeps its values in ``args`` exactly as the constructor takes them, so it survives pickling.
"""


class ServiceError(Exception):
    """Base of every documented error of the service.

    Attributes:
        replayed: whether an earlier request with the same key got this error as its answer.
    """

    replayed = False


class InvalidName(ServiceError):
    """No slug can be made from a name.

    Args:
        name: the name as the client sent it.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"no slug can be made from {self.name!r}: it has no ASCII letter or digit; choose another name"


class UnknownAgent(ServiceError):
    """No agent has this slug.

    Args:
        agent: the slug in the request.
    """

    def __init__(self, agent: str) -> None:
        super().__init__(agent)
        self.agent = agent

    def __str__(self) -> str:
        return f"no agent has the slug {self.agent!r}; add the agent first"


class SlugTaken(ServiceError):
    """Another agent already has the slug. A definite answer: a retry under the same key gets the same error.

    Args:
        slug: the slug that is taken.
    """

    def __init__(self, slug: str) -> None:
        super().__init__(slug)
        self.slug = slug

    def __str__(self) -> str:
        return f"another agent has the slug {self.slug!r}; choose another name and a new key"


class ActiveTokenExists(ServiceError):
    """The agent already has an active token.

    Args:
        agent: the agent's slug.
    """

    def __init__(self, agent: str) -> None:
        super().__init__(agent)
        self.agent = agent

    def __str__(self) -> str:
        return f"agent {self.agent!r} already has an active token; rotate it, or revoke it first"


class NoActiveToken(ServiceError):
    """The agent does not have the active token that was to be rotated or revoked.

    Args:
        agent: the agent's slug.
    """

    def __init__(self, agent: str) -> None:
        super().__init__(agent)
        self.agent = agent

    def __str__(self) -> str:
        return f"agent {self.agent!r} has no such active token: none was issued, or it was revoked; issue one"


class DatabaseBusy(ServiceError):
    """The database stayed locked; nothing was changed by the refused operation.

    Args:
        timeout: the busy timeout of the connection, in seconds.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__(timeout)
        self.timeout = timeout

    def __str__(self) -> str:
        return f"the database is locked by another writer (busy timeout {self.timeout:g} s); try again later"


class StorageFailed(ServiceError):
    """The disk or the server failed, or the disk is full; the operation changed nothing, or the outcome is unknown.

    Args:
        reason: the database's message.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the database could not be read or written ({self.reason}); try again later with the same key"


class StoreFull(ServiceError):
    """No room for another idempotency key for now: a key that is still to be remembered is never dropped for a new one.

    Args:
        capacity: how many keys the store can hold.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.capacity = capacity

    def __str__(self) -> str:
        return f"the store already holds {self.capacity} idempotency keys; try again when some have expired"


class ContainerFailed(ServiceError):
    """The container could not be started for now.

    Args:
        reason: the container platform's message.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the container could not be started ({self.reason}); try again later with the same key"


class KeyReused(ServiceError):
    """The idempotency key was used before for another request.

    Args:
        key: the idempotency key.
    """

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return f"idempotency key {self.key!r} was used before for another request; use a new key"


class StillInProgress(ServiceError):
    """Another request with the same key did not finish within the waiting time.

    Args:
        key: the idempotency key.
        waited: how long this request waited, in seconds.
    """

    def __init__(self, key: str, waited: float) -> None:
        super().__init__(key, waited)
        self.key = key
        self.waited = waited

    def __str__(self) -> str:
        return f"the request with key {self.key!r} is still in progress after {self.waited:g} s; retry it later"


class ReservationLost(ServiceError):
    """The reservation is no longer this owner's, so the owner's transaction is undone.

    Args:
        key: the idempotency key.
    """

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return f"the reservation of key {self.key!r} was released or taken over; retry with the same key"
