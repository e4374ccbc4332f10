"""Two test runs over one project each ask for a directory in pytest's cache, which does not exist yet, and write in it.

The rule: `cache.mkdir()` does not fail, and what was written is there.
"""

from pathlib import Path

import pytest

from harness import Check, Scenario, Workload


def keep(db: Path) -> None:
    cache = pytest.Cache(db.with_name(".pytest_cache"), None, _ispytest=True)
    (cache.mkdir("kept") / "data").write_text("data")


def kept(db: Path) -> None:
    assert db.with_name(".pytest_cache").joinpath("d", "kept", "data").read_text() == "data"


CASE = Scenario(
    name="pytest-cache-directory",
    setup=lambda _: None,
    operations={"keep": keep},
    workload=lambda workers: Workload.each("keep", workers=workers),
    at_end=(Check("what was written is there", kept),),
)
