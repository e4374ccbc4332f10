"""Schedule points in files of the shared directory: opening, reading, writing, renaming, locking."""
