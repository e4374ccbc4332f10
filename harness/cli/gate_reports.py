"""Where the reports of a gate go: files, the summary of a job, annotations on source lines."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from harness import config
from harness.errors import BadInput
from harness.settings import Settings
from reports.annotations import workflow_commands
from reports.gated import Gated
from reports.junit import junit
from reports.markdown import gate_markdown
from reports.sarif import sarif

__all__ = ["publish"]


def publish(gated: Gated, options: Namespace, settings: Settings) -> None:
    """Write every report that *options* and *settings* ask for, and what the job's surroundings take.

    ``GITHUB_STEP_SUMMARY`` names a file that the Markdown is added to; under GitHub Actions annotations are printed, on
    standard error where standard output is JSON. Raises ``BadInput`` where a file can't be written.
    """
    texts: dict[str, Callable[[], str]] = {
        "junit": lambda: junit(gated),
        "markdown": lambda: gate_markdown(gated),
        "sarif": lambda: json.dumps(sarif(gated, config.version()), indent=1) + "\n",
    }
    for name, make in texts.items():
        if (file := getattr(options, name)) is not None:
            _write(Path(file), make())
    if settings.report is not None:
        for file, name in (("junit.xml", "junit"), ("summary.md", "markdown"), ("results.sarif", "sarif")):
            _write(settings.report / file, texts[name]())
        from harness.cli.gating import as_data

        _write(settings.report / "gate.json", json.dumps(as_data(gated), indent=1) + "\n")
    if (summary := config.step_summary()) is not None:
        _write(summary, gate_markdown(gated), add=True)
    if config.under_actions():
        for line in workflow_commands(gated):
            print(line, file=sys.stderr if options.json else sys.stdout)


def _write(file: Path, text: str, *, add: bool = False) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a" if add else "w", encoding="utf-8", errors="backslashreplace") as opened:
            opened.write(text)
    except OSError as error:
        raise BadInput(
            f"The report can't be written as {str(file)!r}: {error.strerror or error}. Is it in a folder you may write to?"
        ) from None
