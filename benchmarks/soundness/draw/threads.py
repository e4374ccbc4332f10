"""Programs with threads in each worker: over files and SQL, with locks, events, queues, conditions and barriers."""

from __future__ import annotations

from random import Random

from benchmarks.soundness.draw.files import statements
from benchmarks.soundness.program import Block, Program, Statement

__all__ = ["draw"]

_SETUP = (
    '(d / "s").mkdir()',
    '(d / "f").write_text("abc")',
    'c.execute("CREATE TABLE t (n)")',
    'c.execute("INSERT INTO t VALUES (1)")',
)

_MADE = {
    "l = threading.Lock()": ("l.acquire()", "l.release()", "l.acquire(blocking=False)", "with l"),
    # Taken and let go: who begins after its owner has ended may have the owner's identity, and so the lock.
    "l = threading.RLock()": ("with l: l.acquire(); l.release()", "with l"),
    "e = threading.Event()": ("e.set()", "e.wait()", "e.is_set()", "e.clear()"),
    "q = queue.Queue()": ("q.put(1)", "q.get()", "q.get_nowait()", "q.qsize()", "q.empty()"),
    "q = queue.Queue(1)": ("q.put(1)", "q.put_nowait(2)", "q.get()", "q.full()"),
    "s = threading.Semaphore(1)": ("s.acquire()", "s.release()", "s.acquire(blocking=False)", "with s"),
    "b = threading.Barrier(2)": ("b.wait() in (0, 1)", "b.n_waiting"),
    "k = threading.Condition()": ("with k: k.notify()", "with k: k.wait()", "with k"),
}


def draw(random: Random, seed: int) -> Program:
    """Return a program of one worker or two, the first with two threads or three."""
    made = random.choice(list(_MADE))
    bodies = tuple(_body(random, made, str(which)) for which in range(random.choices((2, 3), (4, 1))[0]))
    workers: list[tuple[Statement, ...]] = [(made, Block("threads", "", bodies))]
    if random.random() < 0.4 and len(bodies) == 2:
        workers.append(tuple(_work(random, "7")))
    return Program(
        seed=seed,
        family="threads",
        setup=_SETUP,
        workers=tuple(workers),
        kills=int(random.random() < 0.15),
    )


def _work(random: Random, mark: str) -> list[Statement]:
    if random.random() < 0.6:
        return statements(random, mark, 1, lists=False)
    if random.random() < 0.5:
        return ['x = (d / "f").read_text()', f'(d / "f").write_text(x + "{mark}")']
    return [
        "c = sqlite3.connect(db, isolation_level=None)",
        'x = c.execute("SELECT n FROM t").fetchone()[0]',
        f'c.execute("UPDATE t SET n = ?", (x + {mark} + 1,)).rowcount',
        "c.close()",
    ]


def _body(random: Random, made: str, mark: str) -> tuple[Statement, ...]:
    found: list[Statement] = []
    for _ in range(random.randint(1, 2)):
        use = random.choice(_MADE[made])
        if use.startswith("with ") and ":" not in use:
            found.append(Block("with", use.removeprefix("with "), (tuple(_work(random, mark)),)))
        elif use.startswith("with "):
            head, _, inner = use.partition(": ")
            found.append(Block("with", head.removeprefix("with "), ((inner,),)))
        else:
            found.append(use)
        if random.random() < 0.6:
            found += _work(random, mark)
    return tuple(found)
