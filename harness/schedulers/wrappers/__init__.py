"""Wrappers: schedulers that add one feature to any other scheduler. One feature per file; wrappers nest."""
