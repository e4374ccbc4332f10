"""A schedule: which parked operation was let go at each step, as a value with a short text form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from harness.errors import BadInput
from harness.values.names import Choice

__all__ = ["Schedule", "delays_in", "faults_in"]


def delays_in(choices: Iterable[str]) -> int:
    """Return how many delays *choices* have: one for each process or message that one of them holds up."""
    return sum(len(Choice(choice).held_up) for choice in choices if Choice(choice).is_delay)


def faults_in(choices: Iterable[str]) -> int:
    """Return how many faults *choices* inject; a delay is none."""
    return sum(Choice(choice).is_fault and not Choice(choice).is_delay for choice in choices)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The choices of one execution, one per step.

    A choice names the operation that was let go: ``w0:c1`` is client ``c1``'s operation in worker 0,
    ``w0:clock`` the timers of worker 0 that are due, ``w1:c0#2`` the second request of client ``c0`` arriving at worker 1,
    ``!kill:w0`` a fault.
    """

    choices: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.choices)

    def __iter__(self) -> Iterator[str]:
        return iter(self.choices)

    def __str__(self) -> str:
        """Return the run-length text form, e.g. ``w0:c0*3 w1:c1``."""
        parts = ((choice, len(list(group))) for choice, group in groupby(self.choices))
        return " ".join(choice if count == 1 else f"{choice}*{count}" for choice, count in parts)

    @classmethod
    def of(cls, choices: Iterable[str]) -> Schedule:
        """Return the schedule that makes *choices* in order."""
        return cls(tuple(choices))

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Return the schedule with the text form *text*.

        Raises ``BadInput`` when a part is not ``choice`` or ``choice*count``.
        """
        choices: list[str] = []
        for part in text.split():
            choice, star, count = part.partition("*")
            if not choice or ":" not in choice or (star and not (count.isdecimal() and 0 < int(count) <= 100_000)):
                raise BadInput(
                    f"The schedule has the part {part!r}, which is neither CHOICE nor CHOICE*COUNT "
                    f"(for example w0:c0*3). Was it edited by hand?"
                )
            choices.extend([choice] * (int(count) if star else 1))
        return cls(tuple(choices))
