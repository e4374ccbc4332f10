"""Runs in a dask worker: keeps explorers from one batch of a run to the next, and ends those no longer needed."""

from __future__ import annotations

import os
import pickle
import threading
import time
import zlib
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from harness.cluster.order import Order, Versions, versions
from harness.cluster.outpost import Answer, Outpost

__all__ = ["Batch", "dismiss", "explore", "greet", "warm"]

_IDLE, _LOOKS = 60.0, 5.0
"""Seconds without a batch after which an explorer is ended, because its run may be gone; and seconds between two looks."""

_guard = threading.Lock()
_idle: dict[str, list[Outpost]] = {}
"""The idle explorers of each run, by its key. A process holds one dask worker, whose threads share the explorers."""
_dismissed: deque[str] = deque(maxlen=256)
"""The keys of the runs that ended last. An explorer that was still at work for one of these is ended when it comes back."""


class Batch(NamedTuple):
    """The result of a batch, the node that ran it, and the seconds that it took."""

    answer: Answer
    node: str
    seconds: float


def greet() -> Versions:
    """Return this node's versions. The call fails if the node can't import the harness."""
    return versions()


def warm(parcel: bytes) -> Batch:
    """Start one more explorer for the run that is described by the pickled ``Order`` in *parcel*; return its first answer."""
    began = time.perf_counter()
    order: Order = pickle.loads(parcel)
    outpost = Outpost(order)
    answer = outpost.ready()
    _give_back(order.key, outpost)
    return Batch(answer, _name(), time.perf_counter() - began)


def explore(parcel: bytes) -> Batch:
    """Run the tasks in *parcel* in an idle explorer of their run, or in a new one; return the result.

    *parcel* has the run's ``Order`` and the tasks, pickled together and compressed. They come in one piece because dask
    looks into every list that it is given, and takes a tuple for a promise.
    """
    order: Order
    tasks: Sequence[bytes]
    order, tasks = pickle.loads(zlib.decompress(parcel))
    with _guard:
        kept = _idle.get(order.key)
        outpost = kept.pop() if kept else None
    if outpost is None:
        outpost = Outpost(order)
        answer = outpost.ready()
        if outpost.lost:
            _give_back(order.key, outpost)
            return Batch(answer, _name(), 0.0)
    began = time.perf_counter()
    answer = outpost.run(tasks)
    seconds = time.perf_counter() - began
    _give_back(order.key, outpost)
    return Batch(answer, _name(), seconds)


def dismiss(key: str) -> None:
    """End the explorers of the run *key*, in a thread of their own.

    Returns before they have ended, because it may be called where waiting is not allowed.
    """
    with _guard:
        _dismissed.append(key)
        them = _idle.pop(key, [])
    threading.Thread(target=_close, args=(them,)).start()


def _close(them: Sequence[Outpost]) -> None:
    for outpost in them:
        outpost.close()


def _give_back(key: str, outpost: Outpost) -> None:
    with _guard:
        keep = not outpost.lost and key not in _dismissed
        if keep:
            if not _idle:
                threading.Thread(target=_look_after, daemon=True).start()
            _idle.setdefault(key, []).append(outpost)
    if not keep:
        outpost.close()


def _look_after() -> None:
    """End explorers that have been idle for too long, until no idle explorer is left."""
    while True:
        time.sleep(_LOOKS)
        with _guard:
            before = time.monotonic() - _IDLE
            old = [outpost for them in _idle.values() for outpost in them if outpost.idle_since < before]
            for key, them in list(_idle.items()):
                _idle[key] = [outpost for outpost in them if outpost not in old]
                if not _idle[key]:
                    del _idle[key]
            done = not _idle
        _close(old)
        if done:
            return


def _name() -> str:
    return f"{os.uname().nodename} (process {os.getpid()})"
