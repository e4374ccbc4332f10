"""The scope of a key."""

import hashlib
import json
from typing import NamedTuple


class Scope(NamedTuple):
    """The scope in which a key is unique: another caller's key, or another endpoint's, is another key.

    Attributes:
        caller: the caller, as authenticated.
        endpoint: the operation.
        key: the idempotency key.
    """

    caller: str
    endpoint: str
    key: str

    @property
    def topic(self) -> str:
        """The topic of announcements of changes: short, however long callers and keys are."""
        return hashlib.sha256(json.dumps(self).encode()).hexdigest()
