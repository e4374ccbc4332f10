"""Imports point one way: harness core <- reports <- edges, and harness, reference_impl <- scenarios."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.project.sources import PACKAGES, Source, read_sources, within

REPORTS = "harness.reports"
EDGES = ("harness.cli", "harness.pytest_plugin", "harness.pytest_items", "harness.__main__")
"""Where everything may be brought together: they parse, call and render."""

RENDERS_FAILURES = frozenset({"harness.racing"})
"""These import ``harness.reports`` although they are no edge: the text of the exception that they raise is the report."""

INSIDE, OUTSIDE = "harness.worker", "harness.control"
"""The line that matters most runs between these; only messages cross it."""

STARTS_WORKERS = frozenset({"harness.control.testbed.processes", "harness.control.testbed.forkserver"})
"""What may import worker code, because it is what a forked process is told to run."""

MOST = 15
"""The most files in a folder, and the most files of ours that one file imports: as many as are taken in at a glance."""

LISTS = frozenset({"harness.worker.main"})
"""Files that are a list of all parts of one kind, in the order of installation, and little else."""

Rule = Callable[[list[Source]], Iterable[str]]


def _forbidden(sources: Iterable[Source], targets: Iterable[str], why: str) -> Iterator[str]:
    targets = tuple(targets)
    for source in sources:
        for line, name in source.imports():
            if any(within(name, target) for target in targets):
                yield f"{source.path}:{line}: imports {name}, but {why}"


def _of(sources: Iterable[Source], *packages: str) -> list[Source]:
    return [source for source in sources if any(within(source.module, package) for package in packages)]


def harness_knows_nothing_of_what_is_raced(sources: list[Source]) -> Iterator[str]:
    """``harness`` finds scenarios by entry points only."""
    others = ("scenarios", "reference_impl", "benchmarks", "tests")
    yield from _forbidden(_of(sources, "harness"), others, "harness knows nothing of what is raced")


def core_knows_nothing_of_its_edges(sources: list[Source]) -> Iterator[str]:
    """The core neither renders nor parses: no reports, no command line, no plugin."""
    outer = _of(sources, *EDGES, *RENDERS_FAILURES, REPORTS)
    core = [source for source in _of(sources, "harness") if source not in outer]
    yield from _forbidden(core, (REPORTS, *EDGES), "the core knows nothing of reports and edges")


def reports_see_values_only(sources: list[Source]) -> Iterator[str]:
    """What ``harness.reports`` imports leads, through any number of imports, to no code that runs something."""
    running = (INSIDE, OUTSIDE, *EDGES)
    yield from _forbidden(_of(sources, REPORTS), ("scenarios", "reference_impl", *running), "reports render values")
    graph = {source.module: {_owner(name, sources) for _, name in source.imports()} for source in sources}
    for source in _of(sources, REPORTS):
        for line, name in source.imports():
            reached = _reachable(_owner(name, sources), graph)
            if bad := sorted(r for r in reached if any(within(r, package) for package in running)):
                yield f"{source.path}:{line}: {name} leads to {bad[0]}, but reports see value modules only"


def _owner(name: str, sources: list[Source]) -> str:
    """Return the module of ours that *name* comes from: ``harness.result`` for ``harness.result.Result``."""
    modules = {source.module for source in sources}
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def _reachable(start: str, graph: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        if (module := todo.pop()) not in seen:
            seen.add(module)
            todo.extend(graph.get(module, ()))
    return seen


def reference_imports_nothing_of_ours(sources: list[Source]) -> Iterator[str]:
    """``reference_impl`` is ordinary production code."""
    others = ("harness", "scenarios", "benchmarks", "tests")
    yield from _forbidden(_of(sources, "reference_impl"), others, "reference_impl imports nothing of ours")


def scenarios_see_engine_and_reference_only(sources: list[Source]) -> Iterator[str]:
    """``scenarios`` joins ``harness`` and ``reference_impl``, and nothing else."""
    others = (REPORTS, "benchmarks", "tests", INSIDE, OUTSIDE, *EDGES)
    yield from _forbidden(_of(sources, "scenarios"), others, "scenarios see harness's public side only")


def inside_knows_nothing_of_outside(sources: list[Source]) -> Iterator[str]:
    """Nothing in ``harness.worker`` imports ``harness.control``."""
    yield from _forbidden(_of(sources, INSIDE), (OUTSIDE,), "only messages cross from worker to controller")


def outside_knows_nothing_of_inside(sources: list[Source]) -> Iterator[str]:
    """Nothing in ``harness.control`` imports ``harness.worker``, but for what starts the workers."""
    control = [source for source in _of(sources, OUTSIDE) if source.module not in STARTS_WORKERS]
    yield from _forbidden(control, (INSIDE,), "only messages cross from controller to worker")


def imports_make_no_circle(sources: list[Source]) -> Iterator[str]:
    """No file of ``harness`` leads back to itself by imports, those inside functions and for type checking included."""
    engine = _of(sources, "harness")
    graph = _graph(engine)
    for source in engine:
        for line, name in source.imports():
            owner = _owner(name, sources)
            if owner not in (source.module, "harness") and source.module in _reachable(owner, graph):
                yield f"{source.path}:{line}: imports {owner}, which leads back to {source.module}"


def files_import_few(sources: list[Source]) -> Iterator[str]:
    """A file of ``harness`` imports at most 15 others of ours, but for those that list what there is."""
    engine = _of(sources, "harness")
    for module, others in _graph(engine).items():
        if len(others) > MOST and module not in LISTS:
            path = next(source.path for source in engine if source.module == module)
            yield f"{path}: imports {len(others)} files of ours, at most {MOST}"


def folders_hold_few(sources: list[Source]) -> Iterator[str]:
    """A folder of ``harness`` holds at most 15 files beside its subfolders."""
    engine = _of(sources, "harness")
    for folder, count in Counter(source.path.rpartition("/")[0] for source in engine).items():
        if count > MOST:
            first = next(source.path for source in engine if source.path.rpartition("/")[0] == folder)
            yield f"{first}: its folder holds {count} files, at most {MOST}"


def _graph(sources: list[Source]) -> dict[str, set[str]]:
    """Return, for each module, the other modules among *sources* that it imports."""
    edges = {source.module: {_owner(name, sources) for _, name in source.imports()} for source in sources}
    return {module: others - {module, "", "harness"} for module, others in edges.items()}


OFFENDERS: list[tuple[Rule, dict[str, str]]] = [
    (harness_knows_nothing_of_what_is_raced, {"harness/run.py": "def f():\n    import scenarios"}),
    (
        harness_knows_nothing_of_what_is_raced,
        {"harness/cli/main.py": "from reference_impl.tokens import Tokens"},
    ),
    (
        harness_knows_nothing_of_what_is_raced,
        {"harness/a.py": "from importlib import *\nimport_module('scenarios.x')"},
    ),
    (core_knows_nothing_of_its_edges, {"harness/run.py": "if TYPE_CHECKING:\n    from harness.reports import text"}),
    (core_knows_nothing_of_its_edges, {"harness/schedulers/random.py": "from ..cli import main"}),
    (core_knows_nothing_of_its_edges, {"harness/__init__.py": "from .pytest_plugin import race"}),
    (reports_see_values_only, {"harness/reports/text.py": "import harness.control.testbed.shared_files"}),
    (reports_see_values_only, {"harness/reports/text.py": "from harness import worker"}),
    (
        reports_see_values_only,
        {
            "harness/reports/text.py": "from harness.result import Result",
            "harness/result.py": "from harness.run import Run",
            "harness/run.py": "from harness.control import world",
            "harness/control/world.py": "",
        },
    ),
    (
        reference_imports_nothing_of_ours,
        {"reference_impl/faulty/a.py": "async def f():\n    from harness import mark"},
    ),
    (scenarios_see_engine_and_reference_only, {"scenarios/issue.py": "from harness.reports.text import render"}),
    (scenarios_see_engine_and_reference_only, {"scenarios/issue.py": "from harness.worker import runtime"}),
    (
        inside_knows_nothing_of_outside,
        {"harness/worker/instrument/sqlite/connections.py": "from ....control import channel"},
    ),
    (outside_knows_nothing_of_inside, {"harness/control/world.py": "import harness.worker.runtime as r"}),
    (
        imports_make_no_circle,
        {"harness/a.py": "import harness.b", "harness/b.py": "def f():\n    from harness import a"},
    ),
    (
        imports_make_no_circle,
        {
            "harness/a.py": "import harness.b",
            "harness/b.py": "from harness.c import d",
            "harness/c.py": "import harness.a",
        },
    ),
    (
        files_import_few,
        {
            "harness/a.py": "".join(f"import harness.b{n}\n" for n in range(16)),
            **{f"harness/b{n}.py": "" for n in range(16)},
        },
    ),
    (folders_hold_few, {f"harness/control/a{n}.py": "" for n in range(16)}),
]

WITHIN_THE_RULES = {
    "harness/__init__.py": "from .run import run\nfrom .result import Result",
    "harness/cli/main.py": "from harness.reports import text\nfrom harness import run",
    "harness/control/testbed/processes.py": "from harness.worker.main import serve",
    "harness/control/world.py": "from harness import schedule",
    "harness/result.py": "from harness.values.schedule import Schedule",
    "harness/run.py": "from harness.control import world",
    "harness/values/schedule.py": "import json",
    "harness/worker/__init__.py": "",
    "harness/worker/main.py": "from . import runtime\nfrom ..schedule import Schedule",
    "harness/worker/runtime.py": "import scenarios_of_my_own",
    "reference_impl/tokens.py": "from .errors import Locked\nimport aiosqlite",
    "reference_impl/errors.py": "",
    "harness/reports/text.py": "from harness.result import Result",
    "scenarios/issue.py": "from harness import Scenario\nfrom reference_impl import tokens",
}

RULES = list(dict.fromkeys(rule for rule, _ in OFFENDERS))


def _made_up(files: dict[str, str]) -> list[Source]:
    return [Source(path, text) for path, text in files.items()]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_this_repository_obeys(rule: Rule) -> None:
    """No file of this repository breaks the rule."""
    assert list(rule(read_sources(*PACKAGES))) == []


@pytest.mark.parametrize(("rule", "files"), OFFENDERS, ids=lambda value: getattr(value, "__name__", "in"))
def test_an_offender_is_caught(rule: Rule, files: dict[str, str]) -> None:
    """A made-up file that breaks the rule is named, with its line."""
    found = list(rule(_made_up(files)))
    assert found
    assert found[0].startswith(f"{next(iter(files))}:")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_code_within_the_rules_is_left_alone(rule: Rule) -> None:
    """Made-up files that use every import there may be break no rule."""
    assert list(rule(_made_up(WITHIN_THE_RULES))) == []


def test_every_package_is_looked_at() -> None:
    """There is something to check: no package is missing or empty."""
    assert {source.path.partition("/")[0] for source in read_sources(*PACKAGES)} == set(PACKAGES)
