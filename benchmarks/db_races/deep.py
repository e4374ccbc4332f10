"""Races that need more than one unlucky moment, or a very particular order; most are known from textbooks."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from benchmarks.db_races.race import Race, Task, asks, autocommit, mixed, one

STACK = (
    "CREATE TABLE node (name TEXT PRIMARY KEY, below TEXT); INSERT INTO node VALUES ('a', 'b'), ('b', NULL);"
    " CREATE TABLE top (node TEXT, version INTEGER); INSERT INTO top VALUES ('a', 1);"
    " CREATE TABLE taken (node TEXT);"
)
RING = "CREATE TABLE seat (n INTEGER PRIMARY KEY, taken INTEGER); INSERT INTO seat VALUES (0, 0), (1, 0), (2, 0);"
MUTEX = (
    "CREATE TABLE flag (n INTEGER PRIMARY KEY, up INTEGER); INSERT INTO flag VALUES (0, 0), (1, 0);"
    " CREATE TABLE turn (n INTEGER); INSERT INTO turn VALUES (0);"
    " CREATE TABLE counter (n INTEGER); INSERT INTO counter VALUES (0);"
)
WAKING = "CREATE TABLE event (happened INTEGER); INSERT INTO event VALUES (0); CREATE TABLE waiter (n INTEGER);"
LEAP = "CREATE TABLE v (a INTEGER, b INTEGER); INSERT INTO v VALUES (1, 1);"
LEAPS, LIMIT = 5, 144
"""So many additions each reach the limit if they take turns exactly, and stay below it otherwise."""


def pop(connection: sqlite3.Connection, *, versioned: bool) -> str | None:
    """Take the topmost node off the stack and return its name, by compare and set, until it succeeds."""
    while True:
        node, version = connection.execute("SELECT node, version FROM top").fetchone()
        if node is None:
            return None
        below = one(connection, "SELECT below FROM node WHERE name = ?", node)
        where = f" AND version = {version}" if versioned else ""
        done = connection.execute(
            f"UPDATE top SET node = ?, version = version + 1 WHERE node = ?{where}", (below, node)
        )
        if done.rowcount:
            return str(node)


def push(connection: sqlite3.Connection, node: str) -> None:
    """Put a node on the stack, by compare and set, until it succeeds."""
    while True:
        top = one(connection, "SELECT node FROM top")
        connection.execute("UPDATE node SET below = ? WHERE name = ?", (top, node))
        if connection.execute("UPDATE top SET node = ?, version = version + 1 WHERE node IS ?", (node, top)).rowcount:
            return


def pops(*, versioned: bool) -> Task:
    """Return a task that takes one node."""

    def take(db: Path) -> None:
        """Compare and set where an equal value may be a changed one: the node was taken off and put back meanwhile (ABA)."""
        with autocommit(db) as connection:
            node = pop(connection, versioned=versioned)
            connection.execute("INSERT INTO taken VALUES (?)", (node,))

    return take


def pops_two_and_returns_one(*, versioned: bool) -> Task:
    """Return a task that takes two nodes and puts the first one back."""

    def take(db: Path) -> None:
        """Take two nodes, and put the first back."""
        with autocommit(db) as connection:
            first, second = (pop(connection, versioned=versioned) for _ in range(2))
            connection.execute("INSERT INTO taken VALUES (?)", (second,))
            if first is not None:
                push(connection, first)

    return take


def sits(seat: int, *, at_once: bool) -> Task:
    """Return a task that takes a seat if the one beside it is free."""

    def sit(db: Path) -> None:
        """Sit down in a ring of three if the next seat is free when checked: all three do (write skew of three)."""
        beside = (seat + 1) % 3
        with autocommit(db) as connection:
            if at_once:
                free = "(SELECT NOT taken FROM seat WHERE n = ?)"
                connection.execute(f"UPDATE seat SET taken = 1 WHERE n = ? AND {free}", (seat, beside))
            elif not one(connection, "SELECT taken FROM seat WHERE n = ?", beside):
                connection.execute("UPDATE seat SET taken = 1 WHERE n = ?", (seat,))

    return sit


def excludes(me: int, *, flag_first: bool) -> Task:
    """Return a task that counts under Peterson's lock."""

    def count(db: Path) -> None:
        """Use Peterson's lock with its first two statements in the wrong order: both tasks get in."""
        other = 1 - me
        with autocommit(db) as connection:
            raise_flag = ("UPDATE flag SET up = 1 WHERE n = ?", (me,))
            give_way = ("UPDATE turn SET n = ?", (other,))
            for sql, parameters in (raise_flag, give_way) if flag_first else (give_way, raise_flag):
                connection.execute(sql, parameters)
            while one(connection, "SELECT up AND turn.n = ?1 FROM flag, turn WHERE flag.n = ?1", other):
                time.sleep(0.01)
            connection.execute("UPDATE counter SET n = ?", (one(connection, "SELECT n FROM counter") + 1,))
            connection.execute("UPDATE flag SET up = 0 WHERE n = ?", (me,))

    return count


