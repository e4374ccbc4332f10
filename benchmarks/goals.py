"""What issues 2 and 3 ask for; a machine that misses these by a little is no news, a change that does is."""

SHARE_OF_FLOOR = {"sqlite3": 0.70, "aiosqlite": 0.60, "http": 0.50}
TIMES_FRONTRUN = 30
SECONDS_PER_PROGRAM = 2.0
