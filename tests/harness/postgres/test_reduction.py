"""The reduced search finds what trying every order finds, for transactions of each level."""

from __future__ import annotations

import pytest

from tests.harness.counter import reduced_and_brute
from tests.harness.postgres.programs import needs_server, raced, statements

pytestmark = [needs_server, pytest.mark.forks, pytest.mark.slow]

READ, ADD = "SELECT n FROM counter WHERE id = 1", "UPDATE counter SET n = n + 1 WHERE id = 1"
TAKE_OVER = "UPDATE counter SET n = (SELECT max(n) FROM counter) + 1 WHERE id = 1"
INSERT = "INSERT INTO log (key) VALUES ('k') ON CONFLICT DO NOTHING"


@pytest.mark.parametrize(
    ("level", "first", "second"),
    [
        ("read committed", (TAKE_OVER,), (ADD, INSERT)),
        ("repeatable read", (TAKE_OVER,), (TAKE_OVER,)),
        ("serializable", (INSERT,), ("SELECT count(*) FROM log", ADD)),
        ("read committed", ("LOCK TABLE counter", ADD), (READ,)),
    ],
    ids=["read committed", "repeatable read", "serializable", "a locked table"],
)
def test_the_reduced_search_misses_no_outcome(level: str, first: tuple[str, ...], second: tuple[str, ...]) -> None:
    """The same set of contents and answers."""
    reduced, brute = reduced_and_brute(raced(statements(*first, level=level), statements(*second, level=level)))
    assert reduced == brute
    assert len(brute) > 1
