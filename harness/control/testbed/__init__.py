"""The testbed of an exploration: its directory and database, its processes, and what the machine has to offer."""
