"""What follows from what executions touched outside, without any process."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import BadInput
from harness.scenario import Scenario, Workload
from harness.values.uncontrolled import Ledger, Touch

FILE = "file:/var/cache/x"


def touches(*parts: tuple[int, str], name: str = FILE) -> tuple[Touch, ...]:
    """Return touches of *name*, each a worker and how."""
    return tuple(Touch(name, "", worker, f"app.py:{worker}", mode) for worker, mode in parts)


def after(*executions: tuple[Touch, ...]) -> Ledger:
    """Return the ledger that counted *executions*."""
    ledger = Ledger()
    for each in executions:
        ledger.count(each)
    return ledger


@pytest.mark.parametrize(
    ("executions", "said"),
    [
        ([touches((0, "n"), (1, "n"))], "was changed by worker 0 at app.py:0 and by worker 1 at app.py:1"),
        ([touches((0, "w"), (1, "w"))], "was changed by worker 0 at app.py:0 and by worker 1 at app.py:1"),
        ([touches((0, "n"), (1, "r"))], "was changed by worker 0 at app.py:0 and looked at by worker 1 at app.py:1"),
        ([touches((0, "r")), touches((1, "n"))], "was changed by worker 1 at app.py:1 and looked at by worker 0"),
        ([touches((0, "r"), (0, "n"))], "what one execution left there the next one found"),
        ([touches((0, "n")), touches((0, "r"))], "what one execution left there the next one found"),
        ([touches((0, "w"), (0, "r")), touches((0, "r"))], "what one execution left there the next one found"),
    ],
)
def test_what_two_share_or_two_executions_do_is_unknown(executions: list[tuple[Touch, ...]], said: str) -> None:
    """Over the whole run, and whichever came first; it can be allowed by name or pattern."""
    ledger = after(*executions)
    (reason,) = ledger.reasons(())
    assert said in reason
    assert f'allows=("{FILE}",)' in reason
    assert ledger.reasons(("file:/var/*",)) == ()
    assert ledger.allowed(("file:/var/*",)) == (FILE,)


@pytest.mark.parametrize(
    "executions",
    [
        [touches((0, "r"), (1, "r"))],
        [touches((0, "n"), (0, "r"), (0, "d"))],
        [touches((0, "n"), (0, "r"))],
        [touches((0, "r"), (0, "n"), (0, "d"))],
    ],
)
def test_what_is_only_read_or_private_is_nothing(executions: list[tuple[Touch, ...]]) -> None:
    """A file that nobody writes; one that a worker makes anew and reads itself, or removes again."""
    assert after(*executions, *executions).reasons(()) == ()


def test_a_log_is_a_note() -> None:
    """One worker writes it, and nobody reads it."""
    ledger = after(touches((1, "w")))
    assert ledger.reasons(()) == ()
    assert list(ledger.notes(())) == [f"{FILE}, which only worker 1 writes at app.py:1 and nobody reads"]


def test_a_list_of_files_is_shared_with_who_makes_them() -> None:
    """Files of different names, made by both, are no conflict; looking which there are is."""
    made = (*touches((0, "n"), name="file:/q/a"), *touches((1, "n"), name="file:/q/b"))
    assert after(made).reasons(()) == ()
    (reason,) = after(made, touches((0, "r"), name="file:/q/*")).reasons(())
    assert "/q/*" in reason
    assert "worker 1" in reason


def test_what_is_in_a_folder_of_another_is_shared() -> None:
    """Whoever made the folder may have made the file."""
    (reason,) = after(touches((0, "n"), name="file:/d"), touches((1, "r"), name="file:/d/x")).reasons(())
    assert "/d/x outside the shared directory was changed by worker 0" in reason


def test_inside_a_declared_point_it_is_allowed() -> None:
    """And named with the point."""
    ledger = after((Touch("socket:/s", "connected", 0, "", "", "mod:call"),))
    assert ledger.reasons(()) == ()
    assert ledger.allowed(()) == ("socket:/s (in the point mod:call)",)


def test_many_are_counted() -> None:
    """The first ones are named, for names may be made up anew in each execution."""
    ledger = after(tuple(Touch(f"socket:10.0.0.{n}:1", "connected a socket", 0, "") for n in range(30)))
    reasons = ledger.reasons(())
    assert len(reasons) == 9
    assert "22 more" in reasons[-1]


@pytest.mark.parametrize("allows", ["socket:*", ("redis",), ("file:",), (1,), 5])
def test_what_can_not_be_allowed_is_refused(allows: object) -> None:
    """With the kinds that there are."""
    good = Scenario(name="s", setup=lambda _: None, operations={}, workload=lambda _: Workload(()))
    assert replace(good, allows=["socket:*"]).allows == ("socket:*",)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"'allows' that can't be.*process:git"):
        replace(good, allows=allows)  # type: ignore[arg-type]
