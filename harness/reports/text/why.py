"""Why a race fails, in sentences: its window, the deciding order, the faults it needs, how its neighbours end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from harness.reports.text.terminal import columns, counted, escaped, one_line, padded, shortened, wrapped
from harness.reports.text.words import NOUNS, Words
from harness.result import Execution
from harness.saved.counterexample import Counterexample
from harness.values.explanation import Exchange, Explanation, FaultRole, Named, Place, Window
from harness.values.history import Step
from harness.values.lost_writes import Undone, undone
from harness.values.names import Resource

__all__ = ["as_data", "explanation_lines", "place_of", "sentences"]

Line = tuple[str, str]
"""A style, and the text to show in it."""

_PROBE = "probe"
_MOST_WINDOWS = 4
"""How many windows are put into words; the data has all of them."""
_MOST_STEPS = 6
"""How many steps of a loop are named."""
_DOES = {"r": "reads", "w": "writes", "a": "makes or removes"}


def explanation_lines(why: Explanation | str, race: Execution | Counterexample, width: int) -> Iterator[Line]:
    """Yield lines of at most *width* columns on why *race* fails; a *why* that is text says why that is unknown."""
    if not why:
        return
    if isinstance(why, str):
        yield from (("dim", line) for line in wrapped(f"Why can't be said: {one_line(why)}", width, most=4, hang=2))
        return
    words = Words(race)
    first, *more = _causes(why, words)
    line, *others = wrapped(f"Why: {first}", width, hang=2)
    yield "title", line
    yield from (("title", f"  {line}") for line in others)
    for text in more:
        yield from (("title", f"  {line}") for line in wrapped(text, width - 2))
    yield from (("", line) for line in _meeting(why, words, width))
    for text in _details(why, words):
        yield from (("", f"  {line}") for line in wrapped(text, width - 2))
    if (pair := why.critical) is not None:
        passing = f"Nearest passing schedule: {escaped(str(pair.passing))}"
        yield from (("dim", f"  {line}") for line in wrapped(passing, width - 2, most=2))


def sentences(why: Explanation, race: Execution | Counterexample) -> list[str]:
    """Return *why* as sentences about *race*, the most important first."""
    words = Words(race)
    return [*_causes(why, words), *_details(why, words)]


def place_of(race: Execution | Counterexample) -> Callable[[Step], str]:
    """Return a function from a step of *race* to its most telling source line: for a helper, the line that calls it."""
    return Words(race).place


def as_data(why: Explanation, race: Execution | Counterexample) -> dict[str, Any]:
    """Return *why* as plain data, with sentences about *race*."""
    return {
        "sentences": sentences(why, race),
        "windows": [
            {
                "at": window.at,
                "preempts": window.preempts,
                "opens": _named(window.opens),
                "intruding": _named(window.intruding),
                "closes": _named(window.closes),
                "places": _places_data(window.places),
                "opening": _pair_data(window.opening),
                "closing": _pair_data(window.closing),
            }
            for window in why.windows
        ],
        "faults": [
            {
                "at": role.at,
                "essential": role.essential,
                "instead": role.instead or None,
                "after": _named(role.after),
                "before": _named(role.before),
                "places": _places_data(role.places),
            }
            for role in why.faults
        ],
        "critical": _pair_data(why.critical),
        "overlap": why.overlap,
        "neighbours": why.neighbours,
        "failing": why.failing,
        "otherwise": why.otherwise,
        "executions": why.executions,
        "seconds": round(why.seconds, 6),
        "cut_short": why.cut_short or None,
    }


def _named(found: Named | None) -> dict[str, Any] | None:
    if found is None:
        return None
    step, source = found.step, found.step.source
    return {
        "number": found.number,
        "worker": step.worker,
        "lane": step.lane,
        "kind": step.kind,
        "text": step.text,
        "source": str(source) if source else None,
        "accesses": [f"{access.mode} {access.resource}" for access in step.accesses],
    }


def _places_data(places: Sequence[Place]) -> list[dict[str, Any]]:
    return [{"by": place.by, "outcome": place.outcome} for place in places]


def _pair_data(pair: Exchange | None) -> dict[str, Any] | None:
    if pair is None:
        return None
    return {
        "first": _named(pair.first),
        "second": _named(pair.second),
        "conflicts": [dict(each._asdict()) for each in pair.conflicts],
        "failing": str(pair.failing),
        "passing": str(pair.passing),
    }


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# --- causes ---------------------------------------------------------------------------------------


def _causes(why: Explanation, words: Words) -> list[str]:
    """Return sentences on the conditions that together make the race fail."""
    if why.repeats:
        return _endless(why.repeats, words)
    found = [_window(window, words) for window in why.windows[:_MOST_WINDOWS]]
    if (more := len(why.windows) - _MOST_WINDOWS) > 0:
        found.append(f"The order matters in {counted(more, 'more place')}.")
    found += [
        _fault(role, words) for role in [role for role in why.faults if role.essential is not False] or why.faults
    ]
    if not any(window.preempts for window in why.windows) and not why.faults:
        free = (
            "No preemption and no fault is needed: each call goes on until it ends or has to wait."
            if why.overlap
            else "No interleaving and no fault is needed: it fails with one call after another."
        )
        if not why.windows and why.neighbours:
            free += " So do the other orders tried." if why.failing == why.neighbours and not why.cut_short else ""
        if not why.overlap and why.alone is not None:
            free += (
                " With all calls in one worker it fails, too: this is no race."
                if why.alone
                else " With all calls in one worker it passes: what a worker keeps in its own memory matters."
            )
        found.insert(0, free)
    return [*found, *(_undone(each, words) for each in undone(words.steps))]


def _undone(each: Undone, words: Words) -> str:
    """Return a sentence on writes that a step rolled back: those of other tasks, or a killed worker's own."""
    steps = words.steps
    step = steps[each.at]
    written = ", ".join(
        f"{words.whose(steps[number])} {words.what(Named(steps[number], number))}" for number in each.writes
    )
    if step.kind == "kill":
        return f"That rolled back uncommitted changes: {written}."
    return f"{_capital(words.whose(step))} {words.what(Named(step, each.at))} took back {written}: they share a connection."


