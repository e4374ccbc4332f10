"""``harness gate``: its rows, the processes that run them, and what is published of them."""
