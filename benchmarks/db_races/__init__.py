"""Races over a database: some forty small programs, each beside a twin that is right. Anyone's tester may use them.

    from benchmarks.db_races import RACES

Plain Python on `sqlite3` and `aiosqlite`; nothing here imports a race tester. `Race.faulty` are the tasks that race, each a
function of the path of the database (a process of its own if sync, a task in one of a few processes if async), and
`Race.correct` those that do the same and are right. A task that raises has failed; afterwards `Race.holds(connection)` must
be true. Some show only under faults: `Race.kills` is how many processes may be killed, `Race.cancels` how many async tasks
may be cancelled, each at any point; where there are `Race.jumps`, the clock may once jump by one of these numbers of seconds.
"""

from benchmarks.db_races import claims, classics, clocks, crashes, deep, money, rows, transactions
from benchmarks.db_races.race import Race, Task

__all__ = ["RACES", "Race", "Task"]

RACES: tuple[Race, ...] = (
    *rows.RACES,
    *money.RACES,
    *claims.RACES,
    *transactions.RACES,
    *crashes.RACES,
    *clocks.RACES,
    *deep.RACES,
    *classics.RACES,
)
"""Every one; the classics last, by family and rising size."""
