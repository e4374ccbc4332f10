"""The values: schedules, verdicts, plain data, messages. No process is started here."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import marshal
import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.boundary.wire import Peer, PeerGone
from harness.errors import BadInput
from harness.values.names import Choice, Resource, Task
from harness.values.plain import plain
from harness.values.schedule import Schedule
from harness.verdict import Verdict, merge

NAMES = st.from_regex(r"w[0-9]{1,2}:c[0-9](/[1-9])?(\+[2-9])?|w[0-9]:clock|!kill:w[0-9]", fullmatch=True)


@given(st.lists(NAMES, max_size=30))
def test_a_schedule_is_read_back_from_its_text(choices: list[str]) -> None:
    """The text form says everything that a schedule is."""
    schedule = Schedule.of(choices)
    assert Schedule.parse(str(schedule)) == schedule
    assert len(Schedule.parse(str(schedule))) == len(choices)


def test_a_schedule_counts_repetitions() -> None:
    """Equal choices in a row are written once, with their number."""
    assert str(Schedule.of(["w0:c0"] * 3 + ["w1:c1"])) == "w0:c0*3 w1:c1"


@pytest.mark.parametrize("text", ["w0", "w0:c0*", "w0:c0*0", "w0:c0*x", "w0:c0*-1", "*3", "w0:c0*100001"])
def test_a_text_that_is_no_schedule_is_refused(text: str) -> None:
    """What is not a choice, or a choice and a sensible number, is bad input that names the part."""
    with pytest.raises(BadInput, match=f"{text[:3]!s}".replace("*", r"\*")):
        Schedule.parse(f"w0:c0 {text}")


@pytest.mark.parametrize(("choice", "number"), [("w1:c0", 1), ("w12:clock", 12), ("!kill:w3", 3), ("w0:c0/1+2", 0)])
def test_a_choice_names_its_worker(choice: str, number: int) -> None:
    """The worker's number can be read from each kind of choice."""
    assert Choice(choice).worker == number


@pytest.mark.parametrize(
    ("task", "family", "client", "started"),
    [
        ("c0", "c0", "c0", False),
        ("c0/1", "c0", "c0", True),
        ("c0#2", "c0#2", "c0", False),
        ("c0#2/1", "c0#2", "c0", True),
    ],
)
def test_a_task_names_its_client(task: str, family: str, client: str, *, started: bool) -> None:
    """The call, the client, and whether another task started it can be read from each kind of task."""
    assert (Task(task).family, Task(task).client, Task(task).was_started) == (family, client, started)


def test_a_choice_says_what_it_is() -> None:
    """Faults and delays are told from choices of tasks, and each names what it concerns."""
    kill, delay, task, arrival = (Choice(name) for name in ("!kill:w3", "!delay:c0#1+w1", "w0:c0/1", "w1:c0#2"))
    assert [each.is_fault for each in (kill, delay, task, arrival)] == [True, True, False, False]
    assert [each.is_delay for each in (kill, delay, task, arrival)] == [False, True, False, False]
    assert (kill.head, kill.process, task.head, task.process) == ("!kill", "w3", "w0", "w0")
    assert (delay.held_up, delay.worker, task.timers, task.family) == (["c0#1", "w1"], -1, "w0:clock", "w0:c0")
    assert (arrival.message, Choice("!lose:c0#2").message) == ("c0#2", "c0#2")
    assert Choice("w0:clock").is_timers
    assert not task.is_timers


@pytest.mark.parametrize(
    ("text", "kind", "name", "shared"),
    [
        ("data:a:b.db", "data", "a:b.db", True),
        ("lock:a.db", "lock", "a.db", True),
        ("process:0", "process", "0", False),
        ("clock", "clock", "", False),
        ("*", "*", "", True),
    ],
)
def test_a_resource_says_what_it_is(text: str, kind: str, name: str, *, shared: bool) -> None:
    """Content, locks, memory and time are told apart, and only what code shares on purpose is shared."""
    resource = Resource(text)
    assert (resource.kind, resource.name, resource.is_shared) == (kind, name, shared)
    assert (resource.is_data, resource.is_lock, resource.is_memory) == (
        kind == "data",
        kind == "lock",
        kind == "process",
    )


