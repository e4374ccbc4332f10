"""The documentation: the tutorial does what it says, the reference says what `--help` says, and the site has every page."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.cli.main import parser

DOCS = Path(__file__).parents[2] / "docs"
HIDDEN = {"around"}
"""A command for commands."""


def help_pages() -> str:
    """Return the page of all commands, as `python -m tests.docs.test_pages` writes it."""
    top = parser()
    (commands,) = [action for action in top._actions if isinstance(action, argparse._SubParsersAction)]
    shown = [
        ("harness", top),
        *((f"harness {name}", each) for name, each in commands.choices.items() if name not in HIDDEN),
    ]
    parts = ["# Commands", "", "What each command says with `--help`."]
    for name, each in shown:
        parts += ["", f"## {name}", "", "```text", each.format_help().rstrip(), "```"]
    return "\n".join(parts) + "\n"


def test_the_reference_says_what_the_commands_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Word for word, at eighty columns."""
    monkeypatch.setenv("COLUMNS", "80")
    assert (DOCS / "reference" / "cli.md").read_text() == help_pages(), "python -m tests.docs.test_pages writes it anew"


@pytest.mark.forks
@pytest.mark.slow
def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    """Files, commands with their exit codes, what they show, and the change that fixes it, in the order of the page."""
    text = (DOCS / "tutorial.md").read_text()
    parts = re.findall(r"<!-- (\w+)(?:: ([\w.]+))? -->\n+(?:```\w+\n(.*?)```|((?:    [^\n]+\n)+))", text, re.DOTALL)
    assert [kind for kind, *_ in parts].count("run") == 5
    said, target, old = "", Path(), ""
    for kind, argument, fenced, indented in parts:
        body = fenced or "".join(line[4:] for line in indented.splitlines(keepends=True))
        if kind == "file":
            (tmp_path / argument).write_text(body)
        elif kind == "run":
            path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            environment = {**os.environ, "PATH": path, "COLUMNS": "80"}
            done = subprocess.run(["bash", "-c", body], cwd=tmp_path, env=environment, capture_output=True, text=True)
            assert done.returncode == int(argument), done.stdout + done.stderr
            said = done.stdout
        elif kind == "shows":
            assert body.strip() in said
        elif kind == "replace":
            target, old = tmp_path / argument, body.rstrip("\n")
        elif kind == "with":
            assert target.read_text().count(old) == 1
            target.write_text(target.read_text().replace(old, body.rstrip("\n")))
    assert "1 of 1 as expected" in said


def test_every_page_is_in_the_site_and_every_link_leads_somewhere() -> None:
    """By the configuration of the site, and by the files there are."""
    site = yaml.safe_load((DOCS.parent / "mkdocs.yml").read_text())
    named = set(re.findall(r"'([\w/-]+\.md)'", repr(site["nav"])))
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    apart = {page for page in pages if page.startswith(("decisions/", "case-studies/"))}
    assert named == pages - apart
    for page in DOCS.rglob("*.md"):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


if __name__ == "__main__":
    os.environ["COLUMNS"] = "80"
    (DOCS / "reference" / "cli.md").write_text(help_pages())
