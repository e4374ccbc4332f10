"""The example of the page on PostgreSQL finds its race."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import registry
from harness.control.run import run
from harness.verdict import Verdict
from tests.harness.postgres.programs import needs_server

PAGE = Path(__file__).parents[3] / "docs" / "postgresql.md"


@needs_server
@pytest.mark.forks
@pytest.mark.slow
def test_the_example_finds_the_lost_update(tmp_path: Path) -> None:
    """As it stands on the page."""
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    file = tmp_path / "races.py"
    file.write_text(example)
    result = run(registry.find(f"{file}:RACE"), max_executions=20, explain=False)
    assert result.verdict is Verdict.INVALID, result
