"""Programs over files: read, written, renamed, linked, listed, locked, taken with O_EXCL."""

from __future__ import annotations

from random import Random

from benchmarks.soundness.program import Block, Program, Statement

__all__ = ["draw", "statements"]

_NAMES = ("f", "f", "f", "g", "s/h")


def draw(random: Random, seed: int) -> Program:
    """Return a program of two workers or three over a few files."""
    number = random.choices((2, 3), (5, 1))[0]
    setup = ['(d / "s").mkdir()', '(d / "f").write_text("abc")']
    if random.random() < 0.5:
        setup.append('(d / "s/h").write_text("h")')
    if random.random() < 0.15:
        setup.append('os.link(d / "f", d / "k")')
    if random.random() < 0.15:
        setup.append('os.symlink("f", d / "l")')
    return Program(
        seed=seed,
        family="files",
        setup=tuple(setup),
        workers=tuple(
            tuple(_worker(random, which, random.randint(2, 4 if number == 2 else 2))) for which in range(number)
        ),
        kills=int(random.random() < 0.15 and number == 2),
    )


def _worker(random: Random, number: int, most: int) -> list[Statement]:
    body = statements(random, str(number), most)
    if random.random() < 0.25:
        lock = random.choice(_LOCKS)
        return [Block("with", 'open(d / "lock", "w") as k', ((lock, *body),))]
    return body


def statements(random: Random, mark: str, most: int, *, lists: bool = True) -> list[Statement]:
    """Return about *most* statements over the files; the text that they write contains *mark*.

    With *lists* False they do not list the shared directory: beside SQL they could see a journal there that exists only
    while a statement runs, inside which the harness has no schedule point.
    """
    found: list[Statement] = []
    held = False
    for place in range(most):
        text = f"{mark}{'abcdefgh'[place]}"
        if held and random.random() < 0.6:
            found.append(random.choice(_OF_A_HELD_FILE).format(text=text))
        elif random.random() < 0.15:
            held = True
            found.append(f'f = open(d / "{_name(random)}", "{random.choice(("r", "r+", "w", "a", "a+", "x", "rb+"))}")')
        elif random.random() < 0.1:
            found.append(Block("with", f'open(d / "{_name(random)}", "r+") as f', (
                (*(random.choice(_OF_A_HELD_FILE).format(text=text) for _ in range(2)),),
            )))  # fmt: skip
        else:
            found += _one(random, text, _ONE if lists else _NO_LISTS)
    return found


def _name(random: Random) -> str:
    return random.choice(_NAMES)


_OF_A_HELD_FILE = """
f.read()
f.write("{text}")
f.flush()
f.close()
f.seek(0)
f.tell()
f.truncate(1)
f.readline()
os.fstat(f.fileno()).st_size
f.seek(0, 2)
os.fsync(f.fileno())
os.pwrite(f.fileno(), b"{text}", 1)
os.pread(f.fileno(), 5, 0)
os.write(f.fileno(), b"{text}")
os.fstat(f.fileno()).st_nlink
os.ftruncate(f.fileno(), 2)
list(f)
""".strip().splitlines()

_LOCKS = """
fcntl.flock(k, fcntl.LOCK_EX)
fcntl.flock(k, fcntl.LOCK_EX | fcntl.LOCK_NB)
fcntl.flock(k, fcntl.LOCK_SH)
fcntl.lockf(k, fcntl.LOCK_EX)
fcntl.lockf(k, fcntl.LOCK_EX | fcntl.LOCK_NB)
os.lockf(k.fileno(), os.F_LOCK, 0)
""".strip().splitlines()

_ONE = """
(d / "{a}").read_text()
(d / "{a}").read_text()
(d / "{a}").write_text("{text}")
(d / "{a}").exists()
open(d / "{a}", "a").write("{text}")
os.stat(d / "{a}").st_size
os.stat(d / "{a}").st_nlink
sorted(os.listdir(d))
sorted(os.listdir(d / "s"))
os.rename(d / "{a}", d / "{b}")
os.replace(d / "{a}", d / "{b}")
os.link(d / "{a}", d / "{b}")
os.symlink("{a}", d / "{b}")
os.unlink(d / "{a}")
(d / "{a}").unlink(missing_ok=True)
os.close(os.open(d / "{b}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
os.truncate(d / "{a}", 1)
(d / "{a}").touch()
os.mkdir(d / "m")
os.rmdir(d / "m")
os.rmdir(d / "s")
os.rename(d / "s", d / "r")
os.makedirs(d / "m/n", exist_ok=True)
shutil.copy(d / "{a}", d / "{b}").name
shutil.rmtree(d / "s")
sorted(p.name for p in d.iterdir())
sorted((e.name, e.is_file(), e.is_dir()) for e in os.scandir(d))
sorted(p.name for p in d.glob("*"))
os.path.isfile(d / "{a}")
os.path.getsize(d / "{a}")
os.access(d / "{a}", os.R_OK)
os.readlink(d / "{b}")
[(sorted(b), sorted(c)) for a, b, c in os.walk(d)]
os.path.samefile(d / "{a}", d / "{b}")
open(d / "{a}", "x").write("{text}")
shutil.move(d / "{a}", d / "{b}").name
os.path.lexists(d / "{b}")
sorted((e.name, e.stat().st_size) for e in os.scandir(d / "s"))
os.chmod(d / "{a}", 0o600)
oct(os.stat(d / "{a}").st_mode)
(d / "{a}").read_bytes()
os.utime(d / "{a}", (5, 5))
os.stat(d / "{a}").st_mtime == 5.0
sorted(p.name for p in d.rglob("h"))
""".strip().splitlines()

_NO_LISTS = [line for line in _ONE if not any(word in line for word in ("(d))", "walk(", "glob(", "d.iter", "dir(d)"))]


def _one(random: Random, text: str, lines: list[str]) -> list[Statement]:
    if random.random() < 0.15:
        name = _name(random)
        return [f'x = (d / "{name}").read_text()', f'(d / "{name}").write_text(x + "{text}")']
    if random.random() < 0.1:
        return [f'(d / "t{text}").write_text("{text}")', f'os.replace(d / "t{text}", d / "{_name(random)}")']
    a, b = random.sample(("f", "g", "s/h"), 2)
    return [random.choice(lines).format(a=a, b=b, text=text)]
