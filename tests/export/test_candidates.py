"""The token table decides between the tokens that a rough output projection finds likely."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_asr.sessions import Session, tensor
from export.blocks import InBlocks
from export.candidates import N_CANDIDATES, decide_by_table
from export.rewriting import rewrite_products

pytestmark = pytest.mark.export

VOCAB_SIZE, WIDTH, HEAD = 96, 32, "/head/MatMul"
RANDOM = np.random.default_rng(5)
TABLE = RANDOM.normal(size=(VOCAB_SIZE, WIDTH)).astype(np.float16)


@pytest.fixture(params=[np.float16, np.float32])
def rough(request, tmp_path):
    """Return a decoder of one layer, with its output projection in 4 bits."""
    values = {"table": TABLE.astype(request.param), "head": TABLE.T.astype(np.float32)}
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["looked_up"]),
        helper.make_node("Cast", ["looked_up"], ["hidden"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["hidden", "head"], ["logits"], name=HEAD),
        helper.make_node("Add", ["logits", "logit_bias"], ["biased"]),
    ]
    size = ["batch", "n", VOCAB_SIZE]
    made = helper.make_graph(
        nodes,
        "decoder",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "n"]),
            helper.make_tensor_value_info("logit_bias", TensorProto.FLOAT, [VOCAB_SIZE]),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name in _OUTPUTS],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "float.onnx")
    path = tmp_path / "rough.onnx"
    rewrite_products(tmp_path / "float.onnx", path, InBlocks(4))
    return path


_OUTPUTS = ("logits", "biased")


def _run(path, bias=None):
    session = Session(path, n_threads=1)
    ids = np.arange(2 * 5).reshape(2, 5)
    bias = np.zeros(VOCAB_SIZE, np.float32) if bias is None else bias
    inputs = {"input_ids": tensor(ids), "logit_bias": tensor(bias)}
    found = session.run(inputs, list(_OUTPUTS))
    wanted = TABLE[ids].astype(np.float32) @ TABLE.T.astype(np.float32)
    return found["logits"].numpy(), found["biased"].numpy(), wanted


def test_the_likeliest_logits_are_exact_and_the_others_as_they_were(rough):
    before, _, wanted = _run(rough)
    decide_by_table(rough, HEAD)
    after, biased, _ = _run(rough)

    likeliest = np.argsort(-before, axis=2)[:, :, :N_CANDIDATES]
    exact = np.take_along_axis(wanted, likeliest, axis=2)
    np.testing.assert_allclose(np.take_along_axis(after, likeliest, axis=2), exact, rtol=1e-5)
    assert (after != before).sum(axis=2).max() <= N_CANDIDATES
    assert np.abs(before - wanted).max() > 0.1
    np.testing.assert_array_equal(after, biased)


def test_what_may_not_come_is_no_candidate(rough):
    before, _, _ = _run(rough)
    decide_by_table(rough, HEAD)
    bias = np.zeros(VOCAB_SIZE, np.float32)
    bias[: VOCAB_SIZE - N_CANDIDATES] = -np.inf
    after, _, wanted = _run(rough, bias)

    allowed = slice(VOCAB_SIZE - N_CANDIDATES, None)
    np.testing.assert_allclose(after[..., allowed], wanted[..., allowed], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(after[..., : allowed.start], before[..., : allowed.start])


def test_a_graph_without_a_table_is_refused(rough):
    model = onnx.load(rough)
    model.graph.node[0].input[1] = "other_ids"
    model.graph.input[0].name = "other_ids"
    onnx.save(model, rough)

    with pytest.raises(ValueError, match="no tokens"):
        decide_by_table(rough, HEAD)
