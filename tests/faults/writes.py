"""The write stream of a scenario: what its processes asked of the file system, in order.

strace records it, with every byte. Here it becomes operations on files (inodes) and names, so that
a power cut can be simulated by taking any number of them and losing what was not synchronised.
"""

import os
import re
import shutil
from dataclasses import dataclass

import pytest

CALLS = (
    "openat,open,creat,close,dup,dup2,dup3,lseek,write,pwrite64,writev,pwritev,pwritev2,ftruncate,"
    "truncate,fallocate,copy_file_range,sendfile,rename,renameat,renameat2,link,linkat,symlink,"
    "symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,fsync,fdatasync,sync_file_range,msync,clone,"
    "clone3,fork,vfork"
)
UNKNOWN = {
    *("writev", "pwritev", "pwritev2", "truncate", "fallocate", "copy_file_range", "sendfile"),
    *("link", "linkat", "symlink", "symlinkat", "renameat", "rmdir", "sync_file_range", "msync"),
}
"""Traced so that their appearance fails the test: the model below does not know them."""
ROOT = "."


@dataclass(frozen=True)
class Create:
    """A name was given to a new file or directory."""

    path: str
    inode: int
    is_directory: bool


@dataclass(frozen=True)
class Rename:
    """A file got another name, which may have been another file's."""

    source: str
    target: str
    inode: int


@dataclass(frozen=True)
class Unlink:
    """A name was removed."""

    path: str


@dataclass(frozen=True)
class Write:
    """Bytes were written into a file."""

    inode: int
    offset: int
    content: bytes


@dataclass(frozen=True)
class Truncate:
    """A file was given another length."""

    inode: int
    size: int


@dataclass(frozen=True)
class Sync:
    """A file or directory was synchronised: all that was complete when the call began."""

    inode: int
    began: int
    """How many operations were complete then."""


@dataclass(frozen=True)
class Said:
    """A process wrote a line to its standard output: what it tells others, it must keep."""

    line: str


def strace(output, command):
    """Return a command that runs another one and writes its write stream down."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    return [
        *("strace", "-f", "-qq", "-xx", "-s", "100000000", "--seccomp-bpf"),
        *("-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(output), *command),
    ]


def operations(trace, root):
    """Return the operations below ``root`` that a trace holds, in the order of their completion."""
    with open(trace, encoding="ascii") as lines:  # noqa: PTH123 (a path or a descriptor)
        calls = list(_calls(lines))
    reader = _Reader(os.fspath(root), _processes(calls))
    for call in calls:
        reader.read(call)
    return reader.operations


_LINE = re.compile(
    r"(?P<tid>\d+)\s+(?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<name>\w+)\()"
    r"(?P<rest>.*?)(?P<unfinished> <unfinished \.\.\.>)?$"
)
_RESULT = re.compile(r"(?P<arguments>.*)\)\s+= (?P<result>-?\d+|\?|0x[0-9a-f]+)")


@dataclass
class _Call:
    """A system call; a call that other threads interrupted in the log appears as its two ends."""

    tid: int
    name: str
    arguments: str
    result: int | None
    """None: it has only begun."""


def _calls(lines):
    begun = {}
    for line in lines:
        match = _LINE.match(line.rstrip("\n"))
        if match is None:  # a process ended
            continue
        tid = int(match["tid"])
        text = match["rest"]
        if match["resumed"]:
            text = begun.pop(tid, "") + text
        name = match["name"] or match["resumed"]
        if match["unfinished"]:
            begun[tid] = text
            yield _Call(tid, name, text, None)
        elif (ended := _RESULT.match(text)) and ended["result"].lstrip("-").isdecimal():
            yield _Call(tid, name, ended["arguments"], int(ended["result"]))


def _processes(calls):
    """Return thread -> process, for the threads that are not a process's first."""
    process = {}
    for call in calls:
        if call.name in {"clone", "clone3"} and call.result and "CLONE_THREAD" in call.arguments:
            process[call.result] = process.get(call.tid, call.tid)
    return process


@dataclass
class _Open:
    inode: int
    position: int = 0
    appends: bool = False


