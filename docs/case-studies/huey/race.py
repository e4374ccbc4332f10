"""Two consumers each ask for a task of a huey queue in SQLite that holds one. The rule: it is delivered once."""

from pathlib import Path

from harness import Check, Scenario, Workload

try:
    from huey.storage import SqliteStorage as Queue
except ImportError:  # before version 1
    from huey.backends.sqlite_backend import SqliteQueue as Queue


def opened(db: Path) -> Queue:
    return Queue("tasks", str(db))


def put(db: Path) -> None:
    queue = opened(db)
    (queue.enqueue if hasattr(queue, "enqueue") else queue.write)(b"the only task")


def take(queue: Queue) -> str | None:
    task = queue.dequeue() if hasattr(queue, "dequeue") else queue.read()
    return task and bytes(task).decode()


def delivered_once(history, _: Path) -> None:
    taken = sum(call.value is not None for call in history.outcomes())
    assert taken == 1, f"one task was put into the queue, {taken} were taken out of it"


CASE = Scenario(
    name="huey-queue",
    setup=put,
    open=opened,
    operations={"take": take},
    workload=lambda workers: Workload.each("take", workers=workers),
    postconditions=(Check("delivered once", delivered_once),),
)
