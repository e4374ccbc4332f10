"""The speed goals that the issues set, the strictest ones. A slower machine may miss them by a little; a change may not."""

SHARE_OF_FLOOR = {"sqlite3": 0.85, "aiosqlite": 0.75, "http": 0.60, "postgres": 0.40}
TIMES_FRONTRUN = 40
SECONDS_PER_PROGRAM = 2.0
GROWTH_TO_SIXTEEN = 1.5
"""How many times more a step may cost with 16 workers than with 2."""
TWO_JOBS = 1.8
"""How many times as fast two explorations at once must be as one, on two cores."""
