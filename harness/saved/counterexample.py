"""Counterexamples: the saved, replayable evidence of a failure, as a value and as a versioned JSON file.

Loading takes nothing on trust: a file is read as data, every field of it is checked, and what does not fit is
``BadInput``. Nothing in a file is ever executed or imported.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from harness.errors import BadInput
from harness.project import config
from harness.result import Execution, Failure, Result, delay_count, fault_count, preemptions
from harness.saved.explanation_fields import explanation_as_data, explanation_of
from harness.saved.steps import event_as_data, event_of, step_as_data, step_of
from harness.saved.untrusted import Part, Unsound, parse
from harness.scenario import ISOLATIONS, Call, Client, Scenario, Workload
from harness.values.explanation import Explanation
from harness.values.history import History, Step
from harness.values.schedule import Schedule

__all__ = ["FORMAT", "VERSION", "Counterexample", "MadeWith", "load", "save"]

FORMAT, VERSION = "race-harness counterexample", 1

_PATIENCE, _MOST_PATIENCE = 5.0, 1_000_000
_LARGEST = 64 * 2**20
_WORKERS = 64


@dataclass(frozen=True, slots=True)
class MadeWith:
    """The versions that a counterexample was made with, and the hash seed, on which the order of sets of strings depends."""

    harness: str
    python: str
    sqlite: str
    hash_seed: str

    @classmethod
    def here(cls) -> MadeWith:
        """Return the versions of this process."""
        import sqlite3

        return cls(config.version(), platform.python_version(), sqlite3.sqlite_version, config.hash_seed())


@dataclass(frozen=True, slots=True)
class Counterexample:
    """One failing execution, with all that a replay needs and all that people read."""

    scenario: str
    variant: str
    workers: int
    scheduler: str
    seed: int
    workload: Workload
    steps: tuple[Step, ...]
    history: History
    failure: Failure
    made_with: MadeWith
    explanation: Explanation | None = None
    """Why it fails, if the run that found it could say."""
    skew: tuple[float, ...] = ()
    """By how many seconds each worker's clock is ahead (``Scenario.skew``)."""
    isolation: str = "warm"
    patience: float = 5.0
    """Those of the run that found it."""
    allowed: tuple[str, ...] = ()
    """What happened in the run that no schedule decides and the scenario allows, by name."""

    def __repr__(self) -> str:
        variant = f" variant={self.variant}" if self.variant else ""
        kind, rule = self.failure.sort
        return f"<Counterexample {self.scenario}{variant} steps={len(self.steps)} {kind} {rule!r}>"

    @property
    def schedule(self) -> Schedule:
        """The choices made."""
        return Schedule(tuple(step.choice for step in self.steps))

    @property
    def digests(self) -> tuple[str, ...]:
        """The operation that each step was about to run, for a replay to compare."""
        return tuple(step.digest for step in self.steps)

    @property
    def preemptions(self) -> int:
        """How often a task was left that could have gone on."""
        return preemptions(self.steps)

    @property
    def faults(self) -> int:
        """How many faults were injected."""
        return fault_count(self.steps)

    @property
    def delays(self) -> int:
        """How often something was held up until others' time had come."""
        return delay_count(self.steps)

    def staged(self, scenario: Scenario) -> Scenario:
        """Return *scenario* with the clocks, the isolation and the patience that it was found with."""
        scenario = scenario.carried_out(self.isolation, self.patience)
        return scenario if scenario.skew == self.skew else replace(scenario, skew=self.skew)

    @classmethod
    def of(cls, result: Result) -> Counterexample:
        """Return the counterexample that *result* found; raises ``BadInput`` if it found none."""
        execution: Execution | None = result.counterexample
        if execution is None or execution.failure is None:
            raise BadInput(f"{result!r} has no failing execution, so there is no counterexample to save.")
        return cls(
            scenario=result.scenario,
            variant=result.variant,
            workers=execution.workload.workers,
            scheduler=result.scheduler,
            seed=execution.seed,
            workload=execution.workload,
            steps=execution.steps,
            history=execution.history,
            failure=execution.failure,
            made_with=MadeWith.here(),
            # The same failure found again is the same file, so how long it took is left out.
            explanation=result.explanation and replace(result.explanation, seconds=0.0),
            skew=execution.skew,
            isolation=result.isolation,
            patience=result.patience,
            allowed=result.allowed,
        )


# --- saving ---------------------------------------------------------------------------------------


def save(counterexample: Counterexample, directory: Path) -> Path:
    """Write *counterexample* to a file of its own in *directory*, which is made if need be; return its path.

    The name comes from the scenario, the variant and a digest of the content, so the same one is never saved
    twice. Raises ``BadInput`` where that can't be done.
    """
    try:
        text = json.dumps(_as_json(counterexample), indent=1, allow_nan=False) + "\n"
        if _counterexample(parse(text.encode())) != counterexample:
            raise ValueError("what would be read back differs")
    except (TypeError, ValueError, RecursionError, Unsound) as error:
        raise BadInput(
            f"The counterexample of {counterexample.scenario!r} can't be saved: {error}\n"
            "A file holds plain data only: None, bool, int, finite float, str, lists, dicts with str keys. "
            "Does a call of the workload have an argument of another type? Give the call plain arguments."
        ) from None
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    names = [counterexample.scenario, counterexample.variant, digest]
    stem = "-".join(re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip(".")[:60] for name in names if name)
    path = Path(directory, f"{stem}.json")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(text, encoding="ascii")
        unfinished.replace(path)
    except OSError as error:
        raise BadInput(
            f"The counterexample can't be saved as {str(path)!r}: {error.strerror or error}. "
            f"Is {str(directory)!r} a directory you may write to? Choose another with --output DIR."
        ) from None
    return path


