"""Executions that repeat a known one: to confirm, shrink, explain, replay or edit it."""
