"""Sequential specifications: pure step functions over immutable states (after Porcupine's models)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.checks.operations import Operation

__all__ = ["Arguments", "Spec", "deterministic", "frozen"]

Arguments = tuple[Any, ...]
"""The arguments of an operation."""

Step = Callable[[Any, str, Arguments, Any], Iterable[Hashable]]
Hopeful = Callable[[Any, Operation], bool]


@dataclass(frozen=True, slots=True)
class Spec:
    """The behaviour of an object when its operations come one after another.

    A specification is a value; make a variant with ``dataclasses.replace``. Only the first three fields are required; the
    others make explanations readable and the search fast.
    """

    name: str
    initial: Hashable
    """The state before the first operation."""
    step: Step
    """``step(state, operation, arguments, result)`` returns every state that the object may be in after *operation* was
    called in *state* and gave *result*: none if it can't have given that result, one for a deterministic object, more
    if the object may choose. If *result* is ``UNKNOWN``, it returns the states after every result that *operation* could
    have given. It is a pure function, and states are hashable and never changed."""
    partition: Callable[[Operation], Hashable] | None = None
    """Returns the key of the part of the object that an operation is about (a subject, a key). Operations with different
    keys must not influence each other: each part is checked by itself (locality; Herlihy and Wing 1990)."""
    reads: Callable[[Operation], bool] | None = None
    """Returns whether an operation with this result changes nothing, in any state in which it takes effect. Such an operation
    is placed as soon as it fits, without trying anything else, and is left out if its result is unknown."""
    outlook: Callable[[Sequence[Operation]], Hopeful] | None = None
    """``outlook(operations)`` is called once per partition and returns a function ``hopeful(state, read)``. That returns
    whether *read*, which must come later, may still fit in *state* or in any state that *operations* can lead to from
    there. If it returns False, the search turns back at once; in doubt it must return True."""
    describe: Callable[[Any], str] = repr
    """Returns a state in words, for explanations."""


def deterministic(function: Callable[[Any, str, Arguments, Any], tuple[bool, Hashable]]) -> Step:
    """Return a step function made of *function*, which returns whether the result fits, and the state after it.

    *function* has the form of Porcupine's models, for objects that never choose.
    """

    def step(state: Any, operation: str, arguments: Arguments, result: Any) -> Iterable[Hashable]:
        fits, after = function(state, operation, arguments, result)
        return (after,) if fits else ()

    return step


def frozen(value: object) -> Hashable:
    """Return *value* as a hashable value: lists become tuples, and dicts become sorted pairs.

    Equal values give equal results. Any other value is returned as it is; raises ``TypeError`` if it can't be hashed.
    """
    if isinstance(value, (list, tuple)):
        return tuple(map(frozen, value))
    if isinstance(value, dict):
        return ("{}", tuple(sorted(((str(key), frozen(part)) for key, part in value.items()), key=repr)))
    hash(value)
    return value
