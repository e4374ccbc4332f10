"""Settings shared by all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests import postgres

# The same examples in every run, and no deadline: how long real processes take is not what a test is about.
settings.register_profile("project", derandomize=True, deadline=None)
settings.load_profile("project")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A PostgreSQL server of this process's own; without one, the test is skipped."""
    try:
        with postgres.running() as server:
            yield server
    except postgres.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def postgres_url(postgres_server: postgres.Server) -> Iterator[str]:
    """A new, empty database, dropped at the end."""
    url = postgres_server.create()
    yield url
    postgres_server.drop(url)
