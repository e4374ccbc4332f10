"""PostgreSQL beside the workers: a server of our own, and the state in it: read, put back, and under a virtual clock."""
