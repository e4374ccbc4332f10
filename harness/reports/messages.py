"""Waits for locks, and messages between clients and workers, derived from the steps alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.reports.lanes import Lanes
from harness.values.history import Step
from harness.values.names import Choice, Resource

__all__ = ["Blocked", "Message", "blocked_spans", "messages"]


@dataclass(frozen=True, slots=True)
class Blocked:
    """A task's wait for a lock, from step ``start``, which found it held, to step ``end`` (None: the wait never ended).

    ``how`` says how the wait ended: ``went on``, ``gave up``, ``cancelled``, ``killed`` or ``still waiting``.
    """

    lane: int
    start: int
    end: int | None
    how: str


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer, sent in step ``sent`` of lane ``source``, received in ``received`` of lane ``target``.

    ``fate`` is ``arrived``, ``lost`` or ``on its way``. A message that never arrived has no ``target``; its
    ``received`` is the number of the fault that lost it, if any.
    """

    kind: str
    name: str
    text: str
    sent: int | None
    source: int | None
    received: int | None
    target: int | None
    fate: str


def blocked_spans(steps: Sequence[Step], lanes: Lanes) -> tuple[Blocked, ...]:
    """Return every wait for a lock, in the order in which they began."""
    found: list[Blocked] = []
    waiting: dict[tuple[int, str], int] = {}
    for number, step in enumerate(steps):
        key = step.worker, step.lane
        if step.kind == "kill":
            for dead in [each for each in waiting if each[0] == step.worker]:
                found += _span(lanes, dead, waiting.pop(dead), end=number, how="killed")
        elif key in waiting and (step.gave_up or not step.waited):
            found += _span(lanes, key, waiting.pop(key), end=number, how=_end(step))
        elif step.waited:
            waiting.setdefault(key, number)
    for key, start in waiting.items():
        found += _span(lanes, key, start, end=None, how="still waiting")
    return tuple(sorted(found, key=lambda span: (span.start, span.lane)))


def _end(step: Step) -> str:
    if step.gave_up:
        return "gave up"
    return "cancelled" if step.kind in ("cancel", "lost") else "went on"


def _span(lanes: Lanes, key: tuple[int, str], start: int, *, end: int | None, how: str) -> Iterator[Blocked]:
    lane = lanes.task(*key)
    if lane is not None:
        yield Blocked(lane, start, end, how)


def messages(steps: Sequence[Step], lanes: Lanes) -> tuple[Message, ...]:
    """Return every request and answer that was sent or that arrived in *steps*, in the order of sending."""
    post = _Post(lanes)
    for number, step in enumerate(steps):
        post.see(number, step)
    return tuple(sorted([*post.found, *post.under_way()], key=lambda each: (each.sent or 0, each.name)))


class _Post:
    """Tracks the messages from step to step."""

    def __init__(self, lanes: Lanes) -> None:
        self.found: list[Message] = []
        self._lanes = lanes
        self._requests: dict[str, tuple[int, int | None]] = {}
        self._answers: dict[str, tuple[int, int | None]] = {}
        self._served: dict[str, int | None] = {}

    def see(self, number: int, step: Step) -> None:
        """Update the messages by step *number*: those it received, lost or sent."""
        name = Choice(step.choice).message
        lane = self._lanes.of(step)
        if step.kind == "request":
            self._served[name] = lane
            self._arrived("request", name, step, number=number, sending=self._requests.pop(name, (None, None)))
        elif step.kind == "answer":
            self._arrived("answer", name, step, number=number, sending=self._answers.pop(name, (None, None)))
        elif step.kind == "lose":
            for kind, pending in (("request", self._requests), ("answer", self._answers)):
                if name in pending:
                    sent, source = pending.pop(name)
                    self.found.append(Message(kind, name, step.text, sent, source, number, None, "lost"))
        elif step.kind == "duplicate" and name in self._requests:
            # A duplicate has the name of its request with a ``b`` appended; only one duplicate is under way at a time.
            self._requests[f"{name}b"] = number, self._requests[name][1]
        else:
            self._sends(number, step, lane)

    def _arrived(
        self, kind: str, name: str, step: Step, *, number: int, sending: tuple[int | None, int | None]
    ) -> None:
        text = f"{step.text} {step.detail}".strip()
        self.found.append(Message(kind, name, text, *sending, number, self._lanes.of(step), "arrived"))

    def _sends(self, number: int, step: Step, lane: int | None) -> None:
        for resource, _ in step.accesses:
            kind, name = Resource(resource).kind, Resource(resource).name
            if kind == "request" and self._lanes.is_client(step.worker):
                self._requests[name] = number, lane
            elif kind == "answer" and not self._lanes.is_client(step.worker):
                self._answers[name] = number, lane if lane is not None else self._served.get(name)

    def under_way(self) -> Iterator[Message]:
        """Yield the requests that never arrived.

        Answers are left out: an access to an answer does not prove that one was sent, because a worker may only have
        asked whether its client is still there.
        """
        for name, (sent, source) in self._requests.items():
            yield Message("request", name, "", sent, source, None, None, "on its way")