def _as_json(self: Counterexample) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "scenario": self.scenario,
        "variant": self.variant,
        "workers": self.workers,
        "scheduler": self.scheduler,
        "seed": self.seed,
        "failure": {name: getattr(self.failure, name) for name in Failure.__slots__},
        "preemptions": self.preemptions,
        "faults": self.faults,
        **({"delays": self.delays} if self.delays else {}),
        "schedule": str(self.schedule),
        "workload": [[_call_as_json(call) for call in client.calls] for client in self.workload.clients],
        "steps": [step_as_data(step) for step in self.steps],
        "history": [event_as_data(event) for event in self.history],
        "left_open": list(self.history.left_open),
        "made_with": {name: getattr(self.made_with, name) for name in MadeWith.__slots__},
        **({"skew": list(self.skew)} if self.skew else {}),
        **({"isolation": self.isolation} if self.isolation != "warm" else {}),
        **({"patience": self.patience} if self.patience != _PATIENCE else {}),
        **({"allowed": list(self.allowed)} if self.allowed else {}),
        **({"explanation": explanation_as_data(self.explanation)} if self.explanation is not None else {}),
    }


def _call_as_json(call: Call) -> dict[str, Any]:
    return {"operation": call.operation, "arguments": list(call.arguments), "worker": call.worker}


# --- loading --------------------------------------------------------------------------------------


def load(path: Path) -> Counterexample:
    """Return the counterexample in the file *path*; raises ``BadInput`` for all but a whole and sound one."""
    return _decode(_content(Path(path)), repr(str(path)))


def _content(path: Path) -> bytes:
    try:
        # Asked before opening, for opening a pipe waits.
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            _refuse(repr(str(path)), "it is not a regular file")
        if status.st_size > _LARGEST:
            _refuse(repr(str(path)), f"it has {status.st_size:,} bytes, and none has more than {_LARGEST:,}")
        with path.open("rb") as file:
            return file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        raise BadInput(
            f"The counterexample {str(path)!r} can't be read: {getattr(error, 'strerror', None) or error}. "
            "Is the path right? A run without --json prints the command that replays what it found."
        ) from None


def _refuse(name: str, why: str) -> NoReturn:
    raise BadInput(
        f"{name} is not a counterexample that can be used: {why}.\n"
        "Was it cut short, edited by hand, or made by another version of the harness? "
        "To make it anew: harness run SCENARIO --variant NAME"
    )


def _decode(data: bytes, name: str) -> Counterexample:
    try:
        return _counterexample(parse(data))
    except Unsound as error:
        _refuse(name, str(error))


def _counterexample(part: Part) -> Counterexample:
    if part["format"].text() != FORMAT:
        part["format"].wrong(repr(FORMAT))
    if part["version"].integer() != VERSION:
        part["version"].wrong(f"{VERSION}, the only one that this harness reads")
    workers = part["workers"].integer(1, _WORKERS)
    steps = part["steps"].each(lambda step: step_of(step, workers))
    isolation, patience = part.get("isolation", "warm"), part.get("patience", _PATIENCE)
    if not 0 < patience.number() <= _MOST_PATIENCE:
        patience.wrong(f"a number of seconds above 0, at most {_MOST_PATIENCE}")
    why, skew, allowed = (part.get(name, None) for name in ("explanation", "skew", "allowed"))
    counterexample = Counterexample(
        scenario=part["scenario"].text(),
        variant=part["variant"].text(),
        workers=workers,
        scheduler=part["scheduler"].text(),
        seed=part["seed"].integer(),
        workload=Workload(
            part["workload"].each(lambda client: Client(client.each(lambda call: _call(call, workers)))),
            workers,
        ),
        steps=steps,
        history=History(
            part["history"].each(lambda event: event_of(event, workers, len(steps))),
            part["left_open"].each(Part.text),
        ),
        failure=_failure(part["failure"], len(steps)),
        made_with=MadeWith(*(part["made_with"][name].text() for name in MadeWith.__slots__)),
        explanation=None if why.value is None else explanation_of(why, workers, len(steps)),
        allowed=() if allowed.value is None else allowed.each(Part.text),
        skew=() if skew.value is None else skew.each(Part.number),
        isolation=isolation.text(*ISOLATIONS),
        patience=patience.number(),
    )
    for name in (
        "schedule",
        "preemptions",
        "faults",
        *(("delays",) if part.get("delays", None).value is not None else ()),
    ):
        found = getattr(counterexample, name)
        if part[name].value != (str(found) if name == "schedule" else found):
            part[name].wrong("what its steps say")
    return counterexample


def _call(part: Part, workers: int) -> Call:
    arguments = part["arguments"].each(Part.plain)
    return Call(part["operation"].text(), arguments, part["worker"].integer(0, workers - 1))


def _failure(part: Part, steps: int) -> Failure:
    step = part["step"].integer(-1, steps - 1)
    return Failure(part["kind"].text(), part["rule"].text(), part["message"].text(), step)
