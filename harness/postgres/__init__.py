"""PostgreSQL beside the workers: a server of our own, the state in it, and what it says of who waits for whom."""
