"""ONNX Runtime sessions: threads, spinning, memory. The one door to onnxruntime.

The runtime's defaults are made for servers: its worker threads spin while they wait, which takes
half a core from a machine that only listens. Here sessions never spin between calls, and the number
of threads is always stated.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

# The official wheels since 1.29 report to their maker over the network, unless this is set before
# they are loaded; a switch of their own comes too late for the first message.
os.putenv("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

from edge_asr.abandoning import is_watched, watch
from edge_asr.errors import BundleError, EdgeAsrError
from edge_asr.heap import give_back_early
from edge_asr.mapped import MappedTable
from edge_asr.prepared import DATA_SUFFIX, prepared_graph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from edge_asr.bundle import Bundle

MINIMUM_VERSION = (1, 27)
"""Older wheels lack the ARM kernels on aarch64 (1.23) and read model data from outside the model's
folder (until 1.24.1)."""
_SMAPS = Path("/proc/self/smaps")
Tensor: TypeAlias = onnxruntime.OrtValue
"""The runtime's tensor; :func:`tensor` makes one of an array, ``.numpy()`` makes it an array."""


def check_version() -> None:
    """Check the runtime's version.

    Raises:
        EdgeAsrError: it is too old.
    """
    found = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2])
    if found < MINIMUM_VERSION:
        raise EdgeAsrError(
            f"onnxruntime {onnxruntime.__version__} is too old; install 1.27 or newer",
        )


def n_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def default_threads(measured: int = 0) -> int:
    """Return how many threads recognition may use: all cores but one, which the microphone keeps.

    With two cores or fewer, all of them: there recognition would otherwise be too slow to matter.

    Args:
        measured: how many were found to be best on this machine; 0: that was not measured.
    """
    cores = n_cores()
    if measured:
        return min(measured, cores)
    return cores - 1 if cores > 2 else cores  # noqa: PLR2004


def tensor(array: np.ndarray[Any, Any]) -> Tensor:
    """Return ``array`` as a tensor: the same memory where the array is contiguous."""
    return Tensor.ortvalue_from_numpy(np.asarray(array, order="C"))


_listeners: list[Callable[[], None]] = []


@contextmanager
def progress_told(alive: Callable[[], None]) -> Iterator[None]:
    """Have ``alive`` called after each run of any graph of this process: each token is progress.

    It is the process that a watchdog watches, so this is a matter of the process, and no
    recognizer needs to know.
    """
    _listeners.append(alive)
    try:
        yield
    finally:
        _listeners.remove(alive)


def _after_run() -> None:
    for alive in _listeners:
        alive()


