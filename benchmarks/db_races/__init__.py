"""Races over a database: some thirty small programs, each beside a twin that is right. Anyone's tester may use them.

    from benchmarks.db_races import RACES

Plain Python on `sqlite3` and `aiosqlite`; nothing here imports a race tester. `Race.faulty` are the tasks that race, each a
function of the path of the database (a process of its own if sync, a task in one of a few processes if async), and
`Race.correct` those that do the same and are right. A task that raises has failed; afterwards `Race.holds(connection)` must
be true. `Race.kills` is how many processes may be killed, at any point, for the fault to show.
"""

from benchmarks.db_races import claims, classics, crashes, money, rows, transactions
from benchmarks.db_races.race import Race

__all__ = ["RACES", "Race"]

RACES: tuple[Race, ...] = (
    *rows.RACES,
    *money.RACES,
    *claims.RACES,
    *transactions.RACES,
    *crashes.RACES,
    *classics.RACES,
)
"""Every one, by rising size of its family."""
