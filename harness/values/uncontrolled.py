"""Uncontrolled touches: reported by workers, collected over a run, and allowed by name or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from harness.errors import BadInput

__all__ = ["KINDS", "Ledger", "Touch", "allowed", "check_allows", "touch_of", "uncontrolled"]

KINDS = {
    "socket": "a connection to somebody outside, such as socket:127.0.0.1:6379 or socket:/run/redis.sock",
    "file": "a file outside the shared directory, such as file:/var/log/app.log",
    "mmap": "a file that is mapped into memory, such as mmap:page",
    "memory": "shared memory, such as memory:psm_1a2b",
    "process": "a program that is started, such as process:git, or process:fork",
    "library": "what a C library does by itself, such as library:sem_open or library:/shared/page",
    "signal": "a signal to another process, such as signal:SIGUSR1",
    "pipe": "a pipe between processes, such as pipe:multiprocessing",
}
"""What can be allowed by name: the part of the name before the first colon, and what it stands for."""

READS, MAPPED = "r", "m"
FRESH, WRITES, GONE = "n", "w", "d"
"""What happened to a file elsewhere: it was looked at; mapped to be read; made anew or emptied, written in place, removed."""

_LISTING = "/*"
"""Ends the name of a directory's list of files."""

_MOST_NAMES, _MOST_SHOWN = 200, 8


class Touch(NamedTuple):
    """A touch of something that no schedule decides, by a worker.

    ``name`` is the name by which it can be allowed, ``text`` a description, ``place`` its source line (``file:line``,
    or empty). ``mode`` is the access to a file elsewhere (``r``, ``n``, ``w``, ``d``), ``m`` for a file of the shared
    directory that was mapped for reading, and empty for a touch of which nothing can be claimed, whatever other
    processes do. ``point`` is the target of the declared ``Point`` in which it happened.
    """

    name: str
    text: str
    worker: int
    place: str
    mode: str = ""
    point: str = ""

    @property
    def at(self) -> str:
        """Where it was, as words to put behind others."""
        return f" at {self.place}" if self.place else ""


def touch_of(worker: int, item: tuple[Any, ...]) -> Touch:
    """Return the touch that *worker* reported with *item*, a piece of news (see ``docs/messages.md``)."""
    name, text, place, mode, point = item
    return Touch(name, text, worker, place, mode, point)


def check_allows(scenario: str, allows: object) -> tuple[str, ...]:
    """Return *allows* as a tuple; raises ``BadInput`` for a value that can't be the name of something uncontrolled."""
    wrong = ""
    if not isinstance(allows, (tuple, list)):
        wrong = f"{allows!r} is no tuple of names"
    else:
        wrong = next((f"{each!r} is no such name" for each in allows if not _is_name(each)), "")
    if wrong:
        kinds = "; ".join(KINDS.values())
        raise BadInput(
            f"The scenario {scenario!r} has an 'allows' that can't be: {wrong}. It is a tuple of names as the reasons of an "
            f"unknown verdict have them, * standing for any text: {kinds}."
        )
    assert isinstance(allows, (tuple, list))
    return tuple(allows)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value.partition(":")[0] in KINDS and bool(value.partition(":")[2])


@dataclass(slots=True)
class _File:
    """How a file elsewhere was touched, over all executions: by which workers, the first time in each way."""

    readers: dict[int, Touch] = field(default_factory=dict)
    """By worker, of those that found in it what they had not put there in the same execution."""
    writers: dict[int, Touch] = field(default_factory=dict)
    stays: bool = False
    """Whether an execution left it behind."""