def waits(*, asks_again: bool) -> Task:
    """Return a task that registers to be woken by an event."""

    def wait(db: Path) -> None:
        """Check whether the event happened, then register: an event in between wakes nobody (a lost wake-up)."""
        with autocommit(db) as connection:
            if one(connection, "SELECT happened FROM event"):
                return
            connection.execute("INSERT INTO waiter VALUES (1)")
            if asks_again and one(connection, "SELECT happened FROM event"):
                connection.execute("DELETE FROM waiter")

    return wait


def happens(db: Path) -> None:
    """Let the event happen: it wakes the tasks that are registered."""
    with autocommit(db) as connection:
        connection.execute("UPDATE event SET happened = 1")
        connection.execute("DELETE FROM waiter")


def leaps(target: str, source: str, *, limited: bool) -> Task:
    """Return a task that adds the other's column to its own."""

    def leap(db: Path) -> None:
        """Add the other's number to one's own: two tasks reach a limit only by turns at every step (`fib_bench` of SV-COMP)."""
        total = f"min({target} + {source}, {LIMIT - 1})" if limited else f"{target} + {source}"
        with autocommit(db) as connection:
            for _ in range(LEAPS):
                connection.execute(f"UPDATE v SET {target} = {total}")

    return leap


def pair(
    name: str, tables: str, faulty: tuple[Task, Task], correct: tuple[Task, Task], sql: str, gives: object
) -> Race:
    """Return a race of two tasks; the query *sql* must give *gives* at the end."""
    return mixed(name, tables, faulty, correct, asks(sql, gives))


RACES: tuple[Race, ...] = (
    pair(
        "aba",
        STACK,
        (pops(versioned=False), pops_two_and_returns_one(versioned=False)),
        (pops(versioned=True), pops_two_and_returns_one(versioned=True)),
        *("SELECT count(*) FROM top JOIN taken USING (node)", 0),
    ),
    mixed(
        "write-skew-of-three",
        RING,
        tuple(sits(seat, at_once=False) for seat in range(3)),
        tuple(sits(seat, at_once=True) for seat in range(3)),
        lambda c: one(c, "SELECT sum(taken) FROM seat") in (1, 2),
    ),
    pair(
        "peterson-in-the-wrong-order",
        MUTEX,
        (excludes(0, flag_first=False), excludes(1, flag_first=False)),
        (excludes(0, flag_first=True), excludes(1, flag_first=True)),
        *("SELECT n FROM counter", 2),
    ),
    pair(
        "lost-wake-up",
        WAKING,
        (waits(asks_again=False), happens),
        (waits(asks_again=True), happens),
        *("SELECT count(*) FROM waiter JOIN event ON happened", 0),
    ),
    pair(
        "leapfrog",
        LEAP,
        (leaps("a", "b", limited=False), leaps("b", "a", limited=False)),
        (leaps("a", "b", limited=True), leaps("b", "a", limited=True)),
        *(f"SELECT max(a, b) >= {LIMIT} FROM v", 0),
    ),
)
