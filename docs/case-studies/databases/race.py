"""Two tasks each write a row in a transaction of their own; one fails. The rule: what is reported committed is there."""

import asyncio
import sqlite3
from pathlib import Path

from databases import Database

from harness import Check, Scenario, Workload


async def pay(database: Database, who: str, declined: bool) -> str:
    async with database.transaction():
        await database.execute("INSERT INTO payment VALUES (:who)", {"who": who})
        if declined:
            await asyncio.sleep(1)  # somebody else is asked
            raise ValueError("declined")
    return who


async def both_pay(db: Path) -> list[str]:
    async with Database(f"sqlite:///{db}") as database:
        await database.fetch_all("SELECT * FROM payment")  # so this task has a connection
        told = await asyncio.gather(pay(database, "ann", True), pay(database, "bob", False), return_exceptions=True)
    return [who for who in told if isinstance(who, str)]


def committed_is_there(history, db: Path) -> None:
    told, there = history.outcomes()[0].value, [row[0] for row in sqlite3.connect(db).execute("SELECT * FROM payment")]
    assert there == told, f"reported committed: {told}, in the table: {there}"


CASE = Scenario(
    name="databases-transactions",
    setup=lambda db: sqlite3.connect(db).execute("CREATE TABLE payment (who)"),
    operations={"both_pay": both_pay},
    workload=lambda _: Workload.each("both_pay", workers=1),
    workers=1,
    postconditions=(Check("what is reported committed is there", committed_is_there),),
)
