"""A troupe on a cluster: batches of executions for its nodes, and those of a lost explorer run again."""

from __future__ import annotations

import math
import pickle
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness import config
from harness.cluster.connecting import Cluster, connected
from harness.cluster.node import Batch, dismiss, explore, warm
from harness.cluster.order import Order, versions
from harness.cluster.outpost import DIED, FAILED
from harness.control.sharding.explorer import DIVERGED, RAN, READY, Setting, trouble
from harness.control.sharding.explorers import mourned
from harness.control.sharding.together import Place
from harness.errors import BadInput, HarnessError
from harness.executor import Lost, fail
from harness.made_of import digest

__all__ = ["Spread", "spread"]

_BATCHES, _LARGEST, _SECONDS, _TRIES = 2, 8, 0.25, 3
"""Batches per slot that are under way; the most executions in one; seconds it is to take; how often an execution is tried."""


@dataclass(slots=True)
class _Task:
    number: int
    data: bytes
    promise: Future[bytes] = field(default_factory=Future)
    tries: int = 0


class Spread:
    """Executions spread over the nodes of a cluster: a ``Troupe``. Made by ``spread`` only.

    What is dealt depends on ``slots`` alone, not on how many nodes there are or stay. A promise ends with ``Lost`` where its
    execution can't be judged, or has ended several explorers.
    """

    ahead = 16

    def __init__(self, cluster: Cluster, order: Order, jobs: int) -> None:
        threads = sum(cluster.nodes().values())
        self.slots = jobs or threads
        # With fewer jobs than threads a second batch for each would run at once with the first.
        self._room = self.slots * (_BATCHES if self.slots >= threads else 1)
        self._cluster, self._order = cluster, order
        self._waiting: deque[_Task] = deque()
        self._away: dict[Future[Batch], list[_Task]] = {}
        self._numbers = 0
        self._each = _SECONDS
        """Seconds that an execution takes, lately."""

    def warm(self) -> None:
        """Start explorers on every node, one for each of its threads, or as many as there are slots."""
        nodes = self._cluster.nodes()
        seats = [node for number in range(max(nodes.values())) for node, threads in nodes.items() if number < threads]
        order = pickle.dumps(self._order)
        promises = [(node, self._cluster.call(warm, order, node=node)) for node in seats[: self.slots]]
        while promises:
            node, promise = promises[0]
            if not promise.done():
                self._cluster.wait(1.0)
                # Only that node can keep the promise; it does without explorers, and so do we, where it has gone.
                promises = promises if promise.done() or node in self._cluster.nodes() else promises[1:]
                continue
            promises.pop(0)
            try:
                batch: Batch = promise.result()
            except Lost as lost:
                raise BadInput(f"On the node {node} nothing can be explored: {lost}") from None
            ((kind, value),) = batch.answers
            if kind == DIED:
                raise BadInput(f"On the node {batch.node} nothing can be explored: {value!s} before it could begin.")
            if kind != READY:
                raise _there(kind, str(value), batch.node)

    def submit(self, task: bytes) -> Future[bytes]:
        """Have *task* run; it is sent with the next ``wait``, together with others."""
        self._numbers += 1
        one = _Task(self._numbers, task)
        self._waiting.append(one)
        return one.promise

    def wait(self, seconds: float | None = None) -> None:
        """Send what waits, and return when a batch has come back, or after so many *seconds*."""
        self._send()
        self._cluster.wait(seconds)
        for promise in [promise for promise in self._away if promise.done()]:
            tasks = self._away.pop(promise)
            try:
                self._take(promise.result(), tasks)
            except Lost as lost:
                for task in tasks:
                    fail(task.promise, lost)
        self._send()

    def _send(self) -> None:
        while self._waiting and (room := self._room - len(self._away)) > 0:
            size = min(math.ceil(len(self._waiting) / room), _LARGEST, max(int(_SECONDS / self._each), 1))
            tasks = [self._waiting.popleft() for _ in range(min(size, len(self._waiting)))]
            parcel = pickle.dumps((self._order, [task.data for task in tasks]), pickle.HIGHEST_PROTOCOL)
            self._away[self._cluster.call(explore, parcel)] = tasks

    def _take(self, batch: Batch, tasks: list[_Task]) -> None:
        """Keep the promises of *batch*; what it did not come to is run again."""
        left = deque(tasks)
        for kind, value in batch.answers:
            if kind in (RAN, FAILED):
                task = left.popleft()
                assert isinstance(value, bytes)
                task.promise.set_result(value)
                if kind == FAILED:
                    self._forget_after(task.number)
                    return
            elif kind == DIED:
                left[0].tries += 1
                if left[0].tries == _TRIES:
                    fail(left.popleft().promise, Lost(mourned(f"{value!s}, the last of {_TRIES}")))
            elif kind == DIVERGED:
                fail(left.popleft().promise, Lost(str(value)))
            else:
                raise _there(kind, str(value), batch.node)
        if len(batch.answers) == len(tasks):
            self._each = (3 * self._each + batch.seconds / len(tasks)) / 4
        self._waiting.extendleft(reversed(left))

    def _forget_after(self, number: int) -> None:
        """Run nothing more of what was dealt after execution *number*, which failed: it will never be counted."""
        self._waiting = deque(task for task in self._waiting if task.number < number)
        late = [promise for promise, tasks in self._away.items() if tasks[0].number > number]
        self._cluster.cancel(late)
        for promise in late:
            del self._away[promise]


def _there(kind: str, value: str, node: str) -> Exception:
    """Return what to raise for what went wrong on *node*, saying where."""
    error = trouble(kind, value, f"an explorer on {node}")
    if isinstance(error, HarnessError):
        return type(error)(
            f"On the node {node}: {value}\nThe code under test must be installed there as here, or lie at the same path from "
            "the folder in which `dask worker` was started: no code is sent."
        )
    return error


@contextmanager
def spread(place: Place, jobs: int, setting: Setting) -> Iterator[Spread]:
    """Connect to the cluster of *place* and start explorers; end them when the context is left, however that goes.

    *jobs* is how many executions are to run at once, 0 for one for each thread of the nodes there are now. Raises
    ``BadInput``, ``SetupFailed`` and ``Unsupported`` as an explorer did, and for a cluster that won't do.
    """
    scenario = setting.scenario
    order = Order(
        key=uuid.uuid4().hex,
        versions=versions(),
        hash_seed=config.hash_seed(),
        reference=place.reference,
        variant=scenario.variant,
        digest=digest(scenario),
        workers=setting.workers,
        faults=scenario.faults.most,
        seed=setting.seed,
        isolation=setting.isolation,
        patience=setting.patience,
        outcomes=setting.outcomes,
        postgres=config.postgres(),
    )
    with connected(place.address) as cluster:
        them = Spread(cluster, order, jobs)
        try:
            them.warm()
            yield them
        finally:
            cluster.tell(dismiss, order.key)
