"""Races over a database: some forty small programs, each with a correct twin. Any race tester may use them.

    from benchmarks.db_races import RACES

The programs are plain Python on `sqlite3` and `aiosqlite`, and import no race tester. `Race.faulty` holds the tasks that race,
each a function of the path of the database (a process of its own if sync, a task in one of a few processes if async).
`Race.correct` holds tasks that do the same without a race. A task that raises has failed; afterwards `Race.holds(connection)`
must be true. Some races show only under faults: `Race.kills` is how many processes may be killed, `Race.cancels` how many
async tasks may be cancelled, each at any point; with `Race.jumps`, the clock may jump once by one of these numbers of seconds.
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