class Session:
    """One graph of a bundle, ready to run."""

    def __init__(
        self, path: Path, *, n_threads: int, prepared: bool = False, arena: bool = True
    ) -> None:
        """Load a graph.

        Args:
            path: of the graph.
            n_threads: that compute it.
            prepared: it was written by :func:`write_prepared` on this machine, and is run as it is.
            arena: see :func:`open_session`.

        Raises:
            BundleError: the runtime refuses it.
        """
        options = _options(n_threads)
        options.enable_cpu_mem_arena = arena
        if prepared:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = _load(path, options)
        self._mapped = path.resolve().with_name(f"{path.name}{DATA_SUFFIX}") if prepared else None
        self.input_names = [node.name for node in self._session.get_inputs()]
        self.output_names = [node.name for node in self._session.get_outputs()]

    def run(
        self, inputs: Mapping[str, Tensor], outputs: Sequence[str], *, give_back: bool = False
    ) -> dict[str, Tensor]:
        """Run the graph and return the named outputs. Tensors go in and out without a copy.

        Args:
            inputs: by name.
            outputs: names.
            give_back: let the system have the working memory again; for calls that need far more
                of it than those that follow.
        """
        values = self._session.run_with_ort_values(
            list(outputs), dict(inputs), _run_options(give_back=give_back)
        )
        _after_run()
        return dict(zip(outputs, values, strict=True))

    def give_table_back(self) -> None:
        """Let the system have the memory of a mapped table of which few rows are read."""
        if self._table is not None:
            self._table.give_back()

    @cached_property
    def _table(self) -> MappedTable | None:
        """Looked for when somebody asks, since it takes a while and most graphs have none."""
        return None if self._mapped is None else MappedTable.find(self._mapped, _SMAPS)

    def bind(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Binding:
        """Bind tensors to inputs and outputs for good.

        One tensor may be both: a graph that writes to places of it then works in place.
        """
        return Binding(self._session, inputs, outputs)


class Binding:
    """A session whose large tensors stay where they are from call to call."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        inputs: Mapping[str, Tensor],
        outputs: Mapping[str, Tensor],
    ) -> None:
        self._session = session
        self._binding = session.io_binding()
        self._bind(inputs, outputs)

    def run(
        self,
        inputs: Mapping[str, Tensor],
        outputs: Mapping[str, Tensor],
        *,
        give_back: bool = False,
    ) -> None:
        """Run the graph once.

        Args:
            inputs: those that are not bound for good.
            outputs: tensors to write to, of the shapes that the graph will give. Outputs that are
                neither here nor bound for good are not looked at.
            give_back: see :meth:`Session.run`.
        """
        self._bind(inputs, outputs)
        self._session.run_with_iobinding(self._binding, _run_options(give_back=give_back))
        _after_run()

    def _bind(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> None:
        for name, value in inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in outputs.items():
            self._binding.bind_ortvalue_output(name, value)


def open_session(bundle: Bundle, file_name: str, *, n_threads: int, arena: bool = True) -> Session:
    """Open one graph of a verified bundle: as it was prepared for this machine, or as it is.

    Args:
        bundle: that has it.
        file_name: of the graph.
        n_threads: that compute it.
        arena: keep the largest working memory that was ever needed, for the next call. Without,
            memory comes from the system's heap, and goes back to it: right for small models that
            are called with much and with little; large ones peak at twice as much.

    Raises:
        BundleError: the bundle has no such graph, or the runtime refuses it.
    """
    path = bundle.path(file_name)
    if (prepared := prepared_graph(bundle, file_name)) is not None:
        with suppress(BundleError):
            return Session(prepared, n_threads=n_threads, prepared=True, arena=arena)
    return Session(path, n_threads=n_threads, arena=arena)


def write_prepared(source: Path, target: Path, *, n_threads: int) -> None:
    """Write a graph as the runtime has it after loading: optimized, its weights prepacked.

    Args:
        source: a graph.
        target: where the other goes; the weights go to a file beside it.
        n_threads: to do it with.

    Raises:
        BundleError: the runtime refuses it.
    """
    options = _options(n_threads)
    options.optimized_model_filepath = str(target)
    for key, value in {
        "session.optimized_model_external_initializers_file_name": f"{target.name}{DATA_SUFFIX}",
        "session.optimized_model_external_initializers_min_size_in_bytes": "1024",
        "session.save_external_prepacked_constant_initializers": "1",
    }.items():
        options.add_session_config_entry(key, value)
    _load(source, options)


def _options(n_threads: int) -> onnxruntime.SessionOptions:
    check_version()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3  # errors; warnings are about graph fusions
    # Workers may spin within a call, where work follows at once, but never between calls.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _run_options(*, give_back: bool) -> onnxruntime.RunOptions | None:
    if not give_back and not is_watched():
        return None
    options = onnxruntime.RunOptions()
    if give_back:
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    watch(options)
    return options


def _load(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    give_back_early()
    try:
        return onnxruntime.InferenceSession(
            str(path),
            sess_options=options,
            providers=["CPUExecutionProvider"],
        )
    except Exception as error:  # onnxruntime raises its own and RuntimeError alike
        raise BundleError(f"{path}: onnxruntime cannot load it ({error})") from error
