"""A gate's commands run in forks of it, which is as good as a new process where it may be done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from harness.project import config

SCRIPT = """
import json, sys, tempfile, threading
from harness.cli.forked import Forked, can_fork
said = []
for arguments in (["list", "--json"], ["run", "no such scenario"], ["run", "--nonsense"]):
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        code = Forked(arguments, output, errors).wait()
        output.seek(0), errors.seek(0)
        said.append([code, output.read().decode(), errors.read().decode()])
with open("/dev/null", "wb") as nowhere:
    killed = Forked(["run", "issue-token", "--scheduler", "random", "--time", "60"], nowhere, nowhere)
killed.kill()
alone = can_fork()
held = threading.Event()
threading.Thread(target=held.wait).start()
print(json.dumps([said, killed.wait(), alone, can_fork()]))
held.set()
"""


def test_a_fork_says_what_a_new_process_says(tmp_path: Path) -> None:
    """The same output, errors and exit codes; killed, it is dead; with a second thread in the process there is to be none."""
    environment = config.child_environment(hash_seed="0")

    def python(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", *arguments], capture_output=True, text=True, env=environment, cwd=tmp_path
        )

    ran = python("-c", SCRIPT)
    assert not ran.returncode, ran.stderr
    said, killed, alone, with_others = json.loads(ran.stdout)
    for (code, output, errors), arguments in zip(
        said, (["list", "--json"], ["run", "no such scenario"], ["run", "--nonsense"]), strict=True
    ):
        anew = python("-m", "harness", *arguments)
        assert (code, output) == (anew.returncode, anew.stdout)
        assert errors.splitlines()[-1:] == anew.stderr.splitlines()[-1:]
    assert (killed, alone, with_others) == (-9, True, False)
    assert not [each for each in os.listdir(tmp_path) if each != "__pycache__"]
