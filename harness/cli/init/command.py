"""Writes a first scenario and the settings that name it, and changes nothing that is there."""

from __future__ import annotations

from argparse import Namespace
from importlib import resources
from pathlib import Path

from harness.cli.terminal import print_json
from harness.errors import BadInput
from harness.project.settings import load

__all__ = ["command"]

_SCENARIOS = "races.py"
_TABLE = f"""\
[tool.harness]
# References to what `harness gate` holds: one scenario, or a tuple of them.
scenarios = ["{_SCENARIOS}:ALL"]
"""


def command(options: Namespace) -> int:
    """Write ``races.py`` and ``[tool.harness]`` in ``pyproject.toml`` into the folder given; return 0.

    Raises ``BadInput`` if either is there already, if the folder is not, or if it can't be written to.
    """
    folder = Path(options.folder)
    settings, scenarios = folder / "pyproject.toml", folder / _SCENARIOS
    _check(folder, settings, scenarios)
    before = settings.read_text(encoding="utf-8") if settings.is_file() else ""
    try:
        scenarios.write_text(_template(), encoding="utf-8")
        with settings.open("a", encoding="utf-8") as file:
            file.write(f"{_gap(before)}{_TABLE}")
    except OSError as error:
        raise BadInput(
            f"{error.filename!r} can't be written: {error.strerror or error}. Is it a folder you may write to?"
        ) from None
    if options.json:
        print_json({"scenarios": str(scenarios), "settings": str(settings)})
        return 0
    print(f"{scenarios}: a first scenario, with a faulty variant that must be caught")
    print(f"{settings}: {'the table [tool.harness] was added' if before else 'made, with the table [tool.harness]'}")
    here = "" if folder.resolve() == Path.cwd() else f" (in {folder})"
    print(f"Next{here}: harness gate")
    return 0


def _check(folder: Path, settings: Path, scenarios: Path) -> None:
    if not folder.is_dir():
        raise BadInput(f"There is no folder {str(folder)!r}. Is the path right?")
    if scenarios.exists():
        raise BadInput(f"{str(scenarios)!r} is there already, and is left alone. Name its scenarios in [tool.harness].")
    if settings.is_file() and load(settings).given:
        raise BadInput(
            f"{str(settings)!r} has a table [tool.harness] already, and is left alone. `harness list` shows what it names."
        )


def _template() -> str:
    return resources.files("harness.cli.init").joinpath(_SCENARIOS).read_text(encoding="utf-8")


def _gap(before: str) -> str:
    """Return the line ends that put an empty line after *before*."""
    return "" if not before else "\n" if before.endswith("\n") else "\n\n"