def _endless(repeats: Sequence[Named], words: Words) -> list[str]:
    """Return a sentence for each task that never ends, with the steps that it repeats."""
    found: dict[str, list[str]] = {}
    for each in repeats:
        found.setdefault(words.who(each.step), []).append(words.what(each))
    for steps in found.values():
        steps[_MOST_STEPS:] = ["..."] if len(steps) > _MOST_STEPS else []
    return [f"{_capital(who)} goes on for ever: it repeats {', '.join(steps)}." for who, steps in found.items()]


def _window(window: Window, words: Words) -> str:
    opens, closes, came = map(_shown, (window.opens, window.closes, window.intruding))
    matters = window.opens is not None or window.closes is not None
    if came is None or (matters and opens is None and closes is None):
        return f"A task took over at step {window.at}, and where it does matters."
    who = _capital(f"{words.whose(came.step)} {words.what(came)}")
    if opens is not None and closes is not None:
        its = words.whose(closes.step) if words.who(closes.step) != words.who(opens.step) else "its"
        return f"{who} fell between {words.whose(opens.step)} {words.what(opens)} and {its} {_other(opens, closes, words)}."
    if opens is not None:
        comes = "must come" if _decides(window.opening, opens, came) and not window.preempts else "came"
        return f"{who} {comes} after {words.whose(opens.step)} {words.what(opens)}."
    if closes is not None:
        return f"{who} came before {words.whose(closes.step)} {words.what(closes)}."
    return f"{who} came in at step {window.at}; where exactly makes no difference nearby."


def _shown(found: Named | None) -> Named | None:
    """Return *found* if it is a step of the counterexample, else None: the reader can't see a neighbour's steps."""
    return found if found is not None and found.number is not None else None


def _decides(pair: Exchange | None, first: Named, second: Named) -> bool:
    """Return whether *pair* consists of these two steps: its reversed order was run and passes."""
    return pair is not None and {pair.first.number, pair.second.number} == {first.number, second.number}


def _other(opens: Named, closes: Named, words: Words) -> str:
    """Return the words for *closes*, with "next" before them if they are the same as those for *opens*."""
    one, other = words.what(opens), words.what(closes)
    return f"next {other}" if one == other else other


def _fault(role: FaultRole, words: Words) -> str:
    ends = (("after", role.after), ("before", role.before))
    own = words.who(words.steps[role.at])
    edges = [
        f"{word} {'its' if words.who(end.step) == own else words.whose(end.step)} {words.what(end)}"
        for word, end in ends
        # The step after the fault is shown even if it never ran: a worker that is killed does not reach it.
        if end is not None and (end.number is not None or end is role.before)
    ]
    return f"{_capital(words.fault(role.at))} {' and '.join(edges)}".rstrip() + "."


# --- evidence -------------------------------------------------------------------------------------


