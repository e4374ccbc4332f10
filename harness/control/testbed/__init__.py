"""The testbed of an exploration: its directory and database, its processes, and the machine's resources."""
