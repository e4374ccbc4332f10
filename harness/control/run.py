"""Many executions: until a failure is found, everything is covered, or the budget is spent."""
