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

    A specification is a value; make a variant with ``dataclasses.replace``. The only parts that are needed are the
    first three, the others make explanations readable and the search fast.
    """

    name: str
    initial: Hashable
    """The state before the first operation."""
    step: Step
    """``step(state, operation, arguments, result)`` returns every state the object may be in after *operation* was
    called in *state* and gave *result*: none if it can't have given that result, one for a deterministic object, more
    where the object may choose. Where *result* is ``UNKNOWN``, that is the states after every result it could have
    given. It is a pure function, and states are hashable and never changed."""
    partition: Callable[[Operation], Hashable] | None = None
    """Returns the key of the part of the object that an operation is about (a subject, a key). Operations with different
    keys must not influence each other: each part is checked by itself (locality; Herlihy and Wing 1990)."""
    reads: Callable[[Operation], bool] | None = None
    """Whether an operation with this result changes nothing, in whatever state it takes effect. Such an operation is placed
    as soon as it fits, without trying anything else, and left out where its result is unknown."""
    outlook: Callable[[Sequence[Operation]], Hopeful] | None = None
    """``outlook(operations)`` is asked once per partition and returns ``hopeful(state, read)``: whether *read*, which
    must come later, may still fit in *state* or in any state that *operations* can lead to from there. Where it
    says no, the search turns back at once; where in doubt, it must say yes."""
    describe: Callable[[Any], str] = repr
    """A state in words, for explanations."""


def deterministic(function: Callable[[Any, str, Arguments, Any], tuple[bool, Hashable]]) -> Step:
    """Return the step function made of one that returns whether the result fits, and the state after it.

    This is the form of Porcupine's models, for objects that never choose.
    """

    def step(state: Any, operation: str, arguments: Arguments, result: Any) -> Iterable[Hashable]:
        fits, after = function(state, operation, arguments, result)
        return (after,) if fits else ()

    return step


def frozen(value: object) -> Hashable:
    """Return a hashable value that equals the one made of an equal *value*: lists as tuples, objects as sorted pairs.

    Anything else is returned as it is; raises ``TypeError`` where that can't be hashed.
    """
    if isinstance(value, (list, tuple)):
        return tuple(map(frozen, value))
    if isinstance(value, dict):
        return ("{}", tuple(sorted(((str(key), frozen(part)) for key, part in value.items()), key=repr)))
    hash(value)
    return value
