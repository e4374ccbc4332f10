"""Checks over whole histories: what the clients were told, judged against a sequential specification."""
