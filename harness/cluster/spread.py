"""An executor on a cluster: sends batches of executions to its nodes, and runs those of a lost explorer again."""

from __future__ import annotations

import math
import pickle
import uuid
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness.cluster.connecting import Cluster, connected
from harness.cluster.node import Batch, dismiss, explore, warm
from harness.cluster.order import Order, versions
from harness.cluster.outpost import COMPRESSION, DIED, FAILED
from harness.control.sharding.executor import Departed, Lost, fail
from harness.control.sharding.explorer import DIVERGED, RAN, READY, Setting, trouble
from harness.control.sharding.explorers import mourned
from harness.control.sharding.parcels import Ran
from harness.control.sharding.together import Place
from harness.errors import BadInput, HarnessError
from harness.project import config
from harness.saved.source_digest import digest
from harness.scenario import Workload

__all__ = ["Spread", "spread"]

_BATCHES, _LARGEST, _SECONDS, _TRIES = 2, 24, 0.5, 3
"""Batches under way per slot; the most executions in a batch; seconds that a batch should take; tries of an execution.

Two batches hold fewer executions than ``Spread.far`` allows, so there is more to send even if the batches come back in another
order than they were sent in.
"""


@dataclass(slots=True)
class _Task:
    number: int
    data: bytes
    promise: Future[Ran] = field(default_factory=Future)
    tries: int = 0


class Spread:
    """Spreads executions over the nodes of a cluster, as an ``ExplorerExecutor``. Only ``spread`` makes one.

    The executions that are dealt depend on ``slots`` alone, not on the number of nodes that there are or that stay. A promise
    ends with ``Lost`` if its execution can't be judged, or has ended three explorers.
    """

    ahead, far = 4, 64

    def __init__(self, cluster: Cluster, order: Order, jobs: int, *, workload: Workload) -> None:
        threads = sum(cluster.nodes().values())
        self.slots = jobs or threads
        # With fewer jobs than threads, a second batch per slot would run at the same time as the first.
        self._room = self.slots * (_BATCHES if self.slots >= threads else 1)
        self._cluster, self._order, self._workload = cluster, order, workload
        self._waiting: deque[_Task] = deque()
        self._away: dict[Future[Batch], list[_Task]] = {}
        self._numbers = 0
        self._each = 0.0
        """The seconds that an execution took lately, a moving average; 0 before the first batch has come back."""

    def warm(self) -> None:
        """Start explorers on every node, one for each of its threads, but at most as many as there are slots in all.

        Raises ``BadInput`` if an explorer can't begin, and the error that it reported.
        """
        nodes = self._cluster.nodes()
        seats = [node for number in range(max(nodes.values())) for node, threads in nodes.items() if number < threads]
        order = pickle.dumps(self._order)
        promises = [(node, self._cluster.call(warm, order, node=node)) for node in seats[: self.slots]]
        while promises:
            node, promise = promises[0]
            if not promise.done():
                self._cluster.wait(1.0)
                # Only that node can keep the promise: if the node has gone, its explorers are not waited for.
                promises = promises if promise.done() or node in self._cluster.nodes() else promises[1:]
                continue
            promises.pop(0)
            try:
                batch: Batch = promise.result()
            except Lost as lost:
                raise BadInput(f"On the node {node} nothing can be explored: {lost}") from None
            _, _, kind, value = batch.answer
            if kind == DIED:
                raise BadInput(f"On the node {batch.node} nothing can be explored: {value} before it could begin.")
            if kind != READY:
                raise _there(kind, value, batch.node)

    def submit(self, task: bytes) -> Future[Ran]:
        """Queue *task*, a pickled execution to run, and return its promise; the next ``wait`` sends it, with others."""
        self._numbers += 1
        one = _Task(self._numbers, task)
        self._waiting.append(one)
        return one.promise

    def wait(self, seconds: float | None = None) -> None:
        """Send waiting tasks; wait until a batch comes back, at most for *seconds*; keep the promises of its tasks."""
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
            most = max(int(_SECONDS / self._each), 1) if self._each else 1
            size = min(math.ceil(len(self._waiting) / room), _LARGEST, most)
            tasks = [self._waiting.popleft() for _ in range(min(size, len(self._waiting)))]
            parcel = zlib.compress(pickle.dumps((self._order, [task.data for task in tasks])), COMPRESSION)
            self._away[self._cluster.call(explore, parcel)] = tasks

    def _take(self, batch: Batch, tasks: list[_Task]) -> None:
        """Keep the promises of the *tasks* that *batch* ran; queue the others again, at the front.

        Raises the error that ended the explorer, unless the explorer died or an execution did not repeat itself.
        """
        done, _, kind, value = batch.answer
        for task, ran in zip(tasks, batch.answer.ran(self._workload), strict=False):
            task.promise.set_result(ran)
        left = deque(tasks[done:])
        if kind == FAILED:
            self._forget_after(tasks[done - 1].number)
            return
        if kind == RAN:
            lately = batch.seconds / done
            self._each = (3 * self._each + lately) / 4 if self._each else lately
        elif kind == DIED:
            left[0].tries += 1
            if left[0].tries == _TRIES:
                fail(left.popleft().promise, Lost(mourned(f"{value}, the last of {_TRIES}")))
        elif kind == DIVERGED:
            fail(left.popleft().promise, Departed(value))
        else:
            raise _there(kind, value, batch.node)
        self._waiting.extendleft(reversed(left))

    def _forget_after(self, number: int) -> None:
        """Drop the executions dealt after number *number*, which failed: the search does not count them."""
        self._waiting = deque(task for task in self._waiting if task.number < number)
        late = [promise for promise, tasks in self._away.items() if tasks[0].number > number]
        self._cluster.cancel(late)
        for promise in late:
            del self._away[promise]


def _there(kind: str, value: str, node: str) -> Exception:
    """Return the exception to raise for an error on *node*; the text of a user's error names the node."""
    error = trouble(kind, value, f"an explorer on {node}")
    if isinstance(error, HarnessError):
        return type(error)(
            f"On the node {node}: {value}\nThe code under test must be installed there as here, or lie at the same path from "
            "the folder in which `dask worker` was started: no code is sent."
        )
    return error


@contextmanager
def spread(place: Place, jobs: int, setting: Setting) -> Iterator[Spread]:
    """Connect to the cluster of *place* and start explorers; end them when the context is left, even by an exception.

    *jobs* is the number of executions to run at once, 0 for the number of threads of all nodes present. Raises ``BadInput``,
    ``SetupFailed`` and ``Unsupported`` as an explorer did, and ``BadInput`` for a cluster that can't be used.
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
        delays=scenario.delays,
        seed=setting.seed,
        isolation=setting.isolation or scenario.isolation,
        patience=setting.patience or scenario.patience,
        outcomes=setting.outcomes,
        postgres=scenario.server or config.postgres(),
    )
    with connected(place.address) as cluster:
        them = Spread(cluster, order, jobs, workload=scenario.workload(setting.workers))
        try:
            them.warm()
            yield them
        finally:
            cluster.tell(dismiss, order.key)
