"""Schedule points in SQLite, by ``sqlite3`` and ``aiosqlite``: statements, locks, files and errors."""
