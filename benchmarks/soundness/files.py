"""A directory's content kept, and put back before each real run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

__all__ = ["Template"]


class Template:
    """The content of *folder* when this was made: directories, files with their modes and names, symbolic links."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._folders: list[str] = []
        self._files: list[tuple[str, bytes, int]] = []
        self._links: list[tuple[str, str]] = []
        self._names: list[tuple[str, str]] = []
        first: dict[int, str] = {}
        for root, folders, files in os.walk(folder):
            for name in folders:
                path = f"{root}/{name}"
                if os.path.islink(path):
                    self._links.append((path, os.readlink(path)))
                else:
                    self._folders.append(path)
            for name in files:
                path = f"{root}/{name}"
                if os.path.islink(path):
                    self._links.append((path, os.readlink(path)))
                    continue
                stat = os.stat(path)
                if stat.st_ino in first:
                    self._names.append((first[stat.st_ino], path))
                    continue
                first[stat.st_ino] = path
                self._files.append((path, Path(path).read_bytes(), stat.st_mode & 0o7777))

    def restore(self) -> None:
        """Put it back, with fresh files."""
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)
        for path in self._folders:
            os.mkdir(path)
        for path, data, mode in self._files:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            os.write(descriptor, data)
            os.close(descriptor)
        for path, target in self._links:
            os.symlink(target, path)
        for path, other in self._names:
            os.link(path, other)
