"""Checks over whole histories: the answers to clients, judged against a sequential specification."""
