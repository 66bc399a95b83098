"""Graphs whose weights lie beside them: the same graph, and never all of it in memory."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_asr.sessions import Session, tensor
from export.blocks import InBlocks
from export.errors import ExportError
from export.rewriting import rewrite_products
from export.rows import ByRows
from export.weights import DATA_SUFFIX, Weights, WeightWriter

pytestmark = pytest.mark.export

N_PRODUCTS, WIDTH = 6, 256
RANDOM = np.random.default_rng(3)
REWRITES = {"int8": ByRows, "int4": lambda: InBlocks(4, eight_bit=["/3/MatMul"])}


@pytest.fixture(params=["inside", "beside"])
def source(request, tmp_path):
    """Return a float graph: products one after the other, of which two share a weight."""
    names = [f"w{number % (N_PRODUCTS - 1)}" for number in range(N_PRODUCTS)]
    nodes = [
        helper.make_node("MatMul", [f"h{n}", names[n]], [f"h{n + 1}"], name=f"/{n}/MatMul")
        for n in range(N_PRODUCTS)
    ]
    shapes = [("h0", 0), (f"h{N_PRODUCTS}", N_PRODUCTS)]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", WIDTH]) for name, _ in shapes
    ]
    scale = np.float32(WIDTH**-0.5)
    weights = [
        numpy_helper.from_array(RANDOM.normal(size=(WIDTH, WIDTH)).astype(np.float32) * scale, name)
        for name in sorted(set(names))
    ]
    graph = helper.make_graph(nodes, "chain", values[:1], values[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    (tmp_path / "source").mkdir()
    path = tmp_path / "source" / "chain.onnx"
    onnx.save(
        model,
        path,
        save_as_external_data=request.param == "beside",
        location="chain.onnx_data",
        size_threshold=0,
    )
    return path


def _run(path):
    rows = np.random.default_rng(5).normal(size=(7, WIDTH)).astype(np.float32)
    return Session(path, n_threads=1).run({"h0": tensor(rows)}, [f"h{N_PRODUCTS}"])


@pytest.mark.parametrize("kind", REWRITES)
def test_a_graph_with_its_weights_beside_it_is_the_same_graph(source, tmp_path, kind):
    found = {}
    for name, large_graph in (("inside", 1 << 40), ("beside", 0)):
        (tmp_path / name).mkdir()
        target = tmp_path / name / "chain.onnx"
        rewrite_products(source, target, REWRITES[kind](), large_graph=large_graph)
        model = onnx.load(target)
        onnx.checker.check_model(model)
        found[name] = {
            each.name: numpy_helper.to_array(each).tolist() for each in model.graph.initializer
        }
        found[f"{name} gives"] = _run(target)[f"h{N_PRODUCTS}"].numpy().tolist()

    assert (tmp_path / "beside" / f"chain.onnx{DATA_SUFFIX}").is_file()
    assert not (tmp_path / "inside" / f"chain.onnx{DATA_SUFFIX}").exists()
    assert found["beside"] == found["inside"]
    assert found["beside gives"] == found["inside gives"]


def test_a_weight_that_two_products_share_is_stored_once_and_the_float_ones_are_gone(
    source, tmp_path
):
    rewrite_products(source, tmp_path / "chain.onnx", ByRows(), large_graph=0)
    stored = Weights(tmp_path / "chain.onnx").model.graph.initializer

    matrices = [each for each in stored if len(each.dims) == 2]
    assert len(matrices) == N_PRODUCTS - 1
    assert {each.data_type for each in matrices} == {TensorProto.INT8}


def test_weights_beside_a_graph_begin_with_a_page_each(source, tmp_path):
    rewrite_products(source, tmp_path / "chain.onnx", ByRows(), large_graph=0)
    beside = [
        {entry.key: entry.value for entry in each.external_data}
        for each in Weights(tmp_path / "chain.onnx").model.graph.initializer
        if each.data_location == TensorProto.EXTERNAL
    ]

    assert len(beside) == N_PRODUCTS - 1
    assert all(int(place["offset"]) % 4096 == 0 for place in beside)
    assert {place["location"] for place in beside} == {f"chain.onnx{DATA_SUFFIX}"}


def test_a_weight_is_mapped_from_its_file_when_it_lies_beside_the_graph(source):
    weights = Weights(source)

    read = weights.read("w2")

    assert isinstance(read, np.memmap) == source.with_name("chain.onnx_data").exists()
    wanted = next(e for e in onnx.load(source).graph.initializer if e.name == "w2")
    np.testing.assert_array_equal(read, numpy_helper.to_array(wanted))
    assert weights.total_bytes() == (N_PRODUCTS - 1) * WIDTH * WIDTH * 4


def test_two_constants_of_one_name_are_refused(tmp_path):
    with WeightWriter(tmp_path / "x.onnx", beside=False) as writer:
        writer.add("a", np.zeros(3))
        with pytest.raises(ExportError, match="two constants are called a"):
            writer.add("a", np.zeros(3))
