"""Moments counted from now, by the clock of the database or of this process."""

import time


class FromNow(float):
    """A moment: seconds since 1970 by this machine's clock; a server reckons it anew from its own.

    SQLite is given the number, as it has no clock but ours. PostgreSQL has one for all workers, and is told :attr:`seconds`.

    Args:
        seconds: how long from now, in seconds; negative for what has been.

    Attributes:
        seconds: the same.
    """

    seconds: float

    def __new__(cls, seconds: float = 0.0) -> "FromNow":
        """Look at the clock."""
        moment = super().__new__(cls, time.time() + seconds)
        moment.seconds = seconds
        return moment
