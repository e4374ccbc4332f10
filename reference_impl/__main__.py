"""``python -m reference_impl``: the service from the command line."""

import argparse
import sqlite3
import sys
from pathlib import Path

from reference_impl.server import serve
from reference_impl.settings import Settings, credential


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 64:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to 64")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reference_impl", description="Serve agents and their tokens.")
    add = parser.add_argument
    add("--database", default="agents.sqlite", help="a file, or a URL postgresql://... (default: agents.sqlite)")
    add("--containers", help="where the recorded containers are, likewise; without, nothing can be deployed")
    add("--credentials", type=Path, required=True, help="a file with a line NAME:SECRET for each manager")
    add("--journal-mode", choices=("wal", "delete"), default="wal", help="of a database file (default: wal)")
    add("--workers", type=_count, default=1, help="processes (default: 1)")
    add("--host", default="127.0.0.1", help="the address to listen at (default: 127.0.0.1)")
    add("--port", type=int, default=8000, help="the port, 0 for any (default: 8000)")
    return parser


def _credentials(path: Path) -> tuple[tuple[str, str], ...]:
    """Return each manager's name and digest from a file; raise ``ValueError`` where a line does not fit.

    The error names the line or the file, and never a secret.
    """
    found = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        name, colon, secret = line.strip().partition(":")
        if not (name and colon and secret):
            raise ValueError(f"line {number} of {str(path)!r} is not NAME:SECRET")
        found.append(credential(name, secret))
    if not found:
        raise ValueError(f"{str(path)!r} names nobody, so nobody could call")
    return tuple(found)


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: its arguments; this process's by default.

    Returns:
        The exit code: 0, or 2 for arguments that can't be used.
    """
    options = _parser().parse_args(argv)
    try:
        settings = Settings(
            options.database,
            _credentials(options.credentials),
            containers=options.containers,
            journal_mode=options.journal_mode,
            recover_every=5.0 if options.containers else None,
        )
        serve(settings, host=options.host, port=options.port, workers=options.workers)
    except ImportError as error:
        print(f"python -m reference_impl: {error}; for PostgreSQL install the extra 'postgres'", file=sys.stderr)
        return 2
    except (OSError, ValueError, sqlite3.Error) as error:
        print(f"python -m reference_impl: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
