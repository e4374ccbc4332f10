"""What is looked for before the fork: nothing is missed that came later, and nothing is asked that may answer by itself."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.verdict import Verdict
from harness.worker.page_copies import learn, look
from tests.harness.counter import counts_to, explored, raced
from tests.harness.thread_programs import read_then_write, together

NAME = "module_that_grows"
REAL = (type(threading.Lock()), type(threading.RLock()))


class Touchy:
    """What a lazy object may be: whoever asks it for anything fails."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("asked for its class")

    @property
    def __dict__(self) -> Any:
        raise RuntimeError("asked for its attributes")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"asked for {name}")


class Holder:
    """A class and an instance that have no lock yet."""

    lock: Any = None

    def __init__(self) -> None:
        self.inner: Any = None


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module with a class and an instance, both without a lock, and something touchy."""
    made: Any = ModuleType(NAME)
    made.Holder = type("Holder", (Holder,), {"__module__": NAME, "lock": None})
    made.pause, made.holder, made.touchy = None, made.Holder(), Touchy()
    monkeypatch.setitem(sys.modules, NAME, made)
    return made


def twice_under_each(db: Path) -> None:
    """Count twice, in threads that take three locks of the module, none of them real, and wait there."""
    module: Any = sys.modules[NAME]
    assert not [lock for lock in (module.lock, module.Holder.lock, module.holder.inner) if type(lock) in REAL]

    def work() -> None:
        with module.lock, module.Holder.lock, module.holder.inner:
            module.pause(9)
            read_then_write(db)

    together(work, work)


@pytest.mark.forks
@pytest.mark.slow
def test_what_a_module_gets_after_an_exploration_is_replaced_in_the_next(module: Any) -> None:
    """A function of ``time``, and locks of the module, of its class and in its instance: no wait is real."""
    assert explored(raced(read_then_write)).complete
    module.pause, module.lock = time.sleep, threading.Lock()
    module.Holder.lock, module.holder.inner = threading.RLock(), threading.Lock()
    result = explored(raced([twice_under_each], at_end=(counts_to(2),)))
    assert (result.verdict, result.complete) == (Verdict.VALID, True), result.reasons or result.counterexample


def test_modules_that_hold_nothing_are_told_from_those_that_do(module: Any) -> None:
    """By what was learnt of functions, and by the types of locks; a class counts where it is defined."""
    learn([id(time.sleep)])
    seen = look()
    assert NAME in seen.without_originals & seen.without_locks
    assert id(time.sleep) in seen.originals
    module.pause = time.sleep
    assert NAME not in look().without_originals
    for holder, name, lock in ((module, "x", threading.Event()), (module.Holder, "lock", threading.Lock())):
        setattr(holder, name, lock)
        assert NAME not in look().without_locks
        setattr(holder, name, None)
        assert NAME in look().without_locks
