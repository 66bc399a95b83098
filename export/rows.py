"""8-bit products with a scale for each row of activations.

onnxruntime's own dynamic int8 has one scale for all rows of a call. That is inaccurate where a few
rows are far larger than the others, as in Whisper's encoder, and it makes a token's result depend
on the tokens it is fed with, so that drafts verified together are not what single steps would have
said. Here each row is divided by a step of its own, its largest magnitude / 127, rounded and
multiplied in integers; what the rows beside it hold changes nothing, to the bit.

Weights are signed, one scale for each output column, symmetric; activations unsigned with a zero
point of 128 (U8S8, what VNNI, AMX and SDOT compute); the runtime prepacks the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper

from export.rewriting import DOMAIN

if TYPE_CHECKING:
    import onnx

    from export.weights import Array, WeightWriter

_LARGEST_CODE = 127
_ZERO_POINT = 128
_SMALLEST_STEP = 1e-8
"""Of a row of zeros."""
_ROWS_AT_ONCE = 256
"""Of a weight that is being quantized: what is in memory in float."""


class ByRows:
    """A rewrite (:mod:`export.rewriting`) of products in 8 bits."""

    def __init__(self) -> None:
        self._coded: set[str] = set()
        """Inputs that are quantized already: products may share them."""

    def __call__(
        self, product: onnx.NodeProto, weight: Array, writer: WeightWriter
    ) -> list[onnx.NodeProto]:
        """Return the nodes of one product, and of its input where it is the first with it."""
        rows, name = product.input
        if f"{name}_int8" not in writer:
            codes, scales = quantize_columns(weight)
            writer.add(f"{name}_int8", codes)
            writer.add(f"{name}_int8_scales", scales)
        nodes = []
        if rows not in self._coded:
            self._coded.add(rows)
            nodes = _coding(rows, weight.shape[0], writer)
        return [*nodes, *_product(product)]


def _coding(rows: str, n_inputs: int, writer: WeightWriter) -> list[onnx.NodeProto]:
    """Return the nodes that make ``<rows>_codes`` and ``<rows>_step``.

    ``QuantizeLinear`` takes one scale and one zero point for each row of a matrix.
    """
    constants: dict[str, Any] = {
        "int8_axis": np.array([-1], np.int64),
        "int8_per_step": np.float32(1 / _LARGEST_CODE),
        "int8_smallest_step": np.float32(_SMALLEST_STEP),
        "int8_one": np.float32(1),
        "int8_zero_point": np.uint8(_ZERO_POINT),
        "int8_vector": np.array([-1], np.int64),
        f"int8_rows_of_{n_inputs}": np.array([-1, n_inputs], np.int64),
    }
    for name, value in constants.items():
        if name not in writer:
            writer.add(name, np.asarray(value))
    zero_point = helper.make_tensor("value", TensorProto.UINT8, [1], [_ZERO_POINT])
    own = {part: f"{rows}_{part}" for part in _PARTS}
    return [
        _node("ReduceMax", [rows, "int8_axis"], own["highest"]),
        _node("ReduceMin", [rows, "int8_axis"], own["lowest"]),
        _node("Neg", [own["lowest"]], own["minus_lowest"]),
        _node("Max", [own["highest"], own["minus_lowest"]], own["largest"]),
        _node("Mul", [own["largest"], "int8_per_step"], own["exact_step"]),
        _node("Max", [own["exact_step"], "int8_smallest_step"], own["step"]),
        _node("Reshape", [own["step"], "int8_vector"], own["steps"]),
        _node("Shape", [own["steps"]], own["n_steps"]),
        _node("ConstantOfShape", [own["n_steps"]], own["zero_points"], value=zero_point),
        _node("Reshape", [rows, f"int8_rows_of_{n_inputs}"], own["matrix"]),
        _node(
            "QuantizeLinear",
            [own["matrix"], own["steps"], own["zero_points"]],
            own["matrix_codes"],
            axis=0,
        ),
        _node("Shape", [rows], own["shape"]),
        _node("Reshape", [own["matrix_codes"], own["shape"]], own["codes"]),
    ]


_PARTS = (
    *("highest", "lowest", "minus_lowest", "largest", "exact_step", "step", "steps", "n_steps"),
    *("zero_points", "matrix", "matrix_codes", "shape", "codes"),
)


def _product(product: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Return the product in integers, and what gives each row its scale back."""
    rows, weight = product.input
    result = product.output[0]
    inputs = [f"{rows}_codes", f"{weight}_int8", "int8_one", f"{weight}_int8_scales"]
    integers = helper.make_node(
        "MatMulIntegerToFloat",
        [*inputs, "int8_zero_point"],
        [f"{result}_in_steps"],
        name=product.name,
        domain=DOMAIN,
    )
    return [integers, _node("Mul", [f"{result}_in_steps", f"{rows}_step"], result)]


def _node(operator: str, inputs: list[str], output: str, **attributes: object) -> onnx.NodeProto:
    """Return a node named after what it makes; reductions keep their axis by default."""
    return helper.make_node(operator, inputs, [output], name=output, **attributes)


def quantize_columns(weight: Array) -> tuple[Array, Array]:
    """Quantize the weights of one product.

    Args:
        weight: float32, ``(n_inputs, n_outputs)``; it may be mapped from a file, and is never in
            memory as a whole.

    Returns:
        int8 ``(n_inputs, n_outputs)``, and float32 scales ``(n_outputs,)``.
    """
    largest = np.zeros(weight.shape[1], dtype=np.float32)
    for first in range(0, len(weight), _ROWS_AT_ONCE):
        rows = weight[first : first + _ROWS_AT_ONCE]
        np.maximum(largest, np.abs(rows).max(axis=0), out=largest)
    scales = np.where(largest > 0, largest / _LARGEST_CODE, 1).astype(np.float32)
    codes = np.empty(weight.shape, dtype=np.int8)
    for first in range(0, len(weight), _ROWS_AT_ONCE):
        steps = weight[first : first + _ROWS_AT_ONCE] / scales
        codes[first : first + _ROWS_AT_ONCE] = np.rint(steps).clip(-_LARGEST_CODE, _LARGEST_CODE)
    return codes, scales
