"""The site of the documentation: it builds without a warning, can be searched, and has the API from its docstrings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import harness

ROOT = Path(__file__).parents[2]
LOADED = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=["'](?:https?:)?//[^"']+""")
"""Something that a page loads from another host."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with warnings as errors."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    assert "WARNING" not in built.stderr
    return folder


@pytest.mark.slow
def test_every_public_name_is_on_it(site: Path) -> None:
    """Those of the root, and those of the page on the API, each with an anchor of its own."""
    page = (site / "reference" / "api-details.html").read_text()
    anchors = set(re.findall(r'id="(harness[\w.]*)"', page))
    root = {f"harness.{name}" for name in harness.__all__} - {"harness.run"} | {"harness.control.run.run"}
    assert root - anchors == set()
    table = (ROOT / "docs" / "reference" / "api.md").read_text().partition("## Beside it")[2]
    listed = {
        f"{module}.{name}"
        for module, names in re.findall(r"^\| `(harness[\w.]*)` \| (.+?) \|$", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }
    assert listed
    assert listed - anchors == set()


@pytest.mark.slow
def test_signatures_and_docstrings_are_shown(site: Path) -> None:
    """The real signature of ``harness.run``, and the first sentence of its docstring."""
    page = re.sub(r"<[^>]+>", "", (site / "reference" / "api-details.html").read_text())
    assert "max_executions" in page
    assert "Explore scenario and return the result." in page


@pytest.mark.slow
def test_it_can_be_searched(site: Path) -> None:
    """The index has every page, and the public names."""
    index = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    pages = {entry["location"].partition("#")[0] for entry in index}
    assert {"tutorial.html", "reference/glossary.html", "reference/api-details.html"} <= pages
    assert [entry for entry in index if entry["location"].endswith("#harness.race")]


@pytest.mark.slow
def test_it_loads_nothing_from_elsewhere(site: Path) -> None:
    """No script, style, font or picture of another host, so that it works offline."""
    for file in (*site.rglob("*.html"), *site.rglob("*.css")):
        text = file.read_text(errors="replace")
        assert LOADED.search(text) is None, file.name
        assert not re.search(r"url\(\s*['\"]?(?:https?:)?//", text), file.name
