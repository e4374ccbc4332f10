"""``docs/messages.md`` names every message that ``harness/boundary/messages.py`` makes, with its fields, and no other."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

from harness.boundary import messages
from harness.control.execution import intake

ROOT = Path(__file__).parents[2]
OTHERS = {"fork", "reap", "set_up", "was_set_up", "ready", "unsupported", "forked", "reaped"}
"""Messages of the fork server, of which the last paragraph tells."""


def made() -> dict[str, int]:
    """Return how many fields each message has behind its kind, by kind."""
    found = {}
    for name, make in inspect.getmembers(messages, inspect.isfunction):
        if make.__module__ == messages.__name__ and name not in OTHERS:
            fields = len(inspect.signature(make).parameters)
            message = make(*[None] * fields)
            assert len(message) == fields + 1, f"{name} loses a field"
            found[message[0]] = fields
    return found


def documented() -> dict[str, int]:
    """Return how many fields the tables give each message, by kind."""
    found = {}
    for line in (ROOT / "docs/messages.md").read_text().splitlines():
        if line.startswith("| `"):
            for kind, fields in re.findall(r"`([\w ]+)`([^`]*)", line.split("|")[1]):
                found[kind] = len([each for each in fields.split(",") if each.strip()])
    return found


def test_the_tables_name_every_message_with_its_fields() -> None:
    """The tables and the functions agree on the number of fields."""
    assert documented() == made()


def test_only_functions_of_messages_make_messages() -> None:
    """A tuple written out at the place of sending could have its fields in another order."""
    raw = []
    for path in sorted((ROOT / "harness").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                to = ast.unparse(node.func)
                for argument in node.args:
                    if (
                        isinstance(argument, ast.Tuple)
                        and (to.endswith("news.append") or node.func.attr in ("send", "ask"))
                        and argument.elts
                        and isinstance(argument.elts[0], ast.Constant)
                        and argument.elts[0].value in made()
                    ):
                        raw.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(argument)}")
    assert raw == []


def test_what_takes_news_has_the_fields_for_parameters() -> None:
    """Each function of the table takes as many fields as the message has."""
    fields = made()
    for kind, take in intake.TABLE.items():
        parameters = list(inspect.signature(take).parameters.values())[3:]
        if not any(each.kind is each.VAR_POSITIONAL for each in parameters):
            assert len(parameters) == fields[kind], kind
