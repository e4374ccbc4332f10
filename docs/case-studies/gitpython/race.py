"""Two processes each write a section to one git configuration file, over which GitPython holds a lock file.

The rule: a section that was reported written is there. To be refused, because the other has the lock, is right."""

from pathlib import Path

from git.config import GitConfigParser

from harness import Call, Check, Client, Scenario, Workload


def write(db: Path, section: str) -> str:
    try:
        with GitConfigParser(str(db.with_name("config")), read_only=False) as config:
            config.set_value(section, "written", "yes")
    except OSError:
        return "refused"
    return "written"


def written_is_there(history, db: Path) -> None:
    text = db.with_name("config").read_text()
    for call in history.outcomes():
        assert call.value == "refused" or f"[{call.arguments[0]}]" in text, f"{call.arguments[0]!r} is lost"


def one_is_refused(history, _) -> bool:
    return any(call.value == "refused" for call in history.outcomes())


CASE = Scenario(
    name="gitpython-lock-file",
    setup=lambda db: db.with_name("config").write_text("[core]\n"),
    operations={"write": write},
    workload=lambda _: Workload(
        tuple(Client((Call("write", (name,), n),)) for n, name in enumerate(("left", "right")))
    ),
    postconditions=(Check("what is written is there", written_is_there),),
    must_happen=(Check("one is refused", one_is_refused),),
)
