"""Pairs of short programs: two processes over SQLite (in two journal modes) or files, two threads or two tasks of one process.

Random programs seldom meet in the one way that matters, and where both have many statements brute force does not come to its
end. These are short enough for that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations_with_replacement

from benchmarks.soundness.program import Block, Program, Statement

__all__ = ["pairs"]

_READ, _WRITE = "SELECT n FROM t WHERE k = 1", "UPDATE t SET n = n * 2 + 1 WHERE k = 1"
_OTHER = "UPDATE t SET n = n + 5 WHERE k = 2"


def _sql(*statements: str, level: str = "None", timeout: str = "WAIT") -> tuple[str, ...]:
    connect = f"c = sqlite3.connect(db, timeout={timeout}, isolation_level={level})"
    return connect, *(each if "(" in each[:12] else f"told(c.execute({each!r}).fetchall())" for each in statements)


_KEEPS = "PRAGMA locking_mode = EXCLUSIVE"
_SCRIPT = f"c.executescript({f'BEGIN; {_WRITE}; COMMIT; {_OTHER}'!r})"
_MANY = 'told(c.executemany("UPDATE t SET n = n + ? WHERE k = ?", [(10, 1), (10, 2)]).rowcount)'
_ATTACH = 'c.execute("ATTACH ? AS o", (str(d / "other.sqlite"),))'

OF_SQL: Mapping[str, tuple[str, ...]] = {
    "writes": _sql(_WRITE),
    "writes-twice": _sql(_WRITE, _OTHER),
    "reads": _sql(_READ),
    "reads-twice": _sql(_READ, _READ),
    "deferred": _sql("BEGIN", _READ, _WRITE, "COMMIT"),
    "immediate": _sql("BEGIN IMMEDIATE", _WRITE, "COMMIT"),
    "exclusive": _sql("BEGIN EXCLUSIVE", _READ, "COMMIT"),
    "exclusive-writes": _sql("BEGIN EXCLUSIVE", _WRITE, "COMMIT"),
    "snapshot": _sql("BEGIN", _READ, _READ, "COMMIT"),
    "open-cursor": _sql('r = c.execute("SELECT n FROM t")', "told(r.fetchone())", _OTHER),
    "savepoint": _sql("SAVEPOINT s", _WRITE, "RELEASE s"),
    "savepoint-undone": _sql("SAVEPOINT s", _READ, _WRITE, "ROLLBACK TO s", _OTHER, "RELEASE s"),
    "vacuum": _sql("VACUUM"),
    "to-truncate": _sql("PRAGMA journal_mode = truncate"),
    "to-wal": _sql("PRAGMA journal_mode = wal"),
    "makes-a-table": _sql("CREATE TABLE u (n)"),
    "drops-the-table": _sql("DROP TABLE t"),
    "undoes": _sql("BEGIN", _WRITE, "ROLLBACK"),
    "implicit": _sql(_WRITE, _OTHER, "c.commit()", level="''"),
    "implicit-lost": _sql(_WRITE, "c.close()", level="''"),
    "implicit-new-table": _sql("INSERT INTO u VALUES (1)", "c.commit()", level="''"),
    "returning": _sql(f'r = c.execute("{_OTHER} RETURNING n")', "told(r.fetchone())", "c.commit()", level="''"),
    "executemany": _sql(_MANY),
    "executescript": _sql(_SCRIPT),
    "second-connection": _sql(
        "BEGIN", _WRITE, "e = sqlite3.connect(db)", f"told(e.execute({_READ!r}).fetchall())", "e.close()", "COMMIT"
    ),
    "keeps-locks": _sql(_KEEPS, _WRITE, _READ),
    "keeps-locks-reads": _sql(_KEEPS, "BEGIN", _READ, _OTHER, "COMMIT"),
    "checkpoint": _sql(_WRITE, "PRAGMA wal_checkpoint(TRUNCATE)"),
    "checkpoint-only": _sql("PRAGMA wal_checkpoint(RESTART)"),
    "two-files": _sql(_ATTACH, "BEGIN", _WRITE, "UPDATE o.t SET n = n + 7", "COMMIT"),
    "other-file": _sql(_ATTACH, "UPDATE o.t SET n = n + 3", "SELECT n FROM o.t"),
    "deferred-now": _sql("BEGIN", _READ, _WRITE, "COMMIT", timeout="0"),
    "immediate-now": _sql("BEGIN IMMEDIATE", _WRITE, "COMMIT", timeout="0"),
    "user-version": _sql("PRAGMA user_version", "PRAGMA user_version = 7"),
    "analyze": _sql("ANALYZE"),
    "temporary": _sql("CREATE TEMP TABLE z AS SELECT * FROM t", _WRITE),
}

_LOCKED = (
    'f = open(d / "a", "r+")',
    "{lock}",
    "x = f.read()",
    "f.seek(0)",
    'f.write(x + "!")',
    "f.close()",
)

OF_FILES: Mapping[str, tuple[str, ...]] = {
    "reads": ('told((d / "a").read_text())',),
    "reads-two": ('told((d / "a").read_text())', 'told((d / "b").read_text())'),
    "writes": ('(d / "a").write_text("W")',),
    "appends": ('f = open(d / "a", "a")', 'f.write("+")', "f.close()"),
    "cuts": ('f = open(d / "a", "r+")', "f.truncate(1)", "f.close()"),
    "exclusive": ('f = open(d / "new", "x")', 'f.write("x")', "f.close()"),
    "removes": ('os.unlink(d / "a")',),
    "renames": ('os.rename(d / "a", d / "z")',),
    "replaces": ('(d / "tmp").write_text("tmp")', 'os.replace(d / "tmp", d / "a")'),
    "links": ('os.link(d / "a", d / "k")',),
    "by-other-name": ('(d / "h").write_text("H")',),
    "counts-names": ('told(os.stat(d / "b").st_nlink)',),
    "removes-a-name": ('os.unlink(d / "h")',),
    "by-symlink": ('told((d / "l").read_text())',),
    "changes-symlink": ('os.unlink(d / "l")', 'os.symlink("b", d / "l")'),
    "lists": ("told(sorted(os.listdir(d)))",),
    "scans": ('told(sorted(e.name for e in os.scandir(d / "sub")))',),
    "asks": ('told((d / "new").exists())', 'told((d / "a").exists())'),
    "asks-the-size": ('told(os.stat(d / "a").st_size)',),
    "asks-the-mode": ('told(os.stat(d / "a").st_mode)',),
    "changes-the-mode": ('os.chmod(d / "a", 0o600)',),
    "makes-a-directory": ('os.mkdir(d / "new")',),
    "removes-a-directory": ('os.rmdir(d / "empty")',),
    "fills-a-directory": ('(d / "empty" / "n").write_text("n")',),
    "removes-a-tree": ('shutil.rmtree(d / "sub")',),
    "moves-a-tree": ('os.rename(d / "sub", d / "moved")',),
    "reads-in-a-tree": ('told((d / "sub" / "c").read_text())',),
    "copies": ('shutil.copyfile(d / "a", d / "copy")',),
    "locks": tuple(each.replace("{lock}", "fcntl.flock(f, fcntl.LOCK_EX)") for each in _LOCKED),
    "locks-now": tuple(each.replace("{lock}", "fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)") for each in _LOCKED),
    "locks-a-record": tuple(each.replace("{lock}", "fcntl.lockf(f, fcntl.LOCK_EX)") for each in _LOCKED),
}

_FILES = (
    '(d / "a").write_text("one")',
    '(d / "b").write_text("two")',
    '(d / "sub").mkdir()',
    '(d / "sub" / "c").write_text("three")',
    '(d / "empty").mkdir()',
    'os.link(d / "b", d / "h")',
    'os.symlink("a", d / "l")',
)


_APPENDS = 'f = open(d / "f", "a"); f.write("{mark}"); f.close()'
_ADDS = ('x = (d / "f").read_text()', '(d / "f").write_text(x + "{mark}")')

OF_THREADS: Mapping[str, tuple[Statement, ...]] = {
    "appends": (_APPENDS,),
    "adds": _ADDS,
    "reads": ('(d / "f").read_text()',),
    "locks": (Block("with", "l", (_ADDS,)),),
    "takes": ("l.acquire()", _APPENDS, "l.release()"),
    "takes-and-keeps": ("l.acquire()", _APPENDS),
    "tries": ("l.acquire(blocking=False)", _APPENDS),
    "lets-go": ("l.release()",),
    "takes-twice": (Block("with", "r", (("r.acquire()", _APPENDS, "r.release()"),)),),
    "semaphore": (Block("with", "s", (_ADDS,)),),
    "tries-semaphore": ("s.acquire(blocking=False)", "s.release()"),
    "sets": ("e.set()", _APPENDS),
    "waits": ("e.wait()", _APPENDS),
    "clears": ("e.set()", "e.clear()"),
    "asks": ("e.is_set()", "l.locked()", "q.qsize()"),
    "puts": ("q.put({mark})", _APPENDS),
    "puts-twice": ("q.put({mark})", "q.put({mark}0)"),
    "puts-now": ("q.put_nowait({mark})",),
    "gets": ("q.get()", _APPENDS),
    "gets-now": ("q.get_nowait()", _APPENDS),
    "joins-the-queue": ("q.put({mark})", "q.join()", _APPENDS),
    "does-its-task": ("q.get()", "q.task_done()"),
    "waits-for-notice": (Block("with", "k", (("k.wait()", _APPENDS),)),),
    "waits-for-a-file": (Block("with", "k", (('k.wait_for(lambda: (d / "g").exists())',),)),),
    "notifies": (Block("with", "k", (('(d / "g").touch()', "k.notify_all()"),)),),
    "barrier": ("b.wait() in (0, 1)", _APPENDS),
    "starts-another": ('t = threading.Thread(target=(d / "g").touch)', "t.start()", _APPENDS, "t.join()"),
    "adds-to-a-row": (
        "c = sqlite3.connect(db, isolation_level=None)",
        'x = c.execute("SELECT n FROM t").fetchone()[0]',
        'c.execute("UPDATE t SET n = ?", (10 * x + {mark},)).rowcount',
        "c.close()",
    ),
}

_THREADS = (
    "l = threading.Lock(); r = threading.RLock(); s = threading.Semaphore(1); e = threading.Event()",
    "q = queue.Queue(1); k = threading.Condition(); b = threading.Barrier(2)",
)

_REMEMBERS = "x = len(v); await asyncio.sleep(0); v.append(10 * x + {mark})"
_ROW = 'x = (await (await a.execute("SELECT n FROM t")).fetchone())[0]'

OF_TASKS: Mapping[str, tuple[Statement, ...]] = {
    "remembers": (_REMEMBERS,),
    "yields": ("v.append({mark})", "await asyncio.sleep(0)", "await asyncio.sleep(0)", "v.append({mark})"),
    "locks": (Block("with", "async with l:", ((_REMEMBERS,),)),),
    "takes": ("await l.acquire()", _REMEMBERS, "l.release()"),
    "takes-and-keeps": ("await l.acquire()", "v.append({mark})"),
    "semaphore": (Block("with", "async with s:", ((_REMEMBERS,),)),),
    "lets-go": ("s.release()", "v.append({mark})"),
    "sets": ("e.set()", "v.append({mark})"),
    "waits": ("await e.wait()", "v.append({mark})"),
    "clears": ("e.set()", "await asyncio.sleep(0)", "e.clear()", "list(v)"),
    "puts": ("await q.put({mark})", "v.append({mark})"),
    "puts-twice": ("await q.put({mark})", "await q.put({mark}0)", "list(v)"),
    "puts-now": ("q.put_nowait({mark})",),
    "gets": ("await q.get()", "v.append({mark})"),
    "gets-now": ("q.get_nowait()",),
    "joins-the-queue": ("await q.put({mark})", "await q.join()", "list(v)"),
    "does-its-task": ("await q.get()", "q.task_done()", "v.append({mark})"),
    "waits-for-notice": (Block("with", "async with k:", (("await k.wait()", "v.append({mark})"),)),),
    "notifies": (Block("with", "async with k:", (("k.notify()", "v.append({mark})"),)),),
    "resolves": ("f.set_result({mark})", "list(v)"),
    "awaits": ("await f", "v.append({mark})"),
    "shields": ("await asyncio.shield(f)", "v.append({mark})"),
    "gives-a-future-up": ("f.cancel()", "list(v)"),
    "waits-no-time": ("await asyncio.wait_for(e.wait(), 0)", "v.append({mark})"),
    "waits-for-any": (
        "x = await asyncio.wait([asyncio.ensure_future(e.wait())], return_when=asyncio.FIRST_COMPLETED)",
        "v.append({mark})",
    ),
    "gathers": ("await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2))", "v.append({mark})"),
    "group": (
        Block("with", "async with asyncio.TaskGroup() as g:", (("g.create_task(e.wait())", "v.append({mark})"),)),
        "v.append({mark})",
    ),
    "later": ("x = asyncio.get_running_loop().call_soon(v.append, {mark})", "await asyncio.sleep(0)", "list(v)"),
    "in-a-thread": ('await asyncio.to_thread((d / "f").write_text, "{mark}")', "v.append({mark})"),
    "reads-a-file": ('(d / "f").read_text()', "await asyncio.sleep(0)", '(d / "f").read_text()'),
    "reads-a-row": (_ROW, "x", "v.append({mark})"),
    "writes-a-row": ('await a.execute("UPDATE t SET n = n * 2 + {mark}")', "v.append({mark})"),
    "adds-to-a-row": (_ROW, 'await a.execute("UPDATE t SET n = ?", (10 * x + {mark},))'),
}

_TASKS = (
    "l = asyncio.Lock(); s = asyncio.Semaphore(1); e = asyncio.Event(); q = asyncio.Queue(1)",
    "k = asyncio.Condition(); f = asyncio.get_running_loop().create_future(); v = []",
)

_IN_ONE_PROCESS = (
    '(d / "f").write_text("0")',
    'c.execute("CREATE TABLE t (n)")',
    'c.execute("INSERT INTO t VALUES (1)")',
)


def _marked(body: tuple[Statement, ...], mark: str) -> tuple[Statement, ...]:
    """Return *body* with *mark* in the place of its own."""
    return tuple(
        one.replace("{mark}", mark)
        if isinstance(one, str)
        else Block(one.kind, one.head, tuple(_marked(inner, mark) for inner in one.bodies))
        for one in body
    )


def _threads(first: tuple[Statement, ...], second: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """Return a worker that runs *first* and *second* in a thread each."""
    return (*_THREADS, Block("threads", "", (_marked(first, "1"), _marked(second, "2"))))


def _tasks(first: tuple[Statement, ...], second: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """Return a worker that runs *first* and *second* in a task each."""
    body = (*_TASKS, Block("tasks", "", (_marked(first, "1"), _marked(second, "2"))), "list(v)")
    return (Block("with", "async with aiosqlite.connect(db, isolation_level=None) as a:", (body,)),)


def _tables(mode: str) -> tuple[str, ...]:
    made: list[str] = []
    for path in ("db", 'd / "other.sqlite"'):
        made += [
            f"c = sqlite3.connect({path}, isolation_level=None)",
            f'c.execute("PRAGMA journal_mode = {mode}")',
            'c.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, n INTEGER)")',
            'c.execute("INSERT INTO t VALUES (1, 1), (2, 2)")',
            "c.close()",
        ]
    return tuple(made)


def pairs(only: Sequence[str] = ()) -> Iterator[tuple[str, Program]]:
    """Yield every pair by name, of the families *only* (``sql``, ``files``, ``threads``, ``tasks``), of all for none.

    Pairs of tasks come twice: as they are, and where their call may be cancelled.
    """
    kinds = [("sql", mode, _tables(mode), OF_SQL) for mode in ("delete", "wal")]
    kinds.append(("files", "", _FILES, OF_FILES))
    for family, mode, setup, programs in kinds:
        if only and family not in only:
            continue
        for first, second in combinations_with_replacement(programs, 2):
            name = "+".join(part for part in (mode, first, second) if part)
            workers = (programs[first], programs[second])
            yield name, Program(seed=0, family=family, workers=workers, setup=setup)
    if not only or "threads" in only:
        for name, one, other in _every_two("threads", OF_THREADS):
            yield name, Program(seed=0, family="threads", workers=(_threads(one, other),), setup=_IN_ONE_PROCESS)
    if not only or "tasks" in only:
        for name, one, other in _every_two("tasks", OF_TASKS):
            for cancels in (0, 1):
                yield (
                    f"{name}+cancelled" if cancels else name,
                    Program(
                        seed=0,
                        family="tasks",
                        workers=(_tasks(one, other),),
                        setup=_IN_ONE_PROCESS,
                        cancels=cancels,
                        tasks=True,
                    ),
                )


def _every_two(
    family: str, programs: Mapping[str, tuple[Statement, ...]]
) -> Iterator[tuple[str, tuple[Statement, ...], tuple[Statement, ...]]]:
    """Yield every two of *programs*, with a name for the pair."""
    for first, second in combinations_with_replacement(programs, 2):
        yield f"{family}+{first}+{second}", programs[first], programs[second]
