"""``harness replay``: again, step by step, edited, or in the debugger."""
