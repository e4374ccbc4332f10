"""The one connection to a ``dask.distributed`` cluster: connects, hands out calls, keeps promises when nodes are lost."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from harness.cluster.node import greet
from harness.cluster.order import differing, versions
from harness.control.sharding.executor import Lost, fail
from harness.errors import BadInput

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Cluster", "connected"]

_CONNECTING, _FETCHING, _LOOKS, _ALONE = 10.0, 30.0, 5.0, 60.0
"""Seconds: to connect; to fetch a result that a node holds; of silence until the nodes are counted; without nodes until the
cluster is given up."""

_MISSING = (
    "A cluster needs the package `distributed`, which can't be imported here ({}). Install it, here and on every node: "
    "pip install 'race-harness[cluster]'"
)


class Cluster:
    """A connected cluster. Only ``connected`` makes one."""

    def __init__(self, client: Client, address: str) -> None:
        self._client, self._address = client, address
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._promises: dict[Any, tuple[Any, Future[Any]]] = {}
        self._looked = self._peopled = time.monotonic()

    def nodes(self) -> dict[str, int]:
        """Return the number of threads of each node, by the node's address."""
        return dict(self._client.nthreads())

    def call(self, function: Callable[..., Any], *arguments: Any, node: str | None = None) -> Future[Any]:
        """Have a node call *function*, and return the promise of its value; *node* is the node's address, None for any node.

        If the node is lost, another node calls the function again, so a second call must do no harm. The promise ends with
        ``Lost`` if no node can, and with the exception that *function* raised.
        """
        where = {"workers": [node], "allow_other_workers": False} if node is not None else {}
        promise: Future[Any] = Future()
        task = self._client.submit(function, *arguments, pure=False, **where)
        self._promises[task.key] = task, promise
        task.add_done_callback(self._done.put)
        return promise

    def cancel(self, promises: list[Future[Any]]) -> None:
        """Cancel the calls behind *promises* that have not begun."""
        unwanted = [task for task, promise in self._promises.values() if promise in promises]
        if unwanted:
            self._client.cancel(unwanted)

    def wait(self, seconds: float | None = None) -> None:
        """Wait until a promise is kept or broken, at most for *seconds* (None: 5)."""
        try:
            task = self._done.get(timeout=_LOOKS if seconds is None else seconds)
        except queue.Empty:
            if time.monotonic() - self._looked >= _LOOKS:
                self._look()
            return
        self._take(task)
        while not self._done.empty():
            self._take(self._done.get())

    def tell(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Have every present node call *function*, which must return at once; a node that can't is skipped."""
        with suppress(Exception):  # No node needs the call so much that its failure matters.
            self._client.run(function, *arguments, on_error="ignore")

    def _take(self, task: Any) -> None:
        """Keep or break the promise of *task*, which has ended."""
        self._looked = self._peopled = time.monotonic()
        if task.key not in self._promises:
            return
        promise = self._promises[task.key][1]
        if task.status == "finished":
            try:
                value = task.result(timeout=_FETCHING)
            except TimeoutError:
                task.add_done_callback(self._done.put)  # The node was lost with the result; another makes it again.
                return
            except Exception as error:
                fail(promise, Lost(f"What a node of {self._address} held was lost: {error}"))
            else:
                promise.set_result(value)
        elif task.status == "error":
            fail(promise, self._broken(task))
        else:
            fail(promise, Lost(_gone(self._address)))
        del self._promises[task.key]

    def _broken(self, task: Any) -> Exception:
        error: Exception = task.exception(timeout=_FETCHING)
        if type(error).__name__ == "KilledWorker":
            return Lost(
                f"The search was not finished: {error} Usual causes: the nodes ran out of memory, or what is raced kills the "
                "process that started it."
            )
        return _unimportable(error, "a node") if isinstance(error, ImportError) else error

    def _look(self) -> None:
        """Check that the cluster still has nodes; break all promises if it has had none for too long."""
        self._looked = now = time.monotonic()
        try:
            anybody = bool(self._client.nthreads())
        except Exception:  # The scheduler is gone: the error may be a time-out, a closed stream or a closed client.
            anybody = False
        if anybody:
            self._peopled = now
        elif now - self._peopled > _ALONE:
            for _, promise in self._promises.values():
                fail(promise, Lost(_gone(self._address)))
            self._promises.clear()


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """Connect to the scheduler at *address* and check its nodes; disconnect when the context is left.

    Raises ``BadInput`` if there is no scheduler, if it has no nodes, or if a node lacks the harness or has other versions.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise BadInput(_MISSING.format(error)) from None
    try:
        client = Client(address, timeout=_CONNECTING, set_as_default=False)
    except Exception as error:  # Each kind of address has its own errors: OSError, ValueError, ssl.SSLError, ...
        raise BadInput(
            f"There is no cluster to connect to at {address!r}: {type(error).__name__}: {error}\n"
            "It should be the address that `dask scheduler` prints, such as tcp://192.0.2.1:8786. Does it run, and can this "
            "machine reach it?"
        ) from None
    try:
        _inspect(client, address)
        yield Cluster(client, address)
    finally:
        client.close()


def _inspect(client: Client, address: str) -> None:
    if not client.nthreads():
        raise BadInput(
            f"The cluster at {address!r} has no nodes. Start some, where the code under test can be imported: "
            f"dask worker {address}"
        )
    try:
        client.run_on_scheduler(greet)  # The scheduler unpickles every task, so it needs the harness too.
    except Exception as error:
        raise _unimportable(error, f"the scheduler at {address}") from None
    for node, said in client.run(greet, on_error="return").items():
        # If a node can't even unpickle the call, the error that comes back has the cause in its text only.
        if isinstance(said, ImportError) or (isinstance(said, Exception) and "ModuleNotFoundError" in str(said)):
            raise _unimportable(said, f"the node {node}")
        if isinstance(said, Exception):
            raise BadInput(f"The node {node} can't be asked what it has: {type(said).__name__}: {said}")
        if differs := differing(versions(), said):
            raise BadInput(
                f"The node {node} is not like this machine: {differs}. An execution might not be the same there. "
                "Install the same on all."
            )


def _unimportable(error: Exception, where: str) -> BadInput:
    return BadInput(
        f"On {where} the harness can't be imported: {error}. The scheduler needs the harness, nodes also the code under test, "
        "installed as here: no code is sent. Start `dask scheduler` and `dask worker` in such an environment."
    )


def _gone(address: str) -> str:
    return (
        f"The search was not finished: the cluster at {address!r} was lost, its scheduler or the last of its nodes, and "
        "their current executions were not judged."
    )
