"""What pytest loads: hands over to ``harness.pytest_plugin``, or stands back where ``harness`` is the project's own package.

A module beside the package, because a project that has a package ``harness`` of its own could not run pytest otherwise:
either pytest would look for our plugin in that package and fail, or our package would be imported in its place.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

_OURS = Path(__file__).with_name("harness")
_ROOTS = ("pyproject.toml", "pytest.ini", "pytest.toml", "tox.ini", "setup.cfg", "setup.py", ".git")
"""Files that a project's root has at least one of."""


def _namesakes() -> Iterator[Path]:
    """Yield the packages called ``harness`` that are not ours: the one that is imported, and those of this project."""
    try:
        spec = importlib.util.find_spec("harness")
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.origin is not None and Path(spec.origin).parent != _OURS:
        yield Path(spec.origin).parent
    here = Path.cwd()
    for folder in (here, *here.parents):
        for package in (folder / "harness", folder / "src" / "harness"):
            if (package / "__init__.py").is_file() and package.resolve() != _OURS.resolve():
                yield package
        if any((folder / name).exists() for name in _ROOTS):
            return


_namesake = next(_namesakes(), None)

if _namesake is None:
    pytest_plugins = ("harness.pytest_plugin",)
else:

    def pytest_report_header() -> str:
        """Say at the top of pytest's output why races are not at hand."""
        return (
            f"race-harness: not loaded, as this project has a package 'harness' of its own ({_namesake}). "
            "Its fixture and options are not there; to use them, give that package another name."
        )