@given(st.lists(st.sampled_from(Verdict)))
def test_verdicts_merge_by_severity(verdicts: list[Verdict]) -> None:
    """Invalid beats unknown, unknown beats valid, nothing is valid, and the order does not matter."""
    expected = next((verdict for verdict in (Verdict.INVALID, Verdict.UNKNOWN) if verdict in verdicts), Verdict.VALID)
    assert merge(verdicts) is expected
    assert merge(reversed(verdicts)) is expected


class Colour(enum.Enum):
    """Something with a value."""

    RED = 3


@dataclasses.dataclass
class Pair:
    """Something with parts."""

    left: int
    right: object


class Silent:
    """Something that can't be shown."""

    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**63 - 1, 2**63 - 1),
        (2**63, str(2**63)),
        (b"\x01\xff", "01ff"),
        (Colour.RED, 3),
        ((1, [2, {3}]), [1, [2, [3]]]),
        ({"b", "a"}, ["a", "b"]),
        ({1: Pair(1, None)}, {"1": {"left": 1, "right": None}}),
        (datetime.date(2024, 2, 3), "2024-02-03"),
        (uuid.UUID(int=5), str(uuid.UUID(int=5))),
        (Path("/a/b"), "/a/b"),
        (object(), "<object>"),
        (Silent(), "<Silent whose repr raised RuntimeError>"),
        ("x" * 4001, "x" * 4000 + "..."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_plain_data_is_made_of_anything(value: object, expected: object) -> None:
    """Every value has a plain form, without addresses in memory and with sets in order."""
    found = plain(value)
    assert found == expected
    assert type(found) is type(expected)


def test_a_kind_of_text_becomes_text() -> None:
    """A subclass of str (a safe string, a SQL fragment) is made an ordinary one."""
    assert type(plain(type("Safe", (str,), {})("x"))) is str


def test_plain_data_is_cut_where_it_is_too_deep() -> None:
    """A value that contains itself ends somewhere."""
    endless: list[Any] = []
    endless.append(endless)
    assert "'...'" in str(plain(endless))


@pytest.fixture
def peers() -> Iterator[tuple[Peer, Peer]]:
    """Two ends of a conversation."""
    here, there = os.pipe(), os.pipe()
    yield Peer(here[0], there[1]), Peer(there[0], here[1])
    for end in {*here, *there}:
        try:
            os.close(end)
        except OSError:
            continue


def test_messages_arrive_as_they_were_sent(peers: tuple[Peer, Peer]) -> None:
    """A conversation, message by message, in both directions."""
    one, other = peers
    for message in (("a", 1), ("b", None, [1.5, {"x": b"y"}]), ()):
        one.send(message)
        assert other.receive() == message
        other.send((message,))
        assert one.receive() == (message,)


def test_a_message_may_arrive_in_pieces(peers: tuple[Peer, Peer]) -> None:
    """A part of a message, even of its length, is not taken for a message."""
    one, other = peers
    body = marshal.dumps(("abc",))
    for piece in (len(body).to_bytes(4, "little")[:2], len(body).to_bytes(4, "little")[2:] + body[:3]):
        os.write(one.write_end, piece)
        other.fill()
        assert other.complete() is None
    os.write(one.write_end, body[3:])
    assert other.receive() == ("abc",)


def test_what_the_dead_said_is_forgotten(peers: tuple[Peer, Peer]) -> None:
    """The beginning of a message whose sender died does not spoil the next one."""
    one, other = peers
    os.write(one.write_end, b"\x40\x00")
    other.fill()
    other.forget()
    one.send(("alive",))
    assert other.receive() == ("alive",)


def test_a_message_larger_than_the_pipe_arrives(peers: tuple[Peer, Peer]) -> None:
    """Neither side loses what does not fit into the pipe at once."""
    one, other = peers
    large = ("x" * 1_000_000,)
    thread = threading.Thread(target=one.send, args=(large,))
    thread.start()
    assert other.receive() == large
    thread.join()


def test_the_end_of_the_pipe_is_noticed(peers: tuple[Peer, Peer]) -> None:
    """A peer that is gone is not waited for, even in the middle of a message."""
    one, other = peers
    os.write(one.write_end, b"\x40\x00\x00\x00abc")
    os.close(one.write_end)
    with pytest.raises(PeerGone):
        other.receive()


def test_only_plain_data_is_sent(peers: tuple[Peer, Peer]) -> None:
    """What the other side would have to trust does not travel."""
    with pytest.raises(ValueError, match="unmarshallable"):
        peers[0].send((object(),))