class Ledger:
    """The uncontrolled touches of a run's executions, and the claims that they rule out."""

    def __init__(self) -> None:
        self._known: set[tuple[Touch, ...]] = set()
        self._outright: dict[str, Touch] = {}
        self._mapped: dict[str, Touch] = {}
        self._files: dict[str, _File] = {}
        self._inside: dict[str, Touch] = {}

    def __repr__(self) -> str:
        return f"<Ledger outright={list(self._outright)} files={list(self._files)}>"

    def count(self, touches: tuple[Touch, ...]) -> None:
        """Record the *touches* of one execution, in their order."""
        if not touches or touches in self._known:
            return
        self._known.add(touches)
        own: dict[tuple[str, int], bool] = {}
        for touch in touches:
            if touch.point:
                self._inside.setdefault(touch.name, touch)
            elif touch.mode == "":
                self._outright.setdefault(touch.name, touch)
            elif touch.mode == MAPPED:
                self._mapped.setdefault(touch.name, touch)
            elif len(self._files) < _MOST_NAMES or touch.name in self._files:
                self._file(touch, own)
        for (name, _), there in own.items():
            self._files[name].stays |= there

    def _file(self, touch: Touch, own: dict[tuple[str, int], bool]) -> None:
        file, key = self._files.setdefault(touch.name, _File()), (touch.name, touch.worker)
        if touch.mode == READS:
            if key not in own:
                file.readers.setdefault(touch.worker, touch)
            return
        if touch.mode == WRITES and key not in own:
            own[key] = True
        if touch.mode != GONE or key in own:
            own[key] = touch.mode != GONE
        file.writers.setdefault(touch.worker, touch)

    # What follows

    def reasons(self, allows: Sequence[str]) -> tuple[str, ...]:
        """Return the reasons for an unknown verdict: the touches that *allows* does not name."""
        found = [f"{text} {_advice(name)}" for name, text in self._named() if not allowed(name, allows)]
        if len(found) <= _MOST_SHOWN:
            return tuple(found)
        return (*found[:_MOST_SHOWN], f"And {len(found) - _MOST_SHOWN} more of the same kind, each with another name.")

    def allowed(self, allows: Sequence[str]) -> tuple[str, ...]:
        """Return the names of touches that happened and are allowed, by *allows* or by a declared point."""
        found = [name for name, _ in self._named() if allowed(name, allows)]
        found += [f"{name} (in the point {touch.point})" for name, touch in self._inside.items()]
        more = len(found) - _MOST_SHOWN
        return (*found[:_MOST_SHOWN], f"{more} more") if more > 0 else tuple(found)

    def met(self, allows: Sequence[str]) -> tuple[str, ...]:
        """Return the names of touches that are not allowed."""
        return tuple([name for name, _ in self._named() if not allowed(name, allows)][:_MOST_SHOWN])

    def notes(self, allows: Sequence[str]) -> Iterator[str]:
        """Yield the touches that change nothing and were left alone: files that one worker writes and nobody reads."""
        for name, file in self._files.items():
            if allowed(name, allows):
                continue
            if file.stays and len(file.writers) == 1 and not self._of_file(self._with_folders(name, file)):
                (touch,) = file.writers.values()
                yield f"{name}, which only worker {touch.worker} writes{touch.at} and nobody reads"

    def _named(self) -> Iterator[tuple[str, str]]:
        """Yield the name of each thing of which nothing can be said, and why."""
        for name, touch in self._outright.items():
            yield name, f"Worker {touch.worker} {touch.text}{touch.at}, which no schedule decides."
        for name, touch in self._mapped.items():
            yield name, f"Worker {touch.worker} {touch.text}{touch.at}: when it reads that memory no schedule decides."
        for name, file in self._files.items():
            if why := self._of_file(self._with_folders(name, file)):
                yield (
                    name,
                    f"The file {name.partition(':')[2]} outside the shared directory {why}, which no schedule decides.",
                )

    def _with_folders(self, name: str, file: _File) -> _File:
        """Return *file* with the accesses of workers to its folders, and to the files that it lists."""
        writers = dict(file.writers)
        if name.endswith(_LISTING):
            folder = name.removesuffix("*")
            for other, each in self._files.items():
                if other.rpartition("/")[0] == folder.rstrip("/") and other != name:
                    writers.update(each.writers)
            # Files of different names, made by several, are no conflict by themselves.
            reader = next(iter(file.readers), None)
            writers = {number: touch for number, touch in writers.items() if number != reader}
            return _File(file.readers, dict(list(writers.items())[:1]), file.stays)
        folder = name
        while folder := folder.rpartition("/")[0]:
            if (above := self._files.get(folder)) is not None:
                writers.update({number: touch for number, touch in above.writers.items() if number not in writers})
        return _File(file.readers, writers, file.stays)

    def _of_file(self, file: _File) -> str:
        writers, readers = list(file.writers.values()), file.readers
        if len(writers) > 1:
            one, two = writers[:2]
            return f"was changed by worker {one.worker}{one.at} and by worker {two.worker}{two.at}"
        if not writers:
            return ""
        (writer,) = writers
        for reader in readers.values():
            if reader.worker != writer.worker:
                return f"was changed by worker {writer.worker}{writer.at} and looked at by worker {reader.worker}{reader.at}"
        if readers and file.stays:
            reader = readers[writer.worker]
            return (
                f"was changed by worker {writer.worker}{writer.at} and looked at{reader.at}: what one execution left there "
                "the next one found"
            )
        return ""


def allowed(name: str, allows: Sequence[str]) -> bool:
    """Return whether one of *allows*, names in which ``*`` stands for any text, is that of *name*."""
    return any(name == each or fnmatchcase(name, each) for each in allows)


def uncontrolled(text: str, name: str) -> str:
    """Return why nothing can be said once a worker ran *text*, which can be allowed by *name* (empty: it can't)."""
    why = f"ran {text}, which the harness does not control. What that does is not explored, so the verdict is unknown."
    return f"{why} {_advice(name)}" if name else why


def _advice(name: str) -> str:
    """Return how *name* can be allowed, as a sentence."""
    return f'If that may be, allow it by name: allows=("{name}",) in the Scenario.'
