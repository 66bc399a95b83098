"""Quantized graphs: what becomes small, what stays float, and that they still compute."""

from collections import Counter

import numpy as np
import onnx
import pytest

from edge_asr.sessions import Session, tensor
from export.blocks import quantize_blocks
from export.errors import RecipeError
from export.recipe import Quantization
from export.whisper_quantize import quantize_whisper
from tests.export.conftest import VOCAB_SIZE

pytestmark = pytest.mark.export

ENCODER, DECODER = "encoder_model.onnx", "decoder_model_merged.onnx"
FEATURES = np.random.default_rng(1).normal(size=(1, 80, 400)).astype(np.float32)


def _operators(path):
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def _products(path):
    """Return the names of the float matrix products with constant weights."""
    graph = onnx.load(path).graph
    constants = {each.name for each in graph.initializer}
    return {n.name for n in graph.node if n.op_type == "MatMul" and n.input[1] in constants}


def _cross_keys(path):
    return (
        Session(path, n_threads=1)
        .run(
            {"input_features": tensor(FEATURES)},
            ["present.2.encoder.key"],
        )["present.2.encoder.key"]
        .numpy()
    )


def _logits(path):
    decoder = Session(path, n_threads=1)
    random = np.random.default_rng(2)
    inputs = {
        "input_ids": tensor(np.array([[9, 8, 7]], np.int64)),
        "position_ids": tensor(np.array([[0, 1, 2]], np.int64)),
        "logit_bias": tensor(np.zeros(VOCAB_SIZE, np.float32)),
    }
    for name in decoder.input_names:
        if name not in inputs:
            length = 8 if ".decoder." in name else 50
            inputs[name] = tensor(random.normal(size=(1, 4, length, 16)).astype(np.float32))
    return decoder.run(inputs, ["logits"])["logits"].numpy()


def _similarity(left, right):
    return float((left * right).sum() / np.linalg.norm(left) / np.linalg.norm(right))


@pytest.fixture
def quantize(graphs, tmp_path):
    def call(quantization, float_matmuls=()):
        quantize_whisper(graphs.directory, tmp_path, quantization, float_matmuls)
        return tmp_path

    return call


def test_int8_takes_every_product_with_weights_and_no_convolution(quantize):
    made = quantize(Quantization.INT8)

    assert not _products(made / ENCODER)
    assert not _products(made / DECODER)
    assert _operators(made / ENCODER)["Conv"] == 2


def test_int8_weights_are_signed_with_one_scale_per_column(quantize):
    graph = onnx.load(quantize(Quantization.INT8) / ENCODER).graph
    weights = {each.name: each for each in graph.initializer if each.data_type == 3}  # INT8
    scales = {each.name: each for each in graph.initializer if each.name.endswith("_scale")}

    assert weights
    qkv = next(name for name in weights if list(weights[name].dims) == [64, 192])
    assert list(scales[qkv.replace("_quantized", "_scale")].dims) == [192]


def test_int8_stays_close_to_float(quantize, graphs):
    made = quantize(Quantization.INT8)

    pairs = ((ENCODER, _cross_keys), (DECODER, _logits))
    for name, run in pairs:
        assert _similarity(run(made / name), run(graphs.directory / name)) > 0.99


def test_a_product_can_be_left_in_float(quantize):
    made = quantize(Quantization.INT8, ["encoder/layers.1/feed_forward/down"])

    assert _products(made / ENCODER) == {"/layers.1/feed_forward/down/MatMul"}
    assert not _products(made / DECODER)


def test_an_unknown_product_is_refused(quantize):
    with pytest.raises(RecipeError, match=r"encoder_model has no product /layers\.9/nothing"):
        quantize(Quantization.INT8, ["encoder/layers.9/nothing"])


def test_int4_is_the_decoder_in_blocks_and_the_encoder_in_int8(quantize, graphs):
    made = quantize(Quantization.INT4)

    assert not _products(made / DECODER)
    assert _operators(made / DECODER)["MatMulNBits"] == len(_products(graphs.directory / DECODER))
    blocks = [n for n in onnx.load(made / DECODER).graph.node if n.op_type == "MatMulNBits"]
    bits = {n.name: next(a.i for a in n.attribute if a.name == "bits") for n in blocks}
    assert {name for name in bits if bits[name] == 8} == {"/head/MatMul"}
    assert _operators(made / ENCODER)["MatMulInteger"] > 0
    assert _similarity(_logits(made / DECODER), _logits(graphs.directory / DECODER)) > 0.95
    assert (made / DECODER).stat().st_size < 0.6 * (graphs.directory / DECODER).stat().st_size


def test_none_leaves_the_graphs_as_they_are(quantize, graphs):
    made = quantize(Quantization.NONE)

    for name in (ENCODER, DECODER):
        assert (made / name).read_bytes() == (graphs.directory / name).read_bytes()


def _unpacked(packed, scales, bits, n_inputs):
    middle = 1 << (bits - 1)
    codes = packed
    if bits == 4:
        codes = np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:2], -1)
    weights = (codes.astype(np.float32) - middle) * scales[..., np.newaxis]
    return weights.reshape(len(weights), -1)[:, :n_inputs].T


@pytest.mark.parametrize(("bits", "block_size"), [(4, 32), (4, 16), (8, 32), (8, 128)])
def test_blocks_hold_every_weight_to_within_half_a_step(bits, block_size):
    weight = np.random.default_rng(5).normal(size=(200, 7)).astype(np.float32)
    weight[:block_size, 3] = 0.0

    packed, scales = quantize_blocks(weight, bits=bits, block_size=block_size)

    n_blocks = -(-200 // block_size)
    assert packed.shape == (7, n_blocks, block_size * bits // 8)
    steps = np.repeat(np.abs(scales), block_size, axis=1)[:, :200].T
    difference = np.abs(_unpacked(packed, scales, bits, 200) - weight)
    # The one value at the end of the range that has no code may be a whole step off.
    assert (difference <= steps * 1.001).all()
    assert np.mean(difference <= steps * 0.5001) > 0.97


def test_fitted_scales_lose_less_of_the_weights_in_every_block():
    weight = np.random.default_rng(4).standard_t(5, size=(256, 9)).astype(np.float32)

    def lost(*, fitted):
        packed, scales = quantize_blocks(weight, bits=4, block_size=128, fitted=fitted)
        codes = np.stack([packed & 15, packed >> 4], axis=3).reshape(9, 2, 128).astype(int) - 8
        return np.square(codes * scales[..., np.newaxis] - weight.T.reshape(9, 2, 128)).sum(axis=2)

    assert (lost(fitted=True) <= lost(fitted=False)).all()
    assert lost(fitted=True).sum() < 0.95 * lost(fitted=False).sum()


def test_a_block_of_zeros_stays_zero():
    zeros = np.zeros((32, 2), np.float32)
    packed, scales = quantize_blocks(zeros, bits=4, block_size=32, fitted=True)

    assert (_unpacked(packed, scales, 4, 32) == 0).all()
