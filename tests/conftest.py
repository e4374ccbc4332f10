"""Settings shared by all tests."""

from __future__ import annotations

from hypothesis import settings

# The same examples in every run, and no deadline: how long real processes take is not what a test is about.
settings.register_profile("project", derandomize=True, deadline=None)
settings.load_profile("project")
