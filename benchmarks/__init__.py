"""Benchmarks: the programs that the harness decides, its speed, and other tools compared. No product code imports this."""
