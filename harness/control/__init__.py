"""Outside the workers: processes, messages, the world that is reset, one execution, many executions."""
