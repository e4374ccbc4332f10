"""`make gallery`: writes `reports/gallery`, which shows each kind of report for one race of the catalogue."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.project.sources import ROOT

FOLDER = Path("reports/gallery")
RACE = ("rotate-token", "--variant", "t11-read-after-commit")
DOCUMENTS = {"html": "page.html", "markdown": "summary.md", "junit": "junit.xml", "sarif": "results.sarif"}
VARIES = re.compile(r"\d+\.\d+ s\b|\"seconds\": ?[\d.]+|\d+(?:\.\d+){2}[\w.+]*|-[0-9a-f]{8}(?=\.json)")
"""Parts of a report that differ from run to run or from machine to machine: durations, and versions."""


def make(folder: Path) -> dict[str, str]:
    """Write the gallery into *folder*, relative to the repository; return the text of each file by name."""
    shutil.rmtree(ROOT / folder, ignore_errors=True)
    (ROOT / folder).mkdir(parents=True)
    said = _harness("run", *RACE, "--output", str(folder), code=1)
    (ROOT / folder / "run.txt").write_text(said)
    (file,) = (ROOT / folder).glob("*.json")
    options = [part for name, file in DOCUMENTS.items() for part in (f"--{name}", str(folder / file))]
    _harness("report", str(folder / file.name), *options, code=0)
    for path in (ROOT / folder).iterdir():
        # Where a source file lies on this machine is of no interest to others.
        path.write_text(path.read_text().replace(f"{ROOT}/", ""))
    return texts(folder)


def texts(folder: Path) -> dict[str, str]:
    """Return the text of each file in *folder*, relative to the repository, without the parts that vary."""
    return {
        VARIES.sub("#", path.name): VARIES.sub("#", path.read_text().replace(str(folder), str(FOLDER)))
        for path in sorted((ROOT / folder).iterdir())
    }


def _harness(*arguments: str, code: int) -> str:
    command = [sys.executable, "-m", "harness", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "COLUMNS": "100"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


if __name__ == "__main__":
    make(FOLDER)
