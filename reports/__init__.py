"""Renders what the harness found: pure functions from its values to text. Nothing here runs, or reads but its own template."""
