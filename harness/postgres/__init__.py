"""PostgreSQL beside the workers: a server of our own, the state in it, and its answers on which session waits for which."""
