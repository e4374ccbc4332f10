"""The time-outs of a session with PostgreSQL, which pass in virtual time and never in the server's own.

Each one that a session has is learnt when it may have been set, and moved so far away in the server that it never passes there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

__all__ = ["GREETING", "TimedOut", "Timeouts", "passed_in_reality"]

_NAMES = (
    "lock_timeout",
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
)
_AWAY = 1 << 30
"""Milliseconds, twelve days, that are added to each one in the server."""
GREETING = (
    f"SELECT {{}}, {', '.join(f'current_setting({name!r}, true)' for name in _NAMES)}, "
    "current_setting('deadlock_timeout'), current_setting('is_superuser'), current_setting('transaction_isolation')"
)
"""What a session is asked when it is first seen, and when it may have set a time-out; then its randomness is set."""
TOLD = len(_NAMES) + 4
_UNITS = {"": 1, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_SAID = {
    "55P03": "due to lock timeout",
    "57014": "due to statement timeout",
    "25P03": "idle-in-transaction timeout",
    "25P04": "transaction timeout",
    "57P05": "idle-session timeout",
}


class TimedOut(Exception):
    """A statement has taken as long as the session's ``lock_timeout`` or ``statement_timeout`` allows, in virtual time.

    ``sqlstate`` and the text are those of the error that the server would give.
    """

    def __init__(self, for_a_lock: bool) -> None:
        self.sqlstate = "55P03" if for_a_lock else "57014"
        super().__init__(f"canceling statement due to {'lock' if for_a_lock else 'statement'} timeout")


class Timeouts:
    """Those of one session, in virtual seconds, 0 for none; ``unsure``: one may have been set since they were learnt."""

    __slots__ = ("_awaited", "_began", "_idle_since", "_known", "_lock_until", "_open_since", "_set_inside", "unsure")

    def __init__(self) -> None:
        self._known = dict.fromkeys(_NAMES, 0.0)
        self.unsure = self._set_inside = False
        self._awaited: object = None
        self._lock_until = math.inf
        self._began, self._idle_since, self._open_since = 0.0, math.nan, math.inf

    @property
    def lock(self) -> float:
        """How long a statement waits for one lock."""
        return self._known["lock_timeout"]

    # What they are

    def learn(self, told: Sequence[bytes | None], inside: bool) -> str:
        """Record the answer to ``GREETING`` but the seed; *inside* a transaction. Return the SQL that moves the time-outs away.

        Inside a transaction they are moved for the transaction alone: settings for longer are learnt again when it has
        ended.
        """
        *given, deadlock, superuser = told
        self.unsure = False
        moved = []
        for name, setting in zip(_NAMES, given, strict=True):
            milliseconds = _milliseconds(setting)
            if 0 < milliseconds < _AWAY:
                moved.append(f"set_config('{name}', '{milliseconds + _AWAY}', {str(inside).lower()})")
            self._known[name] = milliseconds % _AWAY / 1000
        if superuser == b"on" and _milliseconds(deadlock) > 1:
            # The server looks for a deadlock at once: the harness waits for that.
            moved.append(f"set_config('deadlock_timeout', '1', {str(inside).lower()})")
        return f"SELECT {', '.join(moved)}" if moved else ""

    def did(self, now: float, inside: bool, may_set: bool) -> None:
        """A statement has ended; it *may_set* a time-out. *inside*: a transaction is open now."""
        # What a transaction has set may end with it, or with a part of it.
        self.unsure |= may_set or self._set_inside
        self._set_inside = inside and (self._set_inside or may_set)
        self._idle_since = now
        if not inside:
            self._open_since = math.inf

    # What they end

    def begin(self, now: float, inside: bool) -> str:
        """A statement begins; return why the server would have ended the session before, if it would."""
        since, name = (
            (self._idle_since, "idle_in_transaction_session_timeout")
            if inside
            else (self._idle_since, "idle_session_timeout")
        )
        self._began, self._awaited, self._lock_until = now, None, math.inf
        self._open_since = min(self._open_since, now) if inside else now
        allowed = self._known[name]
        if allowed and now - since >= allowed:
            return _would(name, now - since)
        return self.ended(now)

    def waits_for(self, lock: object, now: float) -> None:
        """The statement waits for *lock*, for each of which ``lock_timeout`` begins anew."""
        if lock != self._awaited:
            self._awaited, self._lock_until = lock, now + self.lock

    def deadline(self) -> float:
        """Return the virtual time at which the statement that waits is ended."""
        return min(self._lock_until, self._statement_until, self._transaction_until)

    def for_a_lock(self) -> bool:
        """Whether it is ``lock_timeout`` that ends it."""
        return self._lock_until <= self._statement_until

    def ended(self, now: float = math.nan) -> str:
        """Return why the server would have ended the session, at *now* or while its statement waited, if it would."""
        until = self._transaction_until
        passed = until <= min(self._lock_until, self._statement_until) if math.isnan(now) else now >= until
        return _would("transaction_timeout", self._known["transaction_timeout"]) if passed and until < math.inf else ""

    @property
    def _statement_until(self) -> float:
        return self._began + (self._known["statement_timeout"] or math.inf)

    @property
    def _transaction_until(self) -> float:
        return self._open_since + (self._known["transaction_timeout"] or math.inf)


def passed_in_reality(sqlstate: str | None, text: str) -> bool:
    """Whether an error of the server's says that one of them has passed."""
    return sqlstate in _SAID and _SAID[sqlstate] in text


def _would(name: str, seconds: float) -> str:
    return (
        f"its session would have been ended by {name}, after {seconds:g} virtual seconds; what the server lets go then is not "
        "explored. Raise it for the race, or take it out"
    )


def _milliseconds(setting: bytes | None) -> int:
    """Return a time-out as ``current_setting`` gives it, in milliseconds; 0 where the server has no such setting."""
    found = re.fullmatch(r"(\d+)\s*([a-z]*)", (setting or b"0").decode())
    return int(found[1]) * _UNITS[found[2]] if found else 0
