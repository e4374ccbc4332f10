"""Two processes each append a line to an optuna journal, which a lock file guards; one of them may be killed.

The rules: a dead owner does not keep the others out for ever, and what was reported written is there.
"""

from pathlib import Path

from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from harness import Check, Scenario, Workload
from harness.faults import Faults


def append(db: Path) -> None:
    journal = str(db.with_name("journal"))
    JournalFileBackend(journal, JournalFileOpenLock(journal)).append_logs([{"written": True}])


def written_is_there(history, db: Path) -> None:
    told = sum(call.ok for call in history.outcomes())
    lines = db.with_name("journal").read_text().count("\n")
    assert lines >= told, f"{told} lines were reported written, {lines} are there"


CASE = Scenario(
    name="optuna-journal-lock",
    setup=lambda db: db.with_name("journal").touch(),
    operations={"append": append},
    workload=lambda workers: Workload.each("append", workers=workers),
    postconditions=(Check("what is reported written is there", written_is_there),),
    faults=Faults(kill=True, most=1),
    steps=200,
)
