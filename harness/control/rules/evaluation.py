"""Asks one rule, awaits it if it is a coroutine, and tells a broken rule from a rule that itself failed."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from harness.control.rules.virtual_view import real_monotonic
from harness.errors import Unjudged
from harness.scenario import Change, Check
from harness.values.history import History

__all__ = ["Broken", "RuleFailed", "ask", "breaks", "first_broken"]

Broken = tuple[str, str]
"""The name of a broken rule and its message."""

_LINES = 6


class RuleFailed(Unjudged):
    """A rule raised something other than ``AssertionError``, so it has not said whether it holds."""


def first_broken(checks: Sequence[Check], *arguments: History | Path | Change) -> Broken | None:
    """Return the name and message of the first broken rule among *checks*, None if all hold; raises ``RuleFailed``."""
    return next((broken for check in checks if (broken := breaks(check, *arguments)) is not None), None)


def breaks(check: Check, *arguments: History | Path | Change) -> Broken | None:
    """Ask *check*; return its name and message if it is broken, None if it holds; raises ``RuleFailed``."""
    try:
        answer = ask(check, *arguments)
    except AssertionError as error:
        return check.name, _message(error, arguments)
    if answer is False:
        return check.name, "it returned False"
    return None


def _message(error: BaseException, arguments: tuple[History | Path | Change, ...]) -> str:
    message = str(error) or "the assertion failed"
    for folder in {argument.parent for argument in arguments if isinstance(argument, Path)}:
        # The path of the copy says nothing, and differs from run to run.
        message = message.replace(f"{folder}/", "")
    return message


def ask(check: Check, *arguments: Any) -> object:
    """Call *check*, await the result if need be, and return it.

    Raises ``AssertionError`` if the rule asserts that it is broken, or raises a group of nothing but such assertions,
    and ``RuleFailed`` if it raises anything else or is a generator function. ``KeyboardInterrupt`` passes through.
    """
    holds: Callable[..., object] = check.holds
    try:
        answer = holds(*arguments)
        if inspect.isawaitable(answer):
            answer = _awaited(answer)
    except (AssertionError, KeyboardInterrupt):
        raise
    except BaseExceptionGroup as group:
        if group.split(AssertionError)[1] is None:
            raise AssertionError("; ".join(str(error) for error in _leaves(group))) from group
        raise _failed(check, group) from group
    except BaseException as error:
        raise _failed(check, error) from error
    if inspect.isgenerator(answer) or inspect.isasyncgen(answer):
        raise RuleFailed(
            f"The rule {check.name!r} is a generator function (it has a 'yield'), so calling it ran nothing of it. Make it a "
            "function or a coroutine function that asserts, or returns whether it holds."
        )
    return answer


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def _failed(check: Check, error: BaseException) -> RuleFailed:
    # Leave out the frames of this file, which come first.
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if frame.filename != __file__] or frames
    lines = "".join(traceback.format_list(theirs[-_LINES:]) + traceback.format_exception_only(error)).rstrip()
    return RuleFailed(
        f"The rule {check.name!r} raised {type(error).__name__}, so nobody knows whether it holds: a rule says that it is "
        f"broken with an AssertionError or by returning False.\n{lines}"
    )


class _RuleLoop(asyncio.SelectorEventLoop):
    """An event loop that runs on real time, because virtual time does not pass while a rule waits."""

    def time(self) -> float:
        """Return real time in seconds."""
        return real_monotonic()


def _awaited(answer: Any) -> object:
    """Run the awaitable *answer* to its end in an event loop of its own and return its result.

    This works even if this thread already runs an event loop, as it does in a test that is a coroutine.
    """
    outer = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    loop = _RuleLoop()
    try:
        return loop.run_until_complete(_whole(answer))
    finally:
        try:
            loop.run_until_complete(_end_tasks())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()
            asyncio._set_running_loop(outer)


def _whole(answer: Any) -> Coroutine[Any, Any, object]:
    async def whole() -> object:
        return await answer

    return whole()


async def _end_tasks() -> None:
    """Cancel the tasks that a rule has left running in its loop."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
