"""The scope of an idempotency key: its caller and its endpoint."""

import hashlib
import json
from typing import NamedTuple


class Scope(NamedTuple):
    """The identity of a key: the same text from another caller, or at another endpoint, is another key.

    Attributes:
        caller: the authenticated caller's name.
        endpoint: the operation.
        key: the idempotency key.
    """

    caller: str
    endpoint: str
    key: str

    @property
    def topic(self) -> str:
        """Return the topic for announcing changes: a digest, which is short even where caller and key are long."""
        return hashlib.sha256(json.dumps(self).encode()).hexdigest()
