"""Explores with several processes: explorers run executions, this process deals them and learns from the results."""
