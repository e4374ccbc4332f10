"""Comparison benchmarks: what is decided, how fast, and beside whom. Nothing in the product imports this."""
