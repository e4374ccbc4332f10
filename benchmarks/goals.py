"""What issue 2 asks for; a machine that misses these by a little is no news, a change that does is."""

SHARE_OF_FLOOR = {"sqlite3": 0.70, "aiosqlite": 0.60}
TIMES_FRONTRUN = 30
SECONDS_PER_PROGRAM = 2.0
