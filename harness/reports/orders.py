"""Data for a picture of why a history is not linearizable: the calls over time, and the longest orders tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.checks.linearizability import DeadEnd, Linearizability, Operation, Spec

__all__ = ["Order", "OrderedCall", "Orders", "Placed", "orders_of"]


@dataclass(frozen=True, slots=True)
class OrderedCall:
    """A call over time: ``begin`` and ``end`` are positions in the history (``end`` is None if it never returned)."""

    client: str
    text: str
    begin: int
    end: int | None


@dataclass(frozen=True, slots=True)
class Placed:
    """A call put next in an order: its number among the calls, and the ``state`` after it (empty if ambiguous)."""

    call: int
    state: str


@dataclass(frozen=True, slots=True)
class Order:
    """An order of calls that could not be extended.

    ``placed`` are the calls in order, ``state`` is the state after them. ``stuck`` is the number of the call that can't
    come next, ``others`` are those of other calls that could not come next either.
    """

    placed: tuple[Placed, ...]
    state: str
    stuck: int
    others: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Orders:
    """The calls of the partition that is not linearizable, and the orders that were tried as far as they go."""

    spec: str
    partition: str
    initial: str
    calls: tuple[OrderedCall, ...]
    orders: tuple[Order, ...]


def orders_of(found: Linearizability) -> Orders | None:
    """Return the calls and orders of *found*, or None if no partition was refuted.

    The calls are those that the orders name: calls placed, the calls that got stuck, and those that waited with them.
    """
    part = found.refuted
    if part is None:
        return None
    named = {call: None for end in part.dead_ends for call in (*end.order, end.stuck, *end.waiting)}
    calls = sorted(named, key=lambda call: (call.invoked, call.client))
    numbers = {call: number for number, call in enumerate(calls)}
    return Orders(
        spec=found.spec.name,
        partition="" if part.key is None else repr(part.key),
        initial=found.spec.describe(found.spec.initial),
        calls=tuple(OrderedCall(call.client, str(call), call.invoked, call.returned) for call in calls),
        orders=tuple(_order(end, found.spec, numbers) for end in part.dead_ends),
    )


def _order(end: DeadEnd, spec: Spec, numbers: dict[Operation, int]) -> Order:
    return Order(
        placed=tuple(_placed(end, spec, numbers)),
        state=spec.describe(end.state),
        stuck=numbers[end.stuck],
        others=tuple(numbers[call] for call in end.waiting if call is not end.stuck),
    )


def _placed(end: DeadEnd, spec: Spec, numbers: dict[Operation, int]) -> Iterator[Placed]:
    states = [spec.initial]
    for call in end.order:
        # Once a call can lead to several states, the later states are ambiguous and not shown.
        states = list(spec.step(states[0], call.name, call.arguments, call.result)) if len(states) == 1 else []
        yield Placed(numbers[call], spec.describe(states[0]) if len(states) == 1 else "")
