"""Tests of what no schedule decides: told, put together over a run, allowed by name."""
