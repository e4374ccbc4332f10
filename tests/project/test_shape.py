"""The shape of the code: sizes, names, and what only one file does."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.project.sources import PACKAGES, Source, body_lines, read_sources, within

FILE_LINES = 400
BODY_LINES = 50
PARAMETERS = 3
HOT = (
    "harness/worker/",
    "harness/control/execution/",
    "harness/schedulers/tree/",
    "harness/checks/",
    "harness/boundary/messages.py",
)
"""Hot paths: functions that run once or more for each step, or for each state of a search. Keywords cost time there."""
CALLED_BY_OTHERS = frozenset({"_repr_pretty_", "called", "planned"})
"""Functions whose callers (IPython, C code, another strategy of drawing) pass arguments by position."""
NAMES_FILE = "harness/values/names.py"
NAMED = frozenset({"lane", "choice", "resource"})
TAKING_APART = frozenset({"partition", "rpartition", "split", "removeprefix"})
VAGUE = frozenset({"util", "utils", "common", "helper", "helpers", "misc"})

FORKING_FILES = frozenset(
    {
        "harness/cli/forked.py",  # whole commands, each with processes of its own
        "harness/control/testbed/processes.py",
        "harness/control/testbed/forkserver.py",
        "harness/control/sharding/explorers.py",
    }
)
"""The only files that start processes."""

FORKING_NAMES = frozenset({"fork", "forkpty", "posix_spawn", "posix_spawnp"})
FORKING_MODULES = ("multiprocess", "multiprocessing", "concurrent.futures.ProcessPoolExecutor")

SETTINGS_FILE = "harness/project/config.py"
ENVIRONMENT = frozenset({"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"})

Rule = Callable[[list[Source]], Iterable[str]]


def files_are_short(sources: list[Source]) -> Iterator[str]:
    """No file has more than 400 lines."""
    for source in sources:
        if (lines := len(source.text.splitlines())) > FILE_LINES:
            yield f"{source.path}: {lines} lines, at most {FILE_LINES}"


def functions_are_short(sources: list[Source]) -> Iterator[str]:
    """No function body has more than 50 lines, docstring apart."""
    for source in sources:
        for function in source.functions():
            if (lines := body_lines(function)) > BODY_LINES:
                where = f"{source.path}:{function.lineno}: {function.name}"
                yield f"{where}: a body of {lines} lines, at most {BODY_LINES}"


def parameters_are_few(sources: list[Source]) -> Iterator[str]:
    """Outside the hot paths, a function takes at most three positional parameters, and no boolean by position."""
    for source in sources:
        if source.path.startswith("harness/") and not source.path.startswith(HOT):
            for function in source.functions():
                given = [each for each in function.args.args if each.arg not in ("self", "cls")]
                where = f"{source.path}:{function.lineno}: {function.name}"
                if function.name in CALLED_BY_OTHERS or not (function.args.args or given):
                    continue
                if len(given) > PARAMETERS:
                    yield f"{where}: {len(given)} positional parameters, at most {PARAMETERS}"
                if flags := [each.arg for each in given if each.annotation and ast.unparse(each.annotation) == "bool"]:
                    yield f"{where}: {', '.join(flags)} should be given by name only"


def names_say_something(sources: list[Source]) -> Iterator[str]:
    """No module or package is called util, common, helpers or the like."""
    for source in sources:
        if vague := VAGUE & {part.strip("_") for part in source.module.split(".")}:
            yield f"{source.path}: {', '.join(sorted(vague))} says nothing of what is in it"


def one_file_takes_names_apart(sources: list[Source]) -> Iterator[str]:
    """The parts of a task's, a choice's and a resource's name are asked for by the types of one file."""
    for source in sources:
        if source.path.startswith("harness/") and source.path != NAMES_FILE:
            for node in ast.walk(source.tree):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                    continue
                of, method, first = node.func.value, node.func.attr, next(iter(node.args), None)
                written = isinstance(first, ast.Constant | ast.Tuple) or (
                    isinstance(first, ast.Name) and first.id.isupper()
                )
                named = of.attr if isinstance(of, ast.Attribute) else of.id if isinstance(of, ast.Name) else ""
                if named in NAMED and (method in TAKING_APART or (method in ("startswith", "endswith") and written)):
                    yield f"{source.path}:{node.lineno}: {ast.unparse(node)}, but only {NAMES_FILE} takes names apart"


