"""One exploration by several processes at once: explorers run executions, this process deals them and learns from them."""
