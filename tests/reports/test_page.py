"""The page: one file that holds everything, asks for nothing, and does what its keys say in a real browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.checks.linearizability import Operation, check
from harness.checks.specs import ONE_ACTIVE
from harness.reports.documents.html import page
from harness.reports.report import Report, report_of
from harness.values.tables import Changed, Row, TablesAt
from tests.reports.made_up import blocked, explained, hostile
from tests.reports.made_up_http import long, marked_up, over_http

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the path (Debian: package chromium)")

TOKENS = Changed(
    "db.sqlite",
    "tokens",
    ("id", "revoked_at"),
    (Row(("1c02", None), (1,)),),
    (Row(("1c02", "1700000000.0"), (1,)), Row(("244c", None), lone=True)),
    1,
    2,
)


def explained_report() -> Report:
    """Return one with waits, a race window, tables, and a linearizability view."""
    calls = [
        Operation("c0", "issue", ("alpha",), "t1", 0, 1),
        Operation("c0", "get_active", ("alpha",), None, 2, 5),
        Operation("c1", "rotate", ("alpha",), "t2", 3, 4),
    ]
    return report_of(
        replace(blocked(), explanation=explained()),
        command="harness replay counterexamples/issue-token.json",
        tables=[TablesAt(7, (TOKENS,))],
        linearizability=check(calls, ONE_ACTIVE),
    )


# --- the text of it -------------------------------------------------------------------------------


def test_nothing_in_a_report_can_leave_its_place() -> None:
    """Whatever a report says, there are the same elements, and the data is one line of ASCII without markup."""
    evil, tables = marked_up()
    text = page([report_of(evil, command=evil.scenario, tables=tables)])
    tags = re.findall(r"<[a-z!/]+", page([explained_report()]))
    assert re.findall(r"<[a-z!/]+", text) == tags
    data = text.partition('id="data">')[2].partition("</script>")[0]
    assert len(data) > 1000
    assert data.isascii()
    assert data.isprintable()
    assert not re.search("[<>&]", data)


def test_it_refers_to_nothing_outside_itself() -> None:
    """No address, and a policy that forbids all that is not in it."""
    text = page([explained_report()])
    assert "default-src 'none'" in text
    assert re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)""", text) == ["data:,", "#timeline"]
    assert set(re.findall(r"https?://[^\s\"']*", text)) == {"http://www.w3.org/2000/svg"}


# --- in a browser ---------------------------------------------------------------------------------


class Shown:
    """A page in a browser: what it is, what went wrong on it, what it asked the network for."""

    def __init__(self, tab: Any, path: Path) -> None:
        self.tab = tab
        self.wrong: list[str] = []
        self.asked: list[str] = []
        tab.on("console", lambda message: self.wrong.append(message.text))
        tab.on("pageerror", lambda error: self.wrong.append(str(error)))
        tab.on("request", lambda request: self.asked.append(request.url))
        self.address = path.as_uri()

    def text(self, selector: str) -> str:
        """Return the text in the element that *selector* finds."""
        return str(self.tab.inner_text(selector))

    def selected(self) -> int:
        """Return the number of the selected step, as assistive technology is told."""
        row = self.tab.get_attribute("#timeline", "aria-activedescendant")
        assert self.tab.get_attribute(f"#{row}", "aria-selected") == "true"
        return int(row.removeprefix("step-"))

    def press(self, *keys: str) -> int:
        """Press *keys* and return the step that is then selected."""
        for key in keys:
            self.tab.keyboard.press(key)
        return self.selected()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start a Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


