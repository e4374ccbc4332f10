"""Known gaps over PostgreSQL, each with its reason: what must be mended next."""

from __future__ import annotations

import pytest

_OWN_TIMER = "a known gap: a process is held up until its own connection times out, and correct asyncpg code is accused"
_GAPS = {
    "test_with_the_row_locked_it_is_ruled_out[with_asyncpg]": _OWN_TIMER,
    "test_a_time_out_passes_when_virtual_time_passes_it[asyncpg]": _OWN_TIMER,
    "test_a_time_out_passes_when_virtual_time_passes_it[asyncpg's settings]": _OWN_TIMER,
    "test_a_lost_update_is_found_and_repeats_itself[with_asyncpg]": "a known gap: the wait for a row is not marked",
    "test_a_lock_time_out_passes_in_virtual_time": "two readings of a clock differ by 1 us, which the test does not expect",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect the tests of known gaps to fail; one that passes is no failure, so that mending needs no edit here."""
    for item in items:
        if item.name in _GAPS:
            item.add_marker(pytest.mark.xfail(strict=False, reason=_GAPS[item.name]))