def one_file_forks(sources: list[Source]) -> Iterator[str]:
    """Processes are forked where the map says so, and nowhere else."""
    for source in sources:
        if source.path.startswith("harness/") and source.path not in FORKING_FILES:
            imported = (
                (line, name)
                for line, name in source.imports()
                if any(within(name, module) for module in FORKING_MODULES)
            )
            for line, name in (*source.uses_of("os", FORKING_NAMES), *imported):
                yield f"{source.path}:{line}: {name}, but only {', '.join(sorted(FORKING_FILES))} forks"


def one_file_reads_the_environment(sources: list[Source]) -> Iterator[str]:
    """Settings of the harness are read in one file."""
    for source in sources:
        if source.path.startswith("harness/") and source.path != SETTINGS_FILE:
            for line, name in source.uses_of("os", ENVIRONMENT):
                yield f"{source.path}:{line}: {name}, but only {SETTINGS_FILE} reads settings"


LONG_BODY = '    """One."""\n' + "    x = 1\n" * 51

OFFENDERS: list[tuple[Rule, str, str]] = [
    (files_are_short, "scenarios/a.py", "x = 1\n" * 401),
    (functions_are_short, "harness/a.py", "def f():\n" + LONG_BODY),
    (functions_are_short, "harness/a.py", "class A:\n  async def f(self):\n" + LONG_BODY),
    (parameters_are_few, "harness/a.py", "def f(a, b, c, d): ..."),
    (parameters_are_few, "harness/a.py", "class A:\n  def f(self, a: int, b: bool = False): ..."),
    (names_say_something, "harness/utils.py", ""),
    (names_say_something, "reports/_common/html.py", ""),
    (one_file_takes_names_apart, "harness/run.py", "step.lane.partition('/')"),
    (one_file_takes_names_apart, "harness/run.py", "option.choice.startswith(MARK)"),
    (one_file_forks, "harness/control/testbed/shared_files.py", "import os\nos.fork()"),
    (one_file_forks, "harness/run.py", "def f():\n    from os import fork"),
    (one_file_forks, "harness/run.py", "import multiprocess.connection"),
    (one_file_forks, "harness/run.py", "import os as system\nsystem.posix_spawn()"),
    (one_file_reads_the_environment, "harness/cli/main.py", "import os\nos.environ['X']"),
    (one_file_reads_the_environment, "harness/run.py", "from os import getenv"),
]

WITHIN_THE_RULES = {
    "harness/project/config.py": "import os\nos.environ.get('X')",
    "harness/control/testbed/processes.py": "import os\nimport multiprocess\nos.fork()",
    "harness/few.py": "def f(a, b, c, *, d: bool): ...\nclass A:\n  def g(self, a, b, c): ...",
    "harness/worker/hot.py": "def f(a, b, c, d, e: bool): ...",
    "harness/values/names.py": "step.lane.partition('/')",
    "harness/named.py": "option.choice.startswith(kinds[0])",
    "harness/commonplace.py": "def fork(): ...\nfork()\nconfig.environ",
    "harness/long.py": "def f():\n" + '    """Long.' + "\n" * 100 + '    """\n' + "    x = 1\n" * 50,
    "harness/longer.py": "x = 1\n" * 400,
    "benchmarks/peers.py": "import multiprocess, os\nos.environ",
}

RULES = list(dict.fromkeys(rule for rule, *_ in OFFENDERS))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_this_repository_obeys(rule: Rule) -> None:
    """No file of this repository breaks the rule."""
    assert list(rule(read_sources(*PACKAGES, "benchmarks"))) == []


@pytest.mark.parametrize(("rule", "path", "text"), OFFENDERS, ids=lambda value: getattr(value, "__name__", "in"))
def test_an_offender_is_caught(rule: Rule, path: str, text: str) -> None:
    """A made-up file that breaks the rule is named, once."""
    found = list(rule([Source(path, text)]))
    assert len(found) == 1
    assert found[0].startswith(f"{path}:")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_code_within_the_rules_is_left_alone(rule: Rule) -> None:
    """Made-up files at the very limit of every rule break none."""
    assert list(rule([Source(path, text) for path, text in WITHIN_THE_RULES.items()])) == []