Open = Callable[..., Shown]


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Open reports as a page; at the end nothing must have gone wrong and nothing been asked for but the page."""
    shown: list[Shown] = []

    def show(*reports: Report, width: int = 1280, scheme: str = "light", place: str = "") -> Shown:
        path = tmp_path / f"{len(shown)}.html"
        path.write_text(page(reports), encoding="utf-8")
        tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        shown.append(Shown(tab, path))
        tab.goto(path.as_uri() + place)
        return shown[-1]

    yield show
    for each in shown:
        each.tab.close()
        assert each.wrong == []
        assert {address.partition("#")[0] for address in each.asked} == {each.address}


@in_browser
@pytest.mark.slow
def test_the_keys_walk_through_the_steps(opened: Open) -> None:
    """It begins where the rule broke; down, up, the ends, the race window, the tables; and from an address."""
    shown = opened(explained_report())
    assert shown.selected() == 13
    assert shown.press("Home") == 0
    assert shown.press("ArrowDown", "j", "j") == 3
    assert shown.press("k", "ArrowUp") == 1
    assert shown.press("End") == 13
    assert shown.press("ArrowDown") == 13
    assert [shown.press("w"), shown.press("w"), shown.press("w")] == [1, 6, 9]
    assert shown.press("t") == 7
    assert shown.press("v") == 13
    assert shown.press("Home", "PageDown") == 10
    assert shown.tab.evaluate("location.hash") == "#step-10"
    assert opened(explained_report(), place="#step-5").selected() == 5


@in_browser
@pytest.mark.slow
def test_a_step_is_shown_in_full_beside(opened: Open) -> None:
    """Statement, parameters, source, role, and the tables before and after with what changed."""
    shown = opened(explained_report())
    shown.tab.click("#step-6")
    details = shown.text("#details")
    assert "INSERT INTO tokens (id, agent, secret_hash, issued_at) VALUES (?, ?, ?, ?)" in details
    assert "('1c02b9da66b1e3ee', 'alpha', 'b1946ac9', 1700000000.0)" in details
    assert "/made/up/tokens.py:95 in issue" in details
    assert "Closes the race window" in details
    shown.tab.click("#step-7")
    assert "Table tokens, in db.sqlite" in shown.text("#details")
    assert shown.tab.locator("#details td.was").all_inner_texts() == ["NULL"]
    assert shown.tab.locator("#details td.now").all_inner_texts() == ["1700000000.0"]
    assert shown.tab.locator("#details tr.lone.after-row").all_inner_texts() == ["244c\tNULL"]
    shown.tab.click("#step-5")
    assert "It met somebody else's lock, and waits." in shown.text("#details")


@in_browser
@pytest.mark.slow
def test_waits_messages_and_why_are_drawn(opened: Open) -> None:
    """Blocked spans with their ends, arrows for messages, the sentences, and the order that does not fit."""
    shown = opened(explained_report())
    spans = shown.tab.locator("[data-blocked]")
    assert [each.get_attribute("data-blocked") for each in spans.all()] == ["went on", "gave up"]
    assert shown.text("#why").startswith("Worker 1's INSERT (tokens.py:95) fell between worker 0's SELECT")
    assert "harness replay counterexamples/issue-token.json" in shown.text("#again")
    assert "Where the state is 't2', call 2 can't have been answered like that." in shown.text("#orders")
    assert "Broken here: invariant" in shown.text("#timeline")
    letters = opened(report_of(over_http(), no_tables="The scenario is not installed."))
    assert letters.tab.locator("[data-message]").count() == 5
    assert not letters.tab.is_visible("#orders")
    assert letters.press("f") == 4
    assert letters.press("f") == 9
    assert "No tables before and after: The scenario is not installed." in letters.text("#again")


@in_browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1280])
def test_hostile_text_is_only_ever_text(width: int, opened: Open) -> None:
    """Nothing of it runs, becomes an element, or widens the page; what would hide or turn text round is spelt out."""
    evil, tables = marked_up()
    shown = opened(report_of(evil, command=evil.scenario, tables=tables), report_of(hostile()), width=width)
    assert shown.press("Home", "j") == 1
    assert shown.tab.evaluate("window.owned") is None
    assert shown.tab.locator("img").count() == 0
    assert "</script><script>window.owned=1</script>" in shown.text("#details")
    assert "\\u{202e}" in shown.text("#details")
    assert "\u202e" not in shown.tab.inner_text("body")
    assert shown.tab.evaluate("document.documentElement.scrollWidth") == width
    shown.tab.select_option("#chooser", "1")
    assert "\\u{1b}" in shown.text("#message")
    assert shown.tab.evaluate("document.documentElement.scrollWidth") == width


@in_browser
@pytest.mark.slow
def test_ten_thousand_steps_are_walked_with_few_elements(opened: Open) -> None:
    """The last step is there at once, the first a key away, one in the middle is found; only what is seen is built."""
    shown = opened(report_of(long(10_000)))
    assert shown.selected() == 9_999
    assert shown.press("Home") == 0
    shown.tab.fill("#find", "n + 5000 ")
    assert shown.selected() == 5_000
    assert shown.tab.locator(".row").count() < 120
    assert shown.tab.get_attribute("#step-5000", "aria-setsize") == "10000"
    assert shown.tab.locator("#step-5000").is_visible()


@in_browser
@pytest.mark.slow
def test_light_and_dark_are_as_the_system_says(opened: Open) -> None:
    """Ink on paper in one, the other way round in the other, with enough between them to read."""
    lights = []
    for scheme in ("light", "dark"):
        shown = opened(explained_report(), scheme=scheme)
        colours = [
            _light(shown.tab.evaluate(f"getComputedStyle(document.body).{name}"))
            for name in ("color", "backgroundColor")
        ]
        lights.append(colours)
    (ink, paper), (dark_ink, dark_paper) = lights
    assert (paper + 0.05) / (ink + 0.05) > 7
    assert (dark_ink + 0.05) / (dark_paper + 0.05) > 7


def _light(colour: str) -> float:
    """Return the relative luminance of a colour as a browser writes it (WCAG 2)."""
    parts: Sequence[float] = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
