"""Schedulers around schedulers: what is wished for whatever the strategy. One wish per file; they nest."""
