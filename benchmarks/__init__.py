"""Comparison benchmarks: verdicts and speeds, beside other tools. Nothing in the product imports this."""
