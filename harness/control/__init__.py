"""The controller, outside the workers: processes, messages, shared state, single executions, whole runs."""
