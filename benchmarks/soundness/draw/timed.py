"""Programs that sleep, and judge by time: markers that others leave, leases by a file's age, waits with a time-out."""

from __future__ import annotations

from random import Random

from benchmarks.soundness.program import Program, Statement

__all__ = ["draw"]

_BEFORE = """
(d / "f").write_text("{mark}")
os.utime(d / "f")
(d / "g").touch()
x = (d / "f").read_text()
(d / "g").exists()
""".strip().splitlines()

_AFTER = """
(d / "g").exists()
(d / "g").unlink(missing_ok=True)
(d / "f").read_text()
(d / "f").write_text("{mark}")
os.close(os.open(d / "g", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
os.rename(d / "g", d / "h")
""".strip().splitlines()


def draw(random: Random, seed: int) -> Program:
    """Return a program of two workers, each of which does something, sleeps for one second or two of its own, and goes on."""
    return Program(
        seed=seed,
        family="timed",
        setup=('(d / "f").write_text("0")',),
        workers=tuple(_worker(random, str(which)) for which in range(2)),
        sleeps=True,
    )


def _worker(random: Random, mark: str) -> tuple[Statement, ...]:
    before: list[Statement] = [line.format(mark=mark) for line in random.choices(_BEFORE, k=random.randint(0, 2))]
    after: list[Statement] = [line.format(mark=mark) for line in random.choices(_AFTER, k=random.randint(1, 2))]
    if random.random() < 0.85:
        before.append(f"time.sleep({random.choice((1, 2))} * UNIT)")
    return (*before, *after)
