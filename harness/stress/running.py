"""An uncontrolled run from beginning to end."""

from __future__ import annotations

import asyncio
import inspect
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from random import Random

from harness.control.rules.evaluation import RuleFailed
from harness.control.testbed.directories import held, own_directory
from harness.errors import BadInput
from harness.scenario import Scenario
from harness.stress.judging import happened, outcomes, violations
from harness.stress.load import Load
from harness.stress.result import Stressed, Violation
from harness.stress.saying import errors_of, last_lines
from harness.stress.server import Server
from harness.values.redaction import Redactor

__all__ = ["stress"]

_TELLS_EVERY = 0.5

CLEAN = "CLEAN the server stops, and reports no error"
"""The rule that every server must keep."""

Tell = Callable[[str], None]
"""Takes a line of text on the progress of the run."""


def stress(
    scenario: Scenario,
    reference: str,
    *,
    workers: int = 4,
    clients: int = 8,
    seconds: float = 60.0,
    kill_every: float | None = 1.0,
    seed: int = 0,
    tell: Tell = lambda _: None,
) -> Stressed:
    """Run *scenario* in the wild: under uvicorn, over loopback HTTP, with real kills, in real time.

    Args:
        scenario: one with ``app`` and ``turns``.
        reference: the name by which ``registry.find`` finds the scenario.
        workers: the number of processes that serve.
        clients: the number of turns under way at the same time; each has the clients of its workload.
        seconds: the time for which clients call.
        kill_every: seconds between two kills; None for no kills.
        seed: decides which workers are killed and which calls are abandoned; the schedule itself is not controlled.
        tell: called every half second with a line on the progress.

    Returns:
        The result of the run.

    Raises:
        BadInput: if the scenario can't be run uncontrolled, or the server does not start.
    """
    _refuse(scenario)
    with _directory() as directory:
        db = directory / "db"
        _set_up(scenario, db)
        with Server(reference, scenario.variant, db, workers=workers) as server:
            random = Random(seed)
            load = Load(scenario, server.url, random)
            began = time.monotonic()
            kills = asyncio.run(
                _call_and_kill(load, server, random, seconds=seconds, clients=clients, every=kill_every, tell=tell)
            )
            took = time.monotonic() - began
            tell("asking once more about every turn")
            asyncio.run(load.probe_all(clients))
            wrong = server.stop()
            noise = server.said()
        tell("checking")
        failed: tuple[str, ...] = ()
        broken: tuple[Violation, ...] = ()
        try:
            broken = violations(scenario, load.turns, db)
        except RuleFailed as error:
            failed = (str(error),)
        errors, said = errors_of(noise), last_lines(noise)
        broken += tuple(Violation(CLEAN, 0, text) for text in (wrong, errors) if text)
        redactor = (
            Redactor((event for turn in load.turns for event in turn), scenario.secrets) if broken or said else None
        )
        clean = redactor.text if redactor is not None else str
        broken = tuple(replace(each, message=clean(each.message)) for each in broken)
        seen = happened(scenario, load.turns, db)
    return Stressed(
        scenario=scenario.name,
        variant=scenario.variant,
        workers=workers,
        clients=clients,
        seed=seed,
        turns=len(load.turns),
        calls=sum(event.kind == "invoke" for turn in load.turns for event in turn),
        given_up=load.given_up,
        kills=kills,
        seconds=took,
        outcomes=outcomes(load.turns),
        happened=seen,
        violations=broken,
        reasons=(*failed, *_reasons(seen, kills, kill_every)),
        said=clean(said),
    )


@contextmanager
def _directory() -> Iterator[Path]:
    """Yield a directory on disk, where commits have their usual cost; a later run removes the directory of a killed run."""
    directory = own_directory(Path(tempfile.gettempdir()))
    directory.mkdir(mode=0o700)
    try:
        with held(directory):
            yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _refuse(scenario: Scenario) -> None:
    missing = [name for name in ("app", "turns") if getattr(scenario, name) is None]
    if missing:
        raise BadInput(
            f"The scenario {scenario.name!r} can't be run uncontrolled: it has no {' and no '.join(map(repr, missing))}. "
            "Stress serves an ASGI application ('app') and makes the calls of turn after turn ('turns')."
        )


def _set_up(scenario: Scenario, db: Path) -> None:
    made = scenario.setup(db)
    if inspect.isawaitable(made):

        async def wait() -> None:
            await made

        asyncio.run(wait())


async def _call_and_kill(
    load: Load, server: Server, random: Random, *, seconds: float, clients: int, every: float | None, tell: Tell
) -> int:
    kills = 0

    async def kill_now_and_then() -> None:
        nonlocal kills
        while every is not None:
            await asyncio.sleep(every)
            kills += server.kill_one(random)

    async def tell_now_and_then() -> None:
        began = time.monotonic()
        while True:
            await asyncio.sleep(_TELLS_EVERY)
            tell(f"{time.monotonic() - began:.0f} of {seconds:g} s: {len(load.turns)} turns, {kills} workers killed")

    aside = [asyncio.create_task(task()) for task in (kill_now_and_then, tell_now_and_then)]
    try:
        await load.call_for(seconds, clients)
    finally:
        for task in aside:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    return kills


def _reasons(seen: dict[str, int], kills: int, every: float | None) -> tuple[str, ...]:
    never = [f"{name!r} happened in no turn." for name, times in seen.items() if not times]
    return (*never, *(("No worker was killed: the run was too short.",) if every is not None and not kills else ()))
