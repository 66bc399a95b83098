"""A graph's constants, read and written one at a time.

A graph with 2 GB and more of weights keeps them in a file beside it. Here that file is mapped,
never read whole, and its successor is written tensor by tensor: to rewrite a graph takes the memory
of its largest weight, not of the graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO

Array = np.ndarray[Any, np.dtype[Any]]

DATA_SUFFIX = "_data"
"""What is appended to a graph's name for the file of its weights, as Optimum does."""
LARGE_GRAPH = 1 << 30
"""Bytes of float weights from which on the quantized ones lie beside their graph, to be mapped."""
_ALIGNMENT = 4096
"""Of weights in their file: they begin with a page."""
_LARGE_TENSOR = 1 << 16
"""Bytes from which on a constant lies beside the graph; the runtime folds smaller ones."""


class Weights:
    """The constants of a stored graph."""

    def __init__(self, path: Path) -> None:
        self.model = onnx.load(path, load_external_data=False)
        """The graph; constants beside it are only named."""
        self._directory = path.parent
        self._tensors = {each.name: each for each in self.model.graph.initializer}

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a constant."""
        return tuple(self._tensors[name].dims)

    def total_bytes(self) -> int:
        """Return the size of all constants."""
        return sum(
            int(np.prod(each.dims)) * helper.tensor_dtype_to_np_dtype(each.data_type).itemsize
            for each in self._tensors.values()
        )

    def read(self, name: str) -> Array:
        """Return a constant; one that lies beside the graph is mapped from its file."""
        stored = self._tensors[name]
        if stored.data_location != TensorProto.EXTERNAL:
            array: Array = numpy_helper.to_array(stored)
            return array
        place = {entry.key: entry.value for entry in stored.external_data}
        return np.memmap(
            self._directory / place["location"],
            dtype=helper.tensor_dtype_to_np_dtype(stored.data_type),
            mode="r",
            offset=int(place.get("offset", 0)),
            shape=tuple(stored.dims),
        )


class WeightWriter:
    """Collects a graph's constants; large ones go to a file beside the graph at once."""

    def __init__(self, path: Path, *, beside: bool) -> None:
        """Begin.

        Args:
            path: where the graph will be written.
            beside: whether large constants go to a file of their own.
        """
        self._path = path
        self._data = path.with_name(path.name + DATA_SUFFIX)
        self._file: BinaryIO | None = self._data.open("wb") if beside else None
        self._tensors: dict[str, TensorProto] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def add(self, name: str, array: Array) -> None:
        """Add a constant.

        Raises:
            ExportError: there is another one of that name.
        """
        if name in self._tensors:
            raise ExportError(f"{self._path.name}: two constants are called {name}")
        if self._file is None or array.nbytes < _LARGE_TENSOR:
            self._tensors[name] = numpy_helper.from_array(np.asarray(array), name)
        else:
            self._tensors[name] = self._append(self._file, name, array)

    def _append(self, file: BinaryIO, name: str, array: Array) -> TensorProto:
        file.write(b"\0" * (-file.tell() % _ALIGNMENT))
        place = {"location": self._data.name, "offset": file.tell(), "length": array.nbytes}
        np.ascontiguousarray(array).tofile(file)
        stored = TensorProto(
            name=name,
            data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
            dims=array.shape,
            data_location=TensorProto.EXTERNAL,
        )
        for key, value in place.items():
            stored.external_data.add(key=key, value=str(value))
        return stored

    def save(self, model: onnx.ModelProto) -> None:
        """Write the graph of ``model`` with the collected constants in place of its own."""
        del model.graph.initializer[:]
        model.graph.initializer.extend(self._tensors.values())
        onnx.save(model, self._path)
