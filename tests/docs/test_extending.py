"""The page on extensions does what it says, its scheduler and specification keep the contracts, and the API page is whole."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.checks.linearizability import Operation, Raised, Spec
from harness.checks.specs import KEY_VALUE, ONE_ACTIVE, REGISTER, RESERVATION
from tests.harness.contract import check_scheduler, check_spec
from tests.inner_pytest import PYTEST

DOCS = Path(__file__).parents[2] / "docs"
FILES = dict(
    re.findall(r"<!-- file: ([\w.]+) -->\n```python\n(.*?)```", (DOCS / "how-to" / "extend.md").read_text(), re.S)
)


@pytest.fixture
def typed_in(tmp_path: Path) -> Path:
    """A folder with every file of the page."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def page(typed_in: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns a module of the page, imported."""
    monkeypatch.syspath_prepend(str(typed_in))
    yield importlib.import_module
    for name in FILES:
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.mark.forks
def test_each_example_does_what_the_page_says(typed_in: Path) -> None:
    """A point, rules, a scheduler, a specification."""
    ran = subprocess.run([*PYTEST, "-q"], cwd=typed_in, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "4 passed" in ran.stdout


@pytest.mark.forks
def test_the_scheduler_of_the_page_keeps_the_contract(page: Any) -> None:
    """As those built in do, with a kill to choose too."""
    check_scheduler(page("test_scheduler").RoundRobin)


def calls(*parts: tuple[str, tuple[object, ...], object]) -> list[Operation]:
    """Return operations of a name, arguments and a result."""
    return [Operation("c", name, arguments, result) for name, arguments, result in parts]


FAILED = Raised("Refused")
OPERATIONS: dict[str, tuple[Spec, list[Operation]]] = {
    "register": (REGISTER, calls(("read", (), None), ("read", (), 1), ("write", (1,), None), ("cas", (1, 2), True))),
    "key-value": (KEY_VALUE, calls(("get", ("k",), ""), ("put", ("k", "a"), None), ("append", ("k", "b"), None))),
    "reservation": (RESERVATION, calls(("do", ("k", 1), "a"), ("do", ("k", 2), FAILED), ("do", ("k", 1), FAILED))),
    "one active": (
        ONE_ACTIVE,
        calls(
            ("issue", ("s",), "t1"),
            ("issue", ("s",), FAILED),
            ("rotate", ("s",), "t2"),
            ("revoke", ("s", "t1"), None),
            ("get_active", ("s",), "t2"),
            ("get_active", ("s",), None),
        ),
    ),
}


@pytest.mark.parametrize(("spec", "operations"), OPERATIONS.values(), ids=OPERATIONS)
def test_every_specification_keeps_the_contract(spec: Spec, operations: list[Operation]) -> None:
    """In each state that a few operations lead to, and there are several."""
    assert check_spec(spec, operations) > 1


def test_the_specification_of_the_page_keeps_the_contract(page: Any) -> None:
    """It counts without end; so many states are enough."""
    assert check_spec(page("test_spec").COUNTER, calls(("add", (), 1), ("add", (), 2)), most=10) == 10


def test_the_page_of_the_api_lists_what_there_is() -> None:
    """Each root name, of which there are fifteen at most, and names that the modules beside have."""
    text = (DOCS / "reference" / "api.md").read_text()
    assert sorted(re.findall(r"^\| `harness\.(\w+)` \|", text.partition("## Beside it")[0], re.M)) == sorted(
        harness.__all__
    )
    assert len(harness.__all__) <= 15
    rows = re.findall(r"^\| `(harness\.[\w.]+)` \| (.*) \|$", text.partition("## Beside it")[2], re.M)
    assert len(rows) >= 8
    for module, said in rows:
        public = importlib.import_module(module).__all__
        missing = [name for name in re.findall(r"`(\w+)`", said) if name not in public]
        assert not missing, f"{module} has no {missing}"
    assert (Path(harness.__file__).parent / "py.typed").is_file()