def _details(why: Explanation, words: Words) -> list[str]:
    """Return sentences on the deciding orders, on moved or omitted preemptions and faults, and on the neighbours."""
    found = [_orders(why, words)]
    for window in why.windows[:_MOST_WINDOWS]:
        if window.preempts:
            found.append(_moved(f"the preemption at step {window.at}", window.places))
    for role in why.faults:
        kind = words.steps[role.at].kind
        name = f"the {NOUNS.get(kind, kind)} at step {role.at}"
        if role.essential:
            broken = f"another rule breaks: {one_line(role.instead)}" if role.instead else "it passes"
            found.append(f"Without {name} {broken}.")
        elif role.essential is False:
            found.append(f"{_capital(name)} is not needed: without it it fails, too.")
        found.append("" if role.essential is False else _moved(name, role.places))
    if why.neighbours:
        other = f" ({why.otherwise} by another rule)" if why.otherwise else ""
        run = f" The run that found it failed in {why.run_failures:,} of {counted(why.run_executions, 'execution')}."
        found.append(
            f"Of {counted(why.neighbours, 'neighbouring schedule')} {why.failing} failed{other}."
            f"{run if why.run_executions else ''}"
        )
    if why.cut_short:
        found.append(f"Not all neighbours were tried: it stopped at {one_line(why.cut_short)}.")
    return [text for text in found if text]


def _orders(why: Explanation, words: Words) -> str:
    """Return a sentence with the pairs of steps that decide by their order, each once; empty if there is none."""
    pairs: dict[tuple[str, str], Exchange] = {}
    for window in why.windows[:_MOST_WINDOWS]:
        for pair in (window.opening, window.closing):
            if pair is not None and _shown(pair.first) and _shown(pair.second):
                pairs.setdefault((words.step(pair.first), words.step(pair.second)), pair)
    if not pairs:
        return ""
    places = list(dict.fromkeys(words.meet(pair.conflicts) for pair in pairs.values()))
    told = [f"{first} before {second}" for first, second in pairs]
    if len(places) > 1:
        told = [f"{text} (at {words.meet(pair.conflicts)})" for text, pair in zip(told, pairs.values(), strict=True)]
    where = f", at {places[0]}" if len(places) == 1 else ""
    any_ = "either" if len(told) == 2 else "any one of them"
    if len(told) == 1:
        return f"The order that decides{where}: {told[0]}. The other way round it passes."
    return f"It takes {len(told)} orders{where}: {'; '.join(told)}. With {any_} the other way round it passes."


def _moved(name: str, places: Sequence[Place]) -> str:
    passing = [place.by for place in places if place.outcome == "passes"]
    failing = [place.by for place in places if place.outcome == "fails"]
    if not passing:
        return ""
    where = " or ".join(_by(place) for place in passing)
    still = " or ".join(_by(place) for place in (min(failing), max(failing)) if place)
    if not still:
        return f"With {name} moved {where} it passes."
    return f"With {name} moved up to {still} it still fails; {where} it passes."


def _by(steps: int) -> str:
    return f"{counted(abs(steps), 'step')} {'later' if steps > 0 else 'earlier'}"


def _meeting(why: Explanation, words: Words, width: int) -> Iterator[str]:
    """Yield a line for each step that matters: its number, its task, its text, and the resources it touched."""
    found: dict[tuple[int | None, str], Named] = {}
    for window in why.windows[:_MOST_WINDOWS]:
        deciding = [end for pair in (window.opening, window.closing) if pair for end in (pair.first, pair.second)]
        for each in (window.opens, *deciding, window.intruding, window.closes):
            if each is not None and each.number is not None and each.step.accesses:
                found.setdefault((each.number, each.step.digest), each)
    rows = sorted(found.values(), key=lambda each: (each.number is None, each.number))
    touched = [_touched(each.step) for each in rows]
    if not any(touched):
        return
    names = [words.who(each.step) for each in rows]
    name, last = max(map(columns, names)), max(map(columns, touched))
    room = width - 8 - name - 2 - last - 2
    if room < 12:
        return
    texts = [shortened(_told(each), room) for each in rows]
    room = max(map(columns, texts))
    for each, who, text, touches in zip(rows, names, texts, touched, strict=True):
        number = "" if each.number is None else str(each.number)
        yield f"  {number:>4}  {padded(who, name)}  {padded(text, room)}  {touches}".rstrip()


def _told(found: Named) -> str:
    step = found.step
    if found.statement is not None:
        return one_line(f"{step.text} of {found.statement.text}")
    return one_line(f"call {step.text}" if step.kind in ("call", _PROBE) else step.text)


def _touched(step: Step) -> str:
    """Return the data that *step* read or wrote, or the locks it took if it took any without writing data."""
    data: dict[str, str] = {}
    for access in sorted(step.accesses, key=lambda access: access.mode):
        if access.what.is_data and access.mode != "a":
            data[access.resource] = f"{_DOES.get(access.mode, access.mode)} {_resource(access.resource)}"
    locks = [
        f"locks {_resource(access.resource)}"
        for access in step.accesses
        if access.what.is_lock and access.mode == "w" and "writes" not in " ".join(data.values())
    ]
    return escaped(", ".join([*locks] or [*data.values()]))


def _resource(resource: str) -> str:
    return Resource(resource).name or resource
