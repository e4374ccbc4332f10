"""Programs with an event loop in each worker: tasks with events, locks, queues, shields and ``aiosqlite``; cancels."""

from __future__ import annotations

from random import Random

from benchmarks.soundness.program import Block, Program, Statement

__all__ = ["draw"]

_SETUP = ('c.execute("CREATE TABLE t (n)")', 'c.execute("INSERT INTO t VALUES (1)")', '(d / "f").write_text("")')

_MADE = {
    "l = asyncio.Lock()": ("async with l:", "await l.acquire()", "l.release()", "l.locked()"),
    "e = asyncio.Event()": ("e.set()", "await e.wait()", "e.is_set()"),
    "q = asyncio.Queue()": ("q.put_nowait(1)", "await q.put(2)", "await q.get()", "q.empty()"),
    "q = asyncio.Queue(1)": ("await q.put(1)", "await q.put(2)", "await q.get()", "q.full()"),
    "s = asyncio.Semaphore(1)": ("async with s:", "await s.acquire()", "s.release()"),
    "f = asyncio.get_running_loop().create_future()": (
        "f.set_result(1)",
        "await f",
        "f.done()",
        "await asyncio.shield(f)",
    ),
}

_MEMORY = """
v.append({mark})
x = len(v); await asyncio.sleep(0); v.append(10 * x)
await asyncio.sleep(0)
list(v)
""".strip().splitlines()

_READ = 'x = (await (await a.execute("SELECT n FROM t")).fetchone())[0]'
_WRITE = 'await a.execute("UPDATE t SET n = ?", (x + {mark} + 1,))'


def draw(random: Random, seed: int) -> Program:
    """Return a program of one worker or two, the first with two tasks or three."""
    made = random.choice(list(_MADE))
    sql = random.random() < 0.5
    bodies = tuple(_body(random, made, which, sql) for which in range(random.choices((2, 3), (4, 1))[0]))
    first: tuple[Statement, ...] = (made, "v = []", Block("tasks", "", bodies), "list(v)")
    workers: list[tuple[Statement, ...]] = [_over_sql(first) if sql else first]
    if sql and random.random() < 0.3:
        workers.append(_over_sql((_READ, _WRITE.format(mark=5))))
    return Program(
        seed=seed,
        family="tasks",
        setup=_SETUP,
        workers=tuple(workers),
        kills=int(random.random() < 0.1),
        cancels=int(random.random() < 0.3),
        tasks=True,
    )


def _over_sql(body: tuple[Statement, ...]) -> tuple[Statement, ...]:
    return (Block("with", "async with aiosqlite.connect(db, isolation_level=None) as a:", (body,)),)


def _body(random: Random, made: str, mark: int, sql: bool) -> tuple[Statement, ...]:
    found: list[Statement] = []
    for _ in range(random.randint(1, 3)):
        use = random.choice(_MADE[made])
        if use.endswith(":"):
            found.append(Block("with", use, (tuple(_work(random, mark, sql)),)))
        else:
            found.append(use)
        if random.random() < 0.6:
            found += _work(random, mark, sql)
    return tuple(found)


def _work(random: Random, mark: int, sql: bool) -> list[Statement]:
    if not sql or random.random() < 0.5:
        return [random.choice(_MEMORY).format(mark=mark)]
    if random.random() < 0.3:
        return ['await a.execute("UPDATE t SET n = n + 10")']
    return [_READ, random.choice(("x", _WRITE.format(mark=mark)))]
