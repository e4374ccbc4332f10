"""Sequential specifications of general use. Each is a value; ``dataclasses.replace`` makes variants of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from harness.checks.operations import UNKNOWN, Operation, Raised
from harness.checks.sequential import Arguments, Spec, frozen

__all__ = ["KEY_VALUE", "ONE_ACTIVE", "REGISTER", "RESERVATION"]


def _register(state: Any, operation: str, arguments: Arguments, result: Any) -> Iterable[Hashable]:
    if operation == "read":
        return (state,) if result is UNKNOWN or result == state else ()
    if operation == "write":
        return (arguments[0],)
    expected, wanted = arguments
    if state == expected:
        return (wanted,) if result is not False else ()
    return (state,) if result is not True else ()


REGISTER = Spec("a register", None, _register, reads=lambda operation: operation.name == "read")
"""``read() -> value``, ``write(value)``, ``cas(expected, value) -> bool``; the register is empty (None) at first."""


def _key_value(state: Any, operation: str, arguments: Arguments, result: Any) -> Iterable[Hashable]:
    if operation == "get":
        return (state,) if result is UNKNOWN or result == state else ()
    return (arguments[1],) if operation == "put" else (state + arguments[1],)


def _outlook(operations: Sequence[Operation]) -> Callable[[Any, Operation], bool]:
    """Return a function that tells whether a read is still possible: without a ``put``, a value only becomes longer."""
    puts = any(operation.name == "put" for operation in operations)

    def hopeful(state: Any, read: Operation) -> bool:
        return puts or read.result is UNKNOWN or str(read.result).startswith(state)

    return hopeful


KEY_VALUE = Spec(
    "a key-value store",
    "",
    _key_value,
    partition=lambda operation: operation.arguments[0],
    reads=lambda operation: operation.name == "get",
    outlook=_outlook,
)
"""``get(key) -> text``, ``put(key, text)``, ``append(key, text)``; every key holds the empty text at first."""


def _reservation(state: Any, operation: str, arguments: Arguments, result: Any) -> Iterable[Hashable]:
    del operation
    request = frozen(arguments[1:])
    if state is None:
        if result is UNKNOWN:
            return (None, (request, UNKNOWN))
        return ((request, frozen(result)),) if not isinstance(result, Raised) else (None,)
    bound, answer = state
    if bound != request:
        return (state,) if isinstance(result, Raised) or result is UNKNOWN else ()
    if isinstance(result, Raised) or result is UNKNOWN:
        return (state,)
    if answer is UNKNOWN:
        return ((bound, frozen(result)),)
    return (state,) if frozen(result) == answer else ()


RESERVATION = Spec("an idempotent reservation", None, _reservation, partition=lambda operation: operation.arguments[0])
"""Any operation that has a key as its first argument and a request as its other arguments. The first success binds the key
to the request, and every later success for the key has the same request and the same result. An error is always possible and
changes nothing."""


def _one_active(state: Any, operation: str, arguments: Arguments, result: Any) -> Iterable[Hashable]:
    failed = isinstance(result, Raised)
    if operation == "issue":
        if state is not None:
            return (state,) if failed or result is UNKNOWN else ()
        return (None,) if failed else (result,)
    if operation == "rotate":
        if state is None:
            return (None,) if failed or result is UNKNOWN else ()
        return (state,) if failed else (result,)
    if operation == "revoke":
        fits = state is not None and (state == arguments[1] or state is UNKNOWN)
        if failed:
            return (state,)
        return (None,) if fits else ((state,) if result is UNKNOWN else ())
    return (state,) if result is UNKNOWN or state is UNKNOWN or result == state else ()


ONE_ACTIVE = Spec(
    "one active token per subject",
    None,
    _one_active,
    partition=lambda operation: operation.arguments[0],
    reads=lambda operation: operation.name == "get_active",
)
"""``issue(subject) -> id`` if no token is active, ``rotate(subject) -> id`` if one is, ``revoke(subject, id)`` of the active
token, ``get_active(subject) -> id or None``. An error changes nothing."""
