"""The server: several worker processes over one database, under uvicorn."""

import asyncio
from functools import partial

import uvicorn
from uvicorn.supervisors import Multiprocess

from reference_impl.app import create_app
from reference_impl.containers import RecordedContainers
from reference_impl.schema import initialise
from reference_impl.settings import Settings


async def prepare(settings: Settings) -> None:
    """Create the tables, before any worker starts.

    Args:
        settings: what the deployment chose.

    Raises:
        sqlite3.Error: where a file can't be opened or changed.
    """
    await initialise(settings.database, journal_mode=settings.journal_mode)
    if settings.containers is not None:
        await RecordedContainers.initialise(settings.containers)


def serve(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serve until a SIGINT or SIGTERM, and then finish the requests that are under way.

    Workers are spawned, not forked, because SQLite's connections do not survive a fork. A worker that dies is replaced.

    Args:
        settings: what the deployment chose.
        host: the address to listen at.
        port: the port, 0 for any free one; it is printed.
        workers: the number of processes.

    Raises:
        OSError: where the port is not free.
        sqlite3.Error: where a file can't be opened or changed.
    """
    asyncio.run(prepare(settings))
    config = uvicorn.Config(
        partial(create_app, settings), factory=True, host=host, port=port, workers=workers, log_level="warning"
    )
    socket = config.bind_socket()
    socket.listen(config.backlog)  # a client that connects before the workers are up waits for them
    print(f"listening on http://{host}:{socket.getsockname()[1]}", flush=True)
    if workers > 1:
        Multiprocess(config, sockets=[socket]).run()
    else:
        uvicorn.Server(config).run(sockets=[socket])
