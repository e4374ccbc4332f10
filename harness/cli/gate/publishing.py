"""Publish the reports of a gate: to files, to the summary of a CI job, as annotations on source lines."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path

from harness import registry
from harness.errors import BadInput
from harness.project import config
from harness.project.settings import Settings
from harness.reports.documents.annotations import workflow_commands
from harness.reports.documents.junit import junit
from harness.reports.documents.markdown import gate_markdown
from harness.reports.documents.sarif import sarif
from harness.reports.gated import Gated, as_data

__all__ = ["publish"]


def publish(gated: Gated, options: Namespace, settings: Settings, *, references: Mapping[str, str]) -> None:
    """Write every report that *options* and *settings* ask for, and those that the CI environment takes.

    The Markdown is appended to the file that ``GITHUB_STEP_SUMMARY`` names. Under GitHub Actions, annotations are
    printed: on standard error if standard output is JSON, else on standard output. *references* maps the name of each
    scenario to its reference on the command line. Raises ``BadInput`` if a file can't be written.
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
        _write(settings.report / "gate.json", json.dumps(as_data(gated), indent=1) + "\n")
        _write_pages(gated, settings.report, references, server=settings.postgres or None)
    if (summary := config.step_summary()) is not None:
        _write(summary, gate_markdown(gated), add=True)
    if config.under_actions():
        for line in workflow_commands(gated):
            print(line, file=sys.stderr if options.json else sys.stdout)


def _write_pages(gated: Gated, folder: Path, references: Mapping[str, str], *, server: str | None) -> None:
    """Write a page for each unexpected counterexample, with the stem of the counterexample's file as its name."""
    for number, found in gated.found.items():
        from harness.cli.reporting import write_page

        scenario = registry.find(references[found.scenario], found.variant or None).carried_out(None, None, server)
        page = folder / f"{Path(gated.files[number]).stem}.html"
        write_page(found, scenario, gated.rows[number].command, out=str(page))


def _write(file: Path, text: str, *, add: bool = False) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a" if add else "w", encoding="utf-8", errors="backslashreplace") as opened:
            opened.write(text)
    except OSError as error:
        raise BadInput(
            f"The report can't be written as {str(file)!r}: {error.strerror or error}. Is it in a folder you may write to?"
        ) from None
