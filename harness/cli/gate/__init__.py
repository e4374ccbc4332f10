"""``harness gate``: its rows, the processes that run them, and its reports."""
