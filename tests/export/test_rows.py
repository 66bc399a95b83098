"""8-bit products by rows: near to float, and a row's result is its own whatever lies beside it."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_asr.sessions import Session, tensor
from export.quantize import to_int8
from export.rows import quantize_columns

pytestmark = pytest.mark.export

RANDOM = np.random.default_rng(11)
WEIGHTS = {name: RANDOM.normal(size=(24, 10)).astype(np.float32) for name in ("left", "right")}


@pytest.fixture
def graph(tmp_path):
    """Return a graph with two products of one input, and one of two variables."""
    nodes = [
        helper.make_node("MatMul", ["x", "left"], ["a"], name="/left/MatMul"),
        helper.make_node("MatMul", ["x", "right"], ["b"], name="/right/MatMul"),
        helper.make_node("Transpose", ["b"], ["c"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["a", "c"], ["y"], name="/scores/MatMul"),
    ]
    made = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "n", 24])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "n", "n"]),
            helper.make_tensor_value_info("a", TensorProto.FLOAT, ["batch", "n", 10]),
        ],
        [numpy_helper.from_array(weight, name) for name, weight in WEIGHTS.items()],
    )
    path = tmp_path / "products.onnx"
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


@pytest.fixture
def product(graph, tmp_path):
    """Return the 8-bit graph's first product, as a function of rows ``(batch, n, 24)``."""
    to_int8(graph, tmp_path / "int8.onnx")
    session = Session(tmp_path / "int8.onnx", n_threads=1)
    return lambda rows: session.run({"x": tensor(rows)}, ["a"])["a"].numpy()


def _rows():
    rows = RANDOM.normal(size=(2, 12, 24)).astype(np.float32)
    rows[0, 3] *= 300.0
    rows[1, 7] = 0.0
    return rows


def test_the_graph_computes_what_plain_integer_arithmetic_gives(product):
    rows = _rows()
    codes, scales = quantize_columns(WEIGHTS["left"])
    steps = np.maximum(np.abs(rows).max(axis=2, keepdims=True) / 127, 1e-8)
    integers = np.rint(rows / steps).astype(np.int64) @ codes.astype(np.int64)

    np.testing.assert_allclose(product(rows), integers * scales * steps, rtol=1e-5, atol=1e-5)


def test_every_row_is_near_to_float_however_loud_the_others_are(product):
    rows = _rows()
    wanted = rows @ WEIGHTS["left"]

    errors = np.linalg.norm(product(rows) - wanted, axis=2)

    assert (errors <= 0.03 * np.linalg.norm(wanted, axis=2)).all()
    assert (product(rows)[1, 7] == 0).all()


def test_a_rows_result_is_the_same_to_the_bit_alone_and_among_others(product):
    rows = _rows()
    together = product(rows)

    for clip in range(2):
        for row in range(12):
            alone = product(rows[clip : clip + 1, row : row + 1])
            assert (alone[0, 0] == together[clip, row]).all()


def test_products_of_one_input_quantize_it_once_and_others_stay_float(graph, tmp_path):
    to_int8(graph, tmp_path / "int8.onnx")
    model = onnx.load(tmp_path / "int8.onnx")
    onnx.checker.check_model(model)
    operators = [node.op_type for node in model.graph.node]

    assert operators.count("QuantizeLinear") == 1
    assert operators.count("MatMulIntegerToFloat") == 2
    assert operators.count("MatMul") == 1


def test_columns_are_quantized_to_within_half_a_step():
    weight = RANDOM.normal(size=(700, 9)).astype(np.float32)
    weight[:, 4] = 0.0

    codes, scales = quantize_columns(weight)

    np.testing.assert_allclose(scales[:4], np.abs(weight[:, :4]).max(axis=0) / 127, rtol=1e-6)
    assert (np.abs(codes * scales - weight) <= 0.5001 * scales).all()
    assert not codes[:, 4].any()
