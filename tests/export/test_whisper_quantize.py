"""A scale for each row: the same in float, and far better where a few rows are loud."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_asr.sessions import Session, tensor
from export.errors import RecipeError
from export.whisper_quantize import scale_rows, shrink_head, to_dynamic_int8

pytestmark = pytest.mark.export

RANDOM = np.random.default_rng(11)
WEIGHTS = {name: RANDOM.normal(size=(24, 10)).astype(np.float32) for name in ("left", "right")}


@pytest.fixture
def graph(tmp_path):
    """Return a graph with two products of one input, and one of two variables."""
    nodes = [
        helper.make_node("MatMul", ["x", "left"], ["a"], name="/left/MatMul"),
        helper.make_node("MatMul", ["x", "right"], ["b"], name="/right/MatMul"),
        helper.make_node("Transpose", ["b"], ["c"], perm=[1, 0]),
        helper.make_node("MatMul", ["a", "c"], ["y"], name="/scores/MatMul"),
    ]
    made = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 24])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "n"]),
            helper.make_tensor_value_info("a", TensorProto.FLOAT, ["n", 10]),
        ],
        [numpy_helper.from_array(weight, name) for name, weight in WEIGHTS.items()],
    )
    path = tmp_path / "products.onnx"
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


def _run(path, rows):
    outputs = Session(path, n_threads=1).run({"x": tensor(rows)}, ["a", "y"])
    return outputs["a"].numpy(), outputs["y"].numpy()


def _rows():
    rows = RANDOM.normal(size=(12, 24)).astype(np.float32)
    rows[3] *= 300.0
    rows[7] = 0.0
    return rows


def test_the_graph_computes_the_same(graph, tmp_path):
    rows = _rows()
    scale_rows(graph, tmp_path / "scaled.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "scaled.onnx"))

    for found, wanted in zip(_run(tmp_path / "scaled.onnx", rows), _run(graph, rows), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)


def test_products_of_one_input_share_its_scale_and_others_have_none(graph, tmp_path):
    scale_rows(graph, tmp_path / "scaled.onnx")
    operators = [node.op_type for node in onnx.load(tmp_path / "scaled.onnx").graph.node]

    assert operators.count("Div") == 1
    assert operators.count("Mul") == 2


def test_one_loud_row_no_longer_drowns_the_others_in_int8(graph, tmp_path):
    rows = _rows()
    wanted, _ = _run(graph, rows)
    scale_rows(graph, tmp_path / "scaled.onnx")
    quiet = [index for index in range(12) if index != 3]

    errors = {}
    for name, source in (("plain", graph), ("scaled", tmp_path / "scaled.onnx")):
        to_dynamic_int8(source, tmp_path / f"{name}-int8.onnx")
        found, _ = _run(tmp_path / f"{name}-int8.onnx", rows)
        errors[name] = np.linalg.norm((found - wanted)[quiet]) / np.linalg.norm(wanted[quiet])

    assert errors["scaled"] < 0.02
    assert errors["plain"] > 10 * errors["scaled"]


@pytest.fixture
def decoder(tmp_path):
    """Return a graph with a hidden product and an output projection."""
    nodes = [
        helper.make_node("MatMul", ["x", "inner"], ["hidden"], name="/layers.0/up/MatMul"),
        helper.make_node("MatMul", ["hidden", "head"], ["logits"], name="/head/MatMul"),
    ]
    shapes = {"inner": (24, 64), "head": (64, 96)}
    made = helper.make_graph(
        nodes,
        "decoder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 24])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 96])],
        [
            numpy_helper.from_array(RANDOM.normal(size=shape).astype(np.float32), name)
            for name, shape in shapes.items()
        ],
    )
    path = tmp_path / "decoder.onnx"
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


def _operators(path):
    return [node.op_type for node in onnx.load(path).graph.node]


def test_the_output_projection_alone_gets_four_bits(decoder, tmp_path):
    small = tmp_path / "small.onnx"
    shrink_head(decoder, small)
    rows = RANDOM.normal(size=(3, 24)).astype(np.float32)
    wanted = Session(decoder, n_threads=1).run({"x": tensor(rows)}, ["logits"])["logits"].numpy()
    found = Session(small, n_threads=1).run({"x": tensor(rows)}, ["logits"])["logits"].numpy()

    assert _operators(small) == ["MatMul", "MatMulNBits"]
    assert small.stat().st_size < decoder.stat().st_size
    assert np.linalg.norm(found - wanted) / np.linalg.norm(wanted) < 0.15


def test_an_output_projection_that_a_recipe_keeps_stays_float(decoder, tmp_path):
    shrink_head(decoder, tmp_path / "kept.onnx", ["/head"])

    assert _operators(tmp_path / "kept.onnx") == ["MatMul", "MatMul"]
    with pytest.raises(RecipeError, match="no product"):
        shrink_head(decoder, tmp_path / "no.onnx", ["/haed"])
