"""The linearizability checker: recorded histories, all small ones against trying every order, budgets and turns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checks.linearizability import UNKNOWN, Operation, Raised, Spec, check, from_history
from harness.checks.recorded import read_jepsen_log, read_kv
from harness.checks.specs import KEY_VALUE, ONE_ACTIVE, REGISTER, RESERVATION
from harness.errors import BadInput
from harness.values.history import Event, History
from harness.verdict import Verdict

RECORDED = Path(__file__).resolve().parents[4] / "shared" / "histories"


def op(text: str, result: object, invoked: int, returned: int | None, client: str = "c") -> Operation:
    """Return the operation that *text* names: a name and its arguments."""
    name, *arguments = text.split()
    return Operation(client, name, tuple(arguments), result, invoked, returned)


@pytest.mark.skipif(not RECORDED.is_dir(), reason="this clone has no folder of recorded histories beside it")
def test_every_recorded_history_gets_its_verdict() -> None:
    """All of them, with the default budget."""
    expected = json.loads((RECORDED / "expected.json").read_text())
    found = {}
    for name in expected:
        path = RECORDED / name
        jepsen = name.startswith("jepsen")
        operations = read_jepsen_log(path) if jepsen else read_kv(path)
        found[name] = check(operations, REGISTER if jepsen else KEY_VALUE).verdict
    assert found == {name: Verdict.VALID if right else Verdict.INVALID for name, right in expected.items()}


HISTORIES: dict[str, tuple[Spec, list[Operation], bool]] = {
    "a stale read": (REGISTER, [op("write 1", True, 0, 1), op("write 2", True, 2, 3), op("read", "1", 4, 5)], False),
    "a read that overlaps": (
        REGISTER,
        [op("write 1", True, 0, 1), op("write 2", True, 2, 5), op("read", "1", 3, 4)],
        True,
    ),
    "reads that go back": (
        REGISTER,
        [op("write 1", True, 0, 9), op("read", "1", 1, 2), op("read", None, 3, 4)],
        False,
    ),
    "a write nobody heard of": (REGISTER, [op("write 1", UNKNOWN, 0, None), op("read", "1", 5, 6)], True),
    "a write before it was asked": (REGISTER, [op("read", "1", 0, 1), op("write 1", UNKNOWN, 2, None)], False),
    "a lost update": (
        KEY_VALUE,
        [op("append k a", True, 0, 3), op("append k b", True, 1, 4), op("get k", "a", 5, 6)],
        False,
    ),
    "two tokens": (ONE_ACTIVE, [op("issue a", "t1", 0, 3), op("issue a", "t2", 1, 4)], False),
    "a token and a refusal": (ONE_ACTIVE, [op("issue a", "t1", 0, 3), op("issue a", Raised("Exists"), 1, 4)], True),
    "a dead token": (
        ONE_ACTIVE,
        [op("issue a", "t1", 0, 1), op("rotate a", "t2", 2, 3), op("get_active a", "t1", 4, 5)],
        False,
    ),
    "a revoked token's successor": (
        ONE_ACTIVE,
        [op("issue a", "t1", 0, 1), op("revoke a t1", None, 2, 3), op("issue a", "t2", 4, 5)],
        True,
    ),
    "another answer": (RESERVATION, [op("k alpha", "1", 0, 1), op("k alpha", "2", 2, 3)], True),
}


@pytest.mark.parametrize("name", [name for name in HISTORIES if name != "another answer"])
def test_small_histories_get_their_verdicts(name: str) -> None:
    """Each says something that a checker may get wrong."""
    spec, operations, right = HISTORIES[name]
    assert check(operations, spec).verdict is (Verdict.VALID if right else Verdict.INVALID)


def reserve(key: str, request: str, result: object, invoked: int, returned: int | None) -> Operation:
    """Return a keyed request."""
    return Operation("c", "add", (key, request), result, invoked, returned)


def test_a_reservation_gives_one_answer() -> None:
    """A second answer, or success for another request, refutes; errors and other keys do not."""
    first = reserve("k", "alpha", "1", 0, 1)
    assert check([first, reserve("k", "alpha", "1", 2, 3)], RESERVATION).valid
    assert check([first, reserve("k", "beta", Raised("KeyReused"), 2, 3)], RESERVATION).valid
    assert check([first, reserve("other", "beta", "2", 2, 3)], RESERVATION).valid
    assert not check([first, reserve("k", "alpha", "2", 2, 3)], RESERVATION).valid
    assert not check([first, reserve("k", "beta", "2", 2, 3)], RESERVATION).valid
    lost = reserve("k", "alpha", UNKNOWN, 0, None)
    assert check([lost, reserve("k", "alpha", "1", 2, 3), reserve("k", "alpha", "1", 4, 5)], RESERVATION).valid


def naive(operations: Sequence[Operation], spec: Spec) -> bool:
    """Return whether some order of all that returned and any of the others fits, by trying them all."""
    ended = [each for each in operations if not each.open]
    others = [each for each in operations if each.open]
    for chosen in range(2 ** len(others)):
        taken = [*ended, *(each for number, each in enumerate(others) if chosen >> number & 1)]
        for order in permutations(taken):
            late = any(
                after.returned is not None and after.returned < before.invoked
                for position, before in enumerate(order)
                for after in order[position + 1 :]
            )
            states = {spec.initial}
            for each in () if late else order:
                states = {new for state in states for new in spec.step(state, each.name, each.arguments, each.result)}
            if states and not late:
                return True
    return False


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    """Up to five operations on a register, of which some never return."""
    found = []
    for number in range(draw(st.integers(1, 5))):
        name = draw(st.sampled_from(["read", "write 0", "write 1", "cas 0 1"]))
        invoked = draw(st.integers(0, 8))
        returned = draw(st.one_of(st.none(), st.integers(invoked + 1, 12)))
        answers = [None, "0", "1"] if name == "read" else [True, False] if name.startswith("cas") else [True]
        result = UNKNOWN if returned is None else draw(st.sampled_from(answers))
        found.append(op(name, result, 2 * invoked, None if returned is None else 2 * returned + 1, f"c{number}"))
    return found


@settings(max_examples=400, deadline=None)
@given(histories())
def test_the_search_agrees_with_trying_every_order(operations: list[Operation]) -> None:
    """On every small history, with and without operations that never returned."""
    assert check(operations, REGISTER).valid == naive(operations, REGISTER)


def hard(key: str, size: int = 12) -> list[Operation]:
    """Return concurrent appends whose every order must be tried, for no order gives the value that is read."""
    made = [op(f"append {key} {number}.", True, 0, 100, f"c{number}") for number in range(size)]
    return [*made, op(f"get {key}", "never", 101, 102)]


def plainly() -> Spec:
    """Return the key-value store without what makes its search short."""
    from dataclasses import replace

    return replace(KEY_VALUE, outlook=None)


def test_a_budget_that_ends_is_unknown() -> None:
    """Not a pass, and said so."""
    result = check(hard("k"), plainly(), budget=500)
    assert (result.verdict, result.steps) == (Verdict.UNKNOWN, 500)
    assert "Unknown" in result.explain()


def test_partitions_take_turns() -> None:
    """A small wrong partition is found though a hard one comes first."""
    wrong = [op("put easy 1", True, 0, 1), op("get easy", "2", 2, 3)]
    result = check([*hard("k"), *wrong], plainly(), budget=2_000)
    assert result.verdict is Verdict.INVALID
    assert result.refuted is not None
    assert result.refuted.key == "easy"
    assert "cannot be placed" in result.explain()


def test_a_history_of_the_harness_is_read() -> None:
    """Values, errors and calls that nobody heard of."""
    events = (
        Event("invoke", "c0", 0, 0, "issue", ("a",), 0, 0.0),
        Event("invoke", "c1", 0, 1, "issue", ("a",), 1, 0.0),
        Event("ok", "c0", 0, 0, "issue", ("a",), 2, 0.0, "t1"),
        Event("fail", "c1", 0, 1, "issue", ("a",), 3, 0.0, "there is one", "ActiveTokenExists"),
        Event("invoke", "c0", 1, 0, "rotate", ("a",), 4, 0.0),
        Event("info", "c0", 1, 0, "rotate", ("a",), 5, 0.0),
    )
    found = from_history(History(events))
    assert [each.result for each in found] == ["t1", Raised("ActiveTokenExists", "there is one"), UNKNOWN]
    assert check(found, ONE_ACTIVE).valid


@pytest.mark.parametrize("text", ["nonsense", '{:process 0, :type :ok, :f :get, :key "k", :value nil}'])
def test_rubbish_is_refused(tmp_path: Path, text: str) -> None:
    """With the line and the file."""
    path = tmp_path / "history"
    path.write_text(text)
    for read in (read_kv, read_jepsen_log):
        with pytest.raises(BadInput, match="Line 1"):
            read(path)
    with pytest.raises(BadInput, match="can't be read"):
        read_kv(tmp_path / "none")
