"""Files of the shared directory as a resource."""

from __future__ import annotations

from harness.worker.instrument.files import file_locks, objects, os_functions
from harness.worker.instrument.files.opening import Files
from harness.worker.instrument.resource import Beginning, Resource
from harness.worker.runtime import Runtime
from harness.worker.virtual.rebind import Replacement

__all__ = ["SharedFiles"]


class SharedFiles(Resource):
    """Files, directories and locks on files, by ``open``, ``os`` and ``fcntl``."""

    def __init__(self, runtime: Runtime) -> None:
        self.files = Files(runtime)

    def replacements(self) -> list[Replacement]:
        """Return those for ``open``, for ``os`` and for ``fcntl``."""
        return [
            *objects.replacements(self.files),
            *os_functions.replacements(self.files),
            *file_locks.replacements(self.files.locks),
        ]

    def begin(self, beginning: Beginning) -> None:
        """Know the shared directory; what ``setup`` does in it is no step."""
        if not beginning.is_setup:
            self.files.begin(beginning.directory)

    def none_left(self) -> bool:
        """Return whether no descriptor and no lock on a file is left."""
        return self.files.none_held()

    def clean(self) -> None:
        """Close the files that were left open."""
        self.files.clean()
