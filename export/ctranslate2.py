"""Reads CTranslate2's ``model.bin`` into NumPy arrays.

The layout, little-endian (CTranslate2's ``ModelSpec`` serialisation, binary version 6)::

    u32 version   string spec   u32 revision
    u32 n_tensors,  then each:  string name  u8 rank  u32 dims[rank]  u8 dtype  u32 n_bytes  data
    u32 n_aliases,  then each:  string alias  string tensor

A string is a u16 length and that many bytes, the last one NUL. Nothing a file claims is believed:
every length is held against what is left of the file before it is used.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from export.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

VERSION = 6
_MAX_TENSORS = 100_000
_MAX_RANK = 8
_DTYPES: dict[int, np.dtype[Any]] = {
    0: np.dtype("<f4"),
    1: np.dtype("i1"),
    2: np.dtype("<i2"),
    3: np.dtype("<i4"),
    4: np.dtype("<f2"),
}
"""CTranslate2's ``DataType``. bfloat16 (5) has no NumPy type; no published Whisper uses it."""

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The content of a ``model.bin``."""

    spec: str
    """CTranslate2's name of the architecture, e.g. ``WhisperSpec``."""
    revision: int
    tensors: dict[str, Array]
    """Read-only views of the file's bytes, aliases included."""


def read_model(path: Path) -> ModelFile:
    """Read a ``model.bin``.

    Raises:
        SourceError: the file is missing, damaged, or of another version.
    """
    try:
        reader = _Reader(path.read_bytes())
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    try:
        return _read(reader)
    except _DamagedError as error:
        raise SourceError(f"{path}: not a CTranslate2 model that can be read: {error}") from error


class _DamagedError(Exception):
    """What is wrong with the bytes."""


class _Reader:
    """A cursor over bytes that never leaves them."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0

    @property
    def n_left(self) -> int:
        return len(self._raw) - self._at

    def take(self, n_bytes: int) -> memoryview:
        if n_bytes > self.n_left:
            raise _DamagedError(f"it ends {n_bytes - self.n_left} bytes too early")
        start, self._at = self._at, self._at + n_bytes
        return memoryview(self._raw)[start : self._at]

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int(struct.unpack("<H", self.take(2))[0])

    def u32(self) -> int:
        return int(struct.unpack("<I", self.take(4))[0])

    def string(self) -> str:
        raw = bytes(self.take(self.u16()))
        if not raw.endswith(b"\0"):
            raise _DamagedError("a name is not terminated")
        try:
            return raw[:-1].decode("utf-8")
        except UnicodeDecodeError:
            raise _DamagedError("a name is not text") from None


def _read(reader: _Reader) -> ModelFile:
    version = reader.u32()
    if version != VERSION:
        raise _DamagedError(f"its version is {version}, not {VERSION}")
    spec, revision = reader.string(), reader.u32()
    n_tensors = reader.u32()
    if n_tensors > _MAX_TENSORS:
        raise _DamagedError(f"it claims {n_tensors} tensors")
    tensors: dict[str, Array] = {}
    for _ in range(n_tensors):
        name = reader.string()
        _add(tensors, name, _read_tensor(reader, name))
    for _ in range(_n_aliases(reader)):
        alias, name = reader.string(), reader.string()
        if name not in tensors:
            raise _DamagedError(f"{alias} stands for {name}, which is not there")
        _add(tensors, alias, tensors[name])
    if reader.n_left:
        raise _DamagedError(f"{reader.n_left} bytes follow its end")
    return ModelFile(spec, revision, tensors)


def _n_aliases(reader: _Reader) -> int:
    count = reader.u32()
    if count > _MAX_TENSORS:
        raise _DamagedError(f"it claims {count} aliases")
    return count


def _add(tensors: dict[str, Array], name: str, tensor: Array) -> None:
    if name in tensors:
        raise _DamagedError(f"{name} is there twice")
    tensors[name] = tensor


def _read_tensor(reader: _Reader, name: str) -> Array:
    rank = reader.u8()
    if rank > _MAX_RANK:
        raise _DamagedError(f"{name} claims {rank} dimensions")
    shape = tuple(reader.u32() for _ in range(rank))
    dtype_id = reader.u8()
    dtype = _DTYPES.get(dtype_id)
    if dtype is None:
        raise _DamagedError(f"{name} is of the unknown type {dtype_id}")
    n_bytes = reader.u32()
    if math.prod(shape) * dtype.itemsize != n_bytes:
        raise _DamagedError(f"{name} has {n_bytes} bytes for the shape {list(shape)}")
    return np.frombuffer(reader.take(n_bytes), dtype=dtype).reshape(shape)
