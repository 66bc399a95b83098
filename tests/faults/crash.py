"""What a disk may hold after a power cut, given the write stream up to it.

What was synchronised is there. Of the rest anything may be: each sector of 512 bytes is kept or
lost on its own, whatever order it was written in. Two file systems are simulated. The ordered one
keeps names as a journal does: any synchronisation commits the changes of names before it, and what
was not committed survives as a whole beginning. The strict one promises what POSIX does: a name is
safe once its own directory was synchronised, and of the others any may survive without the rest.
"""

import hashlib
import os
from dataclasses import dataclass

from tests.faults.writes import ROOT, Create, Rename, Sync, Truncate, Unlink, Write

SECTOR = 512
KEPT = (0.0, 0.1, 0.5, 0.9, 1.0)
"""How likely a sector that was not synchronised is there after all."""
NAMING = (Create, Rename, Unlink)


@dataclass(frozen=True)
class Disk:
    """What is left: directories, and files with their content."""

    directories: tuple[str, ...]
    files: tuple[tuple[str, bytes], ...]

    @property
    def digest(self):
        """Equal for equal disks."""
        digest = hashlib.sha256(repr(self.directories).encode())
        for path, content in self.files:
            digest.update(f"{path} {len(content)}\n".encode() + content)
        return digest.digest()

    def write(self, directory):
        """Put it into a directory."""
        directory.mkdir(mode=0o700)
        for path in self.directories:
            (directory / path).mkdir(mode=0o700)
        for path, content in self.files:
            with open(directory / path, "wb", opener=_private) as file:
                file.write(content)


def _private(path, flags):
    return os.open(path, flags, 0o600)


def after_power_cut(operations, cut, rng, *, kept, ordered):
    """Return what the disk holds when the power goes after ``cut`` operations.

    Args:
        operations: the write stream.
        cut: how many of them were complete.
        rng: decides what survives of what was not synchronised.
        kept: how likely that is for each sector, and each name.
        ordered: the file system that keeps names in order; else the strict one.
    """
    done = operations[:cut]
    safe = _SafeUpTo(done)
    survives = _surviving_names(done, safe, rng, kept=kept, ordered=ordered)
    names, files = {ROOT: 0}, {}
    directories = {0}
    for position, operation in enumerate(done):
        if isinstance(operation, NAMING):
            if position in survives:
                _name(names, directories, operation)
        elif isinstance(operation, Write | Truncate):
            content = files.setdefault(operation.inode, bytearray())
            is_safe = position < safe.file(operation.inode)
            _change(content, operation, rng, 1.0 if is_safe else kept)
    return _disk(names, directories, files)


class _SafeUpTo:
    """Below which operation everything about a file, a directory, or all names is synchronised."""

    def __init__(self, done):
        self._began = {}
        for operation in done:
            if isinstance(operation, Sync):
                before = self._began.get(operation.inode, 0)
                self._began[operation.inode] = max(before, operation.began)

    def file(self, inode):
        return self._began.get(inode, 0)

    def any(self):
        return max(self._began.values(), default=0)


def _surviving_names(done, safe, rng, *, kept, ordered):
    """Return the positions of the changes of names that survive."""
    changes = [(i, o) for i, o in enumerate(done) if isinstance(o, NAMING)]
    if ordered:
        committed = sum(position < safe.any() for position, _ in changes)
        n_more = sum(rng.random() < kept for _ in changes[committed:])
        return {position for position, _ in changes[: committed + n_more]}
    inodes = {ROOT: 0}
    survives = set()
    for position, operation in changes:
        path = operation.target if isinstance(operation, Rename) else operation.path
        if isinstance(operation, Create) and operation.is_directory:
            inodes[path] = operation.inode
        directory = inodes[os.path.dirname(path) or ROOT]  # noqa: PTH120 (a name, not a file)
        if position < safe.file(directory) or rng.random() < kept:
            survives.add(position)
    return survives


def _name(names, directories, operation):
    match operation:
        case Create(path, inode, is_directory):
            names[path] = inode
            if is_directory:
                directories.add(inode)
        case Rename(source, target, inode):
            if names.get(source) == inode:
                del names[source]
            names[target] = inode
        case Unlink(path):
            names.pop(path, None)


def _change(content, operation, rng, kept):
    if isinstance(operation, Truncate):
        if kept == 1.0 or rng.random() < kept:
            del content[operation.size :]
            content.extend(bytes(operation.size - len(content)))
        return
    start, end = operation.offset, operation.offset + len(operation.content)
    # What is certain needs no look at each sector.
    size = SECTOR if kept < 1.0 else end + SECTOR
    for sector in range(start - start % size, end, size):
        first, last = max(sector, start), min(sector + size, end)
        if kept == 1.0 or rng.random() < kept:
            content.extend(bytes(max(0, last - len(content))))
            content[first:last] = operation.content[first - start : last - start]


def _disk(names, directories, files):
    """Leave out what has lost a directory above it."""
    found_directories, found_files = [], []
    for path, inode in sorted(names.items()):
        if path == ROOT or not _is_reachable(path, names):
            continue
        if inode in directories:
            found_directories.append(path)
        else:
            found_files.append((path, bytes(files.get(inode, b""))))
    return Disk(tuple(found_directories), tuple(found_files))


def _is_reachable(path, names):
    while "/" in path:
        path = path.rpartition("/")[0]
        if path not in names:
            return False
    return True
