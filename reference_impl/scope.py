"""What a key belongs to."""

import hashlib
import json
from typing import NamedTuple


class Scope(NamedTuple):
    """What makes a key unique: another caller's, or another endpoint's, is another key.

    Attributes:
        caller: who calls, as authenticated.
        endpoint: which operation.
        key: the idempotency key.
    """

    caller: str
    endpoint: str
    key: str

    @property
    def topic(self) -> str:
        """What changes are announced under: short, however long callers and keys are."""
        return hashlib.sha256(json.dumps(self).encode()).hexdigest()
