"""Races for money, which must neither be made nor lost, and for limits, which must not be exceeded."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from benchmarks.db_races.race import Race, Task, asks, autocommit, mixed, one, race, transaction, within

ACCOUNTS = (
    "CREATE TABLE account (name TEXT PRIMARY KEY, balance INTEGER); INSERT INTO account VALUES ('a', 10), ('b', 10);"
)
ON_CALL = (
    "CREATE TABLE doctor (name TEXT PRIMARY KEY, on_call INTEGER); INSERT INTO doctor VALUES ('ada', 1), ('bob', 1);"
)
PAYMENTS = (
    "CREATE TABLE payment (key TEXT, amount INTEGER); CREATE TABLE account (balance INTEGER);"
    " INSERT INTO account VALUES (10); CREATE TABLE done (key TEXT PRIMARY KEY); CREATE TABLE audit (n INTEGER);"
)
STOCK = "CREATE TABLE stock (left INTEGER); INSERT INTO stock VALUES (1); CREATE TABLE orders (id INTEGER PRIMARY KEY);"
COUPON = "CREATE TABLE coupon (used INTEGER); INSERT INTO coupon VALUES (0); CREATE TABLE redeemed (who INTEGER);"


def balance(connection: sqlite3.Connection, name: str) -> int:
    """Return the balance of an account."""
    return int(one(connection, "SELECT balance FROM account WHERE name = ?", name))


def moves(source: str, target: str, *, locked: bool) -> Task:
    """Return a task that moves 1 from one account to the other."""

    def move(db: Path) -> None:
        """Move money by storing sums that were computed from balances read before."""
        with transaction(db) if locked else autocommit(db) as connection:
            left, right = balance(connection, source), balance(connection, target)
            connection.execute("UPDATE account SET balance = ? WHERE name = ?", (left - 1, source))
            connection.execute("UPDATE account SET balance = ? WHERE name = ?", (right + 1, target))

    return move


def withdraws(db: Path) -> None:
    """Check that 10 are there, and then take 10."""
    with autocommit(db) as connection:
        if balance(connection, "a") >= 10:
            connection.execute("UPDATE account SET balance = balance - 10 WHERE name = 'a'")


def withdraws_if_there(db: Path) -> None:
    """Take 10 if 10 are there, in one statement."""
    with autocommit(db) as connection:
        connection.execute("UPDATE account SET balance = balance - 10 WHERE name = 'a' AND balance >= 10")


def leaves(name: str, begin: str) -> Task:
    """Return a task in which a doctor goes off call."""

    def leave(db: Path) -> None:
        """Go off call if another doctor stays: both check, then both write different rows (write skew)."""
        with autocommit(db) as connection:
            connection.execute(begin)
            others = one(connection, "SELECT count(*) FROM doctor WHERE on_call AND name <> ?", name)
            if begin == "BEGIN":
                connection.commit()
            if others:
                connection.execute("UPDATE doctor SET on_call = 0 WHERE name = ?", (name,))
            if begin != "BEGIN":
                connection.commit()

    return leave


def pays_before_noting(db: Path) -> None:
    """Note the key of a payment after making it: the same request on another worker pays again."""
    with autocommit(db) as connection:
        if one(connection, "SELECT 1 FROM done WHERE key = 'p'"):
            return
        connection.execute("UPDATE account SET balance = balance - 1")
        connection.execute("INSERT OR IGNORE INTO done VALUES ('p')")


def pays_once(db: Path) -> None:
    """Note the key and pay in one transaction, the key first."""
    with transaction(db) as connection:
        if connection.execute("INSERT OR IGNORE INTO done VALUES ('p')").rowcount:
            connection.execute("UPDATE account SET balance = balance - 1")


def pays_until_it_works(*, whole: bool) -> Task:
    """Return a task that does not wait for locks, but tries again."""

    def pay(db: Path) -> None:
        """Retry a payment that failed at its second statement, after its first had committed: it is made twice."""
        with closing(sqlite3.connect(db, isolation_level=None, timeout=0)) as connection:
            while True:
                try:
                    if whole:
                        with within(connection):
                            pay_unless_done(connection)
                    else:
                        pay_unless_done(connection)
                except sqlite3.OperationalError:
                    time.sleep(0.01)
                else:
                    return

    return pay


def pay_unless_done(connection: sqlite3.Connection) -> None:
    """Pay and then note the key, unless it is noted already."""
    if one(connection, "SELECT 1 FROM done WHERE key = 'p'") is None:
        connection.execute("UPDATE account SET balance = balance - 1")
        connection.execute("INSERT INTO done VALUES ('p')")


def audits(db: Path) -> None:
    """Hold the lock for a moment, as an unrelated writer."""
    with transaction(db) as connection:
        connection.execute("INSERT INTO audit VALUES (1)")


def sells_what_was_there(db: Path) -> None:
    """Sell the last piece after checking that one is left."""
    with autocommit(db) as connection:
        if one(connection, "SELECT left FROM stock") > 0:
            connection.execute("INSERT INTO orders DEFAULT VALUES")
            connection.execute("UPDATE stock SET left = left - 1")


def sells_what_is_there(db: Path) -> None:
    """Take the piece first, and order it in the same transaction."""
    with transaction(db) as connection:
        if connection.execute("UPDATE stock SET left = left - 1 WHERE left > 0").rowcount:
            connection.execute("INSERT INTO orders DEFAULT VALUES")


def redeems(db: Path) -> None:
    """Mark a coupon as used without checking whether that changed it."""
    with autocommit(db) as connection:
        if not one(connection, "SELECT used FROM coupon"):
            connection.execute("UPDATE coupon SET used = 1")
            connection.execute("INSERT INTO redeemed VALUES (1)")


def redeems_once(db: Path) -> None:
    """Redeem a coupon only if the own update marked it as used."""
    with autocommit(db) as connection:
        if connection.execute("UPDATE coupon SET used = 1 WHERE NOT used").rowcount:
            connection.execute("INSERT INTO redeemed VALUES (1)")


def reports(db: Path) -> None:
    """Add two balances up in two statements while money moves: the sum was true at no moment."""
    with autocommit(db) as connection:
        total = balance(connection, "a") + balance(connection, "b")
        assert total == 20, f"the report says {total}"


def reports_in_one(db: Path) -> None:
    """Add the balances up in one statement."""
    with autocommit(db) as connection:
        assert one(connection, "SELECT sum(balance) FROM account") == 20


def move_safely(db: Path) -> None:
    """Move 1 in one transaction."""
    with transaction(db) as connection:
        connection.execute("UPDATE account SET balance = balance - 1 WHERE name = 'a'")
        connection.execute("UPDATE account SET balance = balance + 1 WHERE name = 'b'")


SUM = asks("SELECT sum(balance) FROM account", 20)
RACES: tuple[Race, ...] = (
    mixed(
        "transfers",
        ACCOUNTS,
        (moves("a", "b", locked=False), moves("b", "a", locked=False)),
        (moves("a", "b", locked=True), moves("b", "a", locked=True)),
        SUM,
    ),
    race("overdraft", ACCOUNTS, withdraws, withdraws_if_there, asks("SELECT balance FROM account WHERE name = 'a'", 0)),
    mixed(
        "write-skew",
        ON_CALL,
        (leaves("ada", "BEGIN"), leaves("bob", "BEGIN")),
        (leaves("ada", "BEGIN IMMEDIATE"), leaves("bob", "BEGIN IMMEDIATE")),
        asks("SELECT sum(on_call) FROM doctor", 1),
    ),
    race("key-noted-late", PAYMENTS, pays_before_noting, pays_once, asks("SELECT balance FROM account", 9)),
    mixed(
        "double-spend",
        PAYMENTS,
        (pays_until_it_works(whole=False), audits),
        (pays_until_it_works(whole=True), audits),
        asks("SELECT balance FROM account", 9),
    ),
    race("last-piece", STOCK, sells_what_was_there, sells_what_is_there, asks("SELECT count(*) FROM orders", 1)),
    race("coupon", COUPON, redeems, redeems_once, asks("SELECT count(*) FROM redeemed", 1)),
    mixed("torn-report", ACCOUNTS, (reports, move_safely), (reports_in_one, move_safely), SUM),
)
