"""Moments relative to now, by the clock of this machine or of the database server."""

import time


class FromNow(float):
    """A moment: seconds since 1970 by this machine's clock; PostgreSQL computes it anew from the server's clock.

    SQLite is given the number, since it has no clock but this machine's. PostgreSQL has one clock for all workers, so it
    is given :attr:`seconds` and adds them to its own time.

    Args:
        seconds: how long from now, in seconds; negative for a moment in the past.

    Attributes:
        seconds: the argument of that name.
    """

    seconds: float

    def __new__(cls, seconds: float = 0.0) -> "FromNow":
        """Return the moment that is *seconds* after the present."""
        moment = super().__new__(cls, time.time() + seconds)
        moment.seconds = seconds
        return moment
