"""``python -m harness.stress.serve SCENARIO VARIANT DATABASE WORKERS PARENT``: a scenario's application under uvicorn.

Prints the address once the socket listens. Everything here dies with the process that started it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from harness import registry
from harness.boundary.parent import die_with

__all__ = ["application", "main"]


def application(scenario: str, variant: str, db: str, *, supervisor: int) -> Any:
    """Return the application, in a worker that uvicorn has just spawned; from here on the worker dies with its supervisor."""
    die_with(supervisor)
    return _found(scenario, variant)(Path(db))


def _found(scenario: str, variant: str) -> Callable[[Path], Any]:
    app = registry.find(scenario, variant or None).app
    assert app is not None, f"the scenario {scenario!r} has no app"
    return app


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM; *arguments* are those of the command line (see the module's text)."""
    scenario, variant, db, workers, parent = arguments
    die_with(int(parent))
    # Called for its errors: here one is reported once, and not by every worker that uvicorn spawns again and again.
    _found(scenario, variant)
    config = uvicorn.Config(
        partial(application, scenario, variant, db, supervisor=os.getpid()),
        factory=True,
        port=0,
        workers=int(workers),
        log_level="warning",
    )
    socket = config.bind_socket()
    socket.listen(config.backlog)
    print(f"http://127.0.0.1:{socket.getsockname()[1]}", flush=True)
    Multiprocess(config, sockets=[socket]).run()


if __name__ == "__main__":
    main(sys.argv[1:])
