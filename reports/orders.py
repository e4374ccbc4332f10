"""Why a history is not linearizable, as a picture's data: the calls over time, and the orders that came furthest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.checks.linearizability import DeadEnd, Linearizability, Operation, Spec

__all__ = ["Order", "OrderedCall", "Orders", "Placed", "orders_of"]


@dataclass(frozen=True, slots=True)
class OrderedCall:
    """A call over time: ``begin`` and ``end`` are places in the history (None: it never returned)."""

    client: str
    text: str
    begin: int
    end: int | None


@dataclass(frozen=True, slots=True)
class Placed:
    """A call, by its number among the calls, put next in an order; ``state`` after it, empty where it may be one of several."""

    call: int
    state: str


@dataclass(frozen=True, slots=True)
class Order:
    """An order that came as far as any: what was ``placed``, the ``state`` then, what is ``stuck``, what else did not help."""

    placed: tuple[Placed, ...]
    state: str
    stuck: int
    others: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Orders:
    """The calls of the part of the object that was refuted, and every way that was tried to its furthest."""

    spec: str
    partition: str
    initial: str
    calls: tuple[OrderedCall, ...]
    orders: tuple[Order, ...]


def orders_of(found: Linearizability) -> Orders | None:
    """Return the view of *found*, None where nothing was refuted.

    The calls are those that the orders name: what was placed, what could not be, and what else might have come.
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
        # Where there was a choice, the states in between are not remembered.
        states = list(spec.step(states[0], call.name, call.arguments, call.result)) if len(states) == 1 else []
        yield Placed(numbers[call], spec.describe(states[0]) if len(states) == 1 else "")
