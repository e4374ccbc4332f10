"""Programs with locks that workers share: of ``multiprocessing``, of files, of directories made; around SQL or files."""

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

_SHARED = """
M = multiprocessing.Lock()
M = multiprocessing.RLock()
M = multiprocessing.Semaphore(1)
M = multiprocessing.Semaphore(2)
M = multiprocessing.BoundedSemaphore(1)
""".strip().splitlines()

_OF_M = """
M.acquire()
M.acquire(block=False)
M.release()
""".strip().splitlines()

_HEADS = """
open(d / "k", "w") as k
open(d / "k", "a") as k
open(d / "f", "r+") as k
""".strip().splitlines()

_OF_K = """
fcntl.flock(k, fcntl.LOCK_EX)
fcntl.flock(k, fcntl.LOCK_EX | fcntl.LOCK_NB)
fcntl.flock(k, fcntl.LOCK_SH)
fcntl.flock(k, fcntl.LOCK_UN)
fcntl.lockf(k, fcntl.LOCK_EX)
fcntl.lockf(k, fcntl.LOCK_EX | fcntl.LOCK_NB)
fcntl.lockf(k, fcntl.LOCK_EX, 1, 0)
fcntl.lockf(k, fcntl.LOCK_UN)
os.lockf(k.fileno(), os.F_LOCK, 0)
os.lockf(k.fileno(), os.F_TLOCK, 0)
""".strip().splitlines()


def draw(random: Random, seed: int) -> Program:
    """Return a program of two workers over one lock in memory, or over locks of files."""
    memory = random.random() < 0.5
    workers = tuple(_in_memory(random, str(which)) if memory else _on_files(random, str(which)) for which in range(2))
    return Program(
        seed=seed,
        family="locks",
        setup=_SETUP,
        shared=(random.choice(_SHARED),) if memory else (),
        workers=workers,
        kills=0 if memory else int(random.random() < 0.2),
    )


def _inner(random: Random, mark: str) -> list[Statement]:
    if random.random() < 0.5:
        return statements(random, mark, random.randint(1, 2), lists=False)
    return [
        "c = sqlite3.connect(db, isolation_level=None)",
        'x = c.execute("SELECT n FROM t").fetchone()[0]',
        f'c.execute("UPDATE t SET n = ?", (x + {mark} + 1,)).rowcount',
        "c.close()",
    ]


def _in_memory(random: Random, mark: str) -> tuple[Statement, ...]:
    inner = _inner(random, mark)
    if random.random() < 0.6:
        return (*statements(random, mark, random.randint(0, 1), lists=False), Block("with", "M", (tuple(inner),)))
    return (random.choice(_OF_M[:2]), *inner, *(["M.release()"] if random.random() < 0.9 else []))


def _on_files(random: Random, mark: str) -> tuple[Statement, ...]:
    body: list[Statement] = [random.choice(_OF_K), *_inner(random, mark)]
    if random.random() < 0.4:
        body.insert(random.randrange(1, len(body) + 1), random.choice(_OF_K))
    return (Block("with", random.choice(_HEADS), (tuple(body),)),)