class _Reader:
    """Follows descriptors and names, as the kernel did."""

    def __init__(self, root, processes):
        self.operations = []
        self._root = root
        self._processes = processes
        self._names = {ROOT: 0}
        """Path below the root -> inode."""
        self._sizes = {0: 0}
        self._open = {}
        """(process, descriptor) -> what it is open on, below the root."""
        self._began = {}

    def read(self, call):
        if call.result is None:
            self._began[call.tid] = len(self.operations)
            return
        began = self._began.pop(call.tid, len(self.operations))
        if call.result < 0:
            return
        process = self._processes.get(call.tid, call.tid)
        arguments = _split(call.arguments)
        if call.name in UNKNOWN:
            assert not self._concerns(process, arguments), f"the model does not know {call.name}"
        elif call.name in {"fsync", "fdatasync"}:
            if opened := self._open.get((process, int(arguments[0]))):
                self.operations.append(Sync(opened.inode, began))
        elif handler := getattr(self, f"_{call.name}", None):
            handler(process, arguments, call.result)

    def _concerns(self, process, arguments):
        paths = [self._path(argument) for argument in arguments if argument.startswith('"')]
        is_open = arguments[0].isdecimal() and (process, int(arguments[0])) in self._open
        return is_open or any(paths)

    def _openat(self, process, arguments, result):
        path = self._path(arguments[1])
        self._open.pop((process, result), None)
        if path is None:
            return
        flags = set(arguments[2].split("|"))
        if path not in self._names:
            if "O_CREAT" not in flags:
                return  # it was there before: the scenario begins in an empty directory
            self._create(path, is_directory=False)
        inode = self._names[path]
        if "O_TRUNC" in flags:
            self._truncate(inode, 0)
        self._open[process, result] = _Open(inode, appends="O_APPEND" in flags)

    def _close(self, process, arguments, _result):
        self._open.pop((process, int(arguments[0])), None)

    def _dup(self, process, arguments, result):
        if opened := self._open.get((process, int(arguments[0]))):
            self._open[process, result] = opened

    _dup2 = _dup3 = _dup

    def _lseek(self, process, arguments, result):
        if opened := self._open.get((process, int(arguments[0]))):
            opened.position = result

    def _write(self, process, arguments, result):
        descriptor = int(arguments[0])
        content = _bytes(arguments[1])[:result]
        if opened := self._open.get((process, descriptor)):
            if opened.appends:
                opened.position = self._sizes[opened.inode]
            self._write_at(opened.inode, opened.position, content)
            opened.position += result
        elif descriptor == 1:
            self.operations += [Said(line) for line in content.decode().splitlines()]

    def _pwrite64(self, process, arguments, result):
        if opened := self._open.get((process, int(arguments[0]))):
            self._write_at(opened.inode, int(arguments[3]), _bytes(arguments[1])[:result])

    def _write_at(self, inode, offset, content):
        self._sizes[inode] = max(self._sizes[inode], offset + len(content))
        self.operations.append(Write(inode, offset, content))

    def _ftruncate(self, process, arguments, _result):
        if opened := self._open.get((process, int(arguments[0]))):
            self._truncate(opened.inode, int(arguments[1]))

    def _truncate(self, inode, size):
        self._sizes[inode] = size
        self.operations.append(Truncate(inode, size))

    def _rename(self, _process, arguments, _result):
        source, target = map(self._path, arguments[:2])
        if source in self._names:
            inode = self._names[target] = self._names.pop(source)
            self.operations.append(Rename(source, target, inode))

    def _unlink(self, _process, arguments, _result):
        path = self._path(arguments[0])
        if self._names.pop(path, None) is not None:
            self.operations.append(Unlink(path))

    def _unlinkat(self, process, arguments, result):
        self._unlink(process, arguments[1:], result)

    def _mkdir(self, _process, arguments, _result):
        if (path := self._path(arguments[0])) is not None and path != ROOT:
            self._create(path, is_directory=True)

    def _mkdirat(self, process, arguments, result):
        self._mkdir(process, arguments[1:], result)

    def _create(self, path, *, is_directory):
        inode = self._names[path] = len(self._sizes)
        self._sizes[inode] = 0
        self.operations.append(Create(path, inode, is_directory))

    def _path(self, argument):
        """Return a path relative to the root; None when it lies elsewhere."""
        path = os.path.normpath(_bytes(argument).decode())
        if path == self._root:
            return ROOT
        inside = path.removeprefix(self._root + "/")
        return None if inside == path else inside


def _split(arguments):
    """Return the arguments of a call; with -xx, no string holds a comma."""
    return [part.strip() for part in arguments.split(", ")]


def _bytes(argument):
    return bytes.fromhex(argument.strip('"').replace("\\x", ""))
