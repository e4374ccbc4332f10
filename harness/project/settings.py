"""The settings in `[tool.harness]` of a project's ``pyproject.toml``, each checked by name and by kind."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import BadInput
from harness.project.suggestions import nearest
from harness.scenario import DATABASES, ISOLATIONS, MOST_DELAYS

__all__ = ["KEYS", "Settings", "load"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The gate's settings; ``root`` is the folder that relative paths are of, ``file`` the file that was found, if any.

    ``given`` says whether that file has a table ``[tool.harness]``, be it empty.
    """

    root: Path
    file: Path | None = None
    given: bool = False
    scenarios: tuple[str, ...] = ()
    over: str = "all"
    executions: int = 20_000
    seconds: float = 8.0
    variant_executions: int = 1_000
    variant_seconds: float = 60.0
    jobs: int | None = None
    seed: int = 0
    isolation: str | None = None
    patience: float | None = None
    delays: int | None = None
    postgres: str = ""
    counterexamples: Path | None = None
    output: Path | None = None
    report: Path | None = None


Reader = Callable[[Any, Path], Any]


def _texts(value: Any, _: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError("a list of names")
    return tuple(value)


def _count(value: Any, _: Path) -> int:
    if type(value) is not int or value < 1:
        raise ValueError("a whole number above 0")
    return value


def _seed(value: Any, _: Path) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("a whole number from 0")
    return value


def _bound(value: Any, _: Path) -> int:
    if type(value) is not int or not 0 <= value <= MOST_DELAYS:
        raise ValueError(f"a whole number from 0 to {MOST_DELAYS}")
    return value


def _seconds(value: Any, _: Path) -> float:
    if type(value) not in (int, float) or not (value > 0 and math.isfinite(value)):
        raise ValueError("a number of seconds above 0")
    return float(value)


def _isolation(value: Any, _: Path) -> str:
    if value not in ISOLATIONS:
        raise ValueError("'warm' or 'fork'")
    return str(value)


def _database(value: Any, _: Path) -> str:
    if value not in (*DATABASES, "all"):
        raise ValueError(f"one of {', '.join((*DATABASES, 'all'))}")
    return str(value)


def _url(value: Any, _: Path) -> str:
    # What is wrong with a text is said where it is used, without showing it: a password may be in it.
    if not isinstance(value, str):
        raise ValueError("the URL of a PostgreSQL server")
    return value


def _folder(value: Any, root: Path) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("the path of a folder")
    return root / value


KEYS: dict[str, tuple[Reader, str]] = {
    "scenarios": (
        _texts,
        "the project's scenarios, which are known by their names in every command, and are gated: references to one or to a "
        "tuple of them (`races.py:COUNTER`, `my_package.races:ALL`), or names or patterns of installed ones (`keyed-*`); "
        "default: all that are installed",
    ),
    "over": (_database, "`sqlite`, `postgresql` or `all`: gate only the scenarios over this database; default `all`"),
    "executions": (_count, "the most executions of each exploration of a reference; default 20000"),
    "seconds": (_seconds, "the most seconds of each exploration of a reference; default 8"),
    "variant-executions": (_count, "the most executions until a faulty variant must be caught; default 1000"),
    "variant-seconds": (_seconds, "the most seconds until a faulty variant must be caught; default 60"),
    "jobs": (_count, "explorations at the same time; default: one per core"),
    "seed": (_seed, "of the schedulers and the code under test; default 0"),
    "isolation": (
        _isolation,
        "`warm` or `fork`, as `harness run --isolation`; default: each scenario's",
    ),
    "patience": (
        _seconds,
        "how long a worker may get nothing done before it counts as stuck; default: each scenario's, else 5",
    ),
    "delays": (
        _bound,
        "at most so many processes are held up in one execution until others' sleeps and time-outs have passed; default: as "
        "each scenario says, which is 1",
    ),
    "postgres": (
        _url,
        "the URL of the PostgreSQL server to race over (`HARNESS_POSTGRES` goes before it); default: one of each run's own",
    ),
    "counterexamples": (_folder, "a folder of known counterexamples, which are replayed first; default: none"),
    "output": (_folder, "the folder where new counterexamples are saved; default `counterexamples`"),
    "report": (_folder, "the folder for all reports (JUnit, Markdown, SARIF, JSON, HTML); default: none are written"),
}
"""Each key, how its value is read, and what it means."""


def load(file: Path | None = None, start: Path | None = None) -> Settings:
    """Return the settings in *file*, or in the nearest ``pyproject.toml`` from *start* (the current folder) upward.

    Without any, the defaults. Raises ``BadInput`` for a file that can't be read, a key that there is not, and a wrong value.
    """
    here = (start or Path.cwd()).resolve()
    found = file if file is not None else _nearest_file(here)
    if found is None:
        return Settings(root=here)
    table = _table(found)
    if table is None:
        return Settings(root=found.resolve().parent, file=found)
    root = found.resolve().parent
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in KEYS:
            raise BadInput(f"{found}: [tool.harness] has no key {key!r}. {nearest(key, KEYS)}")
        try:
            values[key.replace("-", "_")] = KEYS[key][0](value, root)
        except ValueError as wanted:
            raise BadInput(f"{found}: {key!r} in [tool.harness] should be {wanted}, but is {value!r}.") from None
    return Settings(root=root, file=found, given=True, **values)


def _nearest_file(start: Path) -> Path | None:
    return next((path for folder in (start, *start.parents) if (path := folder / "pyproject.toml").is_file()), None)


def _table(file: Path) -> dict[str, Any] | None:
    """Return the table ``[tool.harness]`` of *file*, None if there is none."""
    try:
        table: Any = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("harness")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"The settings {str(file)!r} can't be read: {error}. Is the path right?") from None
    except (tomllib.TOMLDecodeError, AttributeError) as error:
        raise BadInput(f"The settings {str(file)!r} can't be read: they are not TOML as expected ({error}).") from None
    if table is not None and not isinstance(table, dict):
        raise BadInput(f"{file}: 'harness' in [tool] should be a table, but is {table!r}.")
    return table
