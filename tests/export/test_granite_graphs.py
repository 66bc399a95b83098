"""Granite's graphs against Transformers: the same numbers, for every shape they are made for."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tokenizers import Tokenizer

from edge_asr.recognizers.granite_decoder import EmbeddingTable, GraniteDecoder
from edge_asr.recognizers.speculative import Draft, speculative
from edge_asr.sessions import Session, tensor
from export.granite import quantize_granite
from export.granite_checkpoint import load_whole, write_embedding
from export.granite_gate import generated_sound
from export.granite_onnx import export_graphs
from export.granite_original import OriginalGranite
from export.granite_parity import GraniteGraphs, measure_parity
from export.recipe import Quantization
from tests.granite_checkpoint import HEAD_DIM, N_KV_HEADS, N_LAYERS, write_granite_checkpoint

pytestmark = pytest.mark.export

TOLERANCE = 2e-5
QUESTION = "USER: <|audio|>can you transcribe the speech into a written format?\n ASSISTANT:"


@dataclass(frozen=True)
class Tiny:
    """The tiny Granite in torch and as exported."""

    checkpoint: Path
    model: object
    directory: Path
    facts: dict
    """As the manifest has them, those that the graphs need."""
    prompt: list


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    checkpoint = tmp_path_factory.mktemp("granite")
    write_granite_checkpoint(checkpoint, dtype="float16", max_shard_size="200KB")
    directory = tmp_path_factory.mktemp("granite-float")
    export_graphs(checkpoint, directory)
    write_embedding(checkpoint, directory / "embed_tokens.f16")
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    model = load_whole(checkpoint)
    facts = {
        "n_kv_heads": N_KV_HEADS,
        "head_dim": HEAD_DIM,
        "vocab_size": model.config.text_config.vocab_size,
        "hidden_size": model.config.text_config.hidden_size,
        "audio_token_id": model.config.audio_token_index,
        "end_of_text_id": model.config.text_config.eos_token_id,
    }
    return Tiny(checkpoint, model, directory, facts, tokenizer.encode(QUESTION).ids)


@pytest.fixture(scope="module")
def encoder(tiny):
    return Session(tiny.directory / "audio_encoder.onnx", n_threads=1)


@pytest.fixture(scope="module")
def graphs(tiny):
    return GraniteGraphs(tiny.directory, tiny.facts, n_threads=1)


def _features(n_frames, batch=1):
    generator = torch.Generator().manual_seed(n_frames)
    return torch.randn(batch, n_frames, 160, generator=generator) * 0.5


def _encode(encoder, features, lengths):
    inputs = {
        "input_features": tensor(features.numpy()),
        "frame_lengths": tensor(np.array(lengths, dtype=np.int64)),
    }
    outputs = encoder.run(inputs, ["audio_features", "ctc_logits"])
    return outputs["audio_features"].numpy(), outputs["ctc_logits"].numpy()


def _by_transformers(model, features):
    with torch.inference_mode():
        hidden = model.encoder(features)
        return model.projector(hidden).numpy(), model.encoder.out(hidden).numpy()


@pytest.mark.parametrize(
    "n_frames",
    [1, 14, 15, 16, 61, 199, 200, 201, 215, 399, 400, 401, 600, 1550],
)
def test_the_encoder_gives_what_transformers_gives_at_every_length(tiny, encoder, n_frames):
    features = _features(n_frames)
    wanted_audio, wanted_ctc = _by_transformers(tiny.model, features)

    audio, ctc = _encode(encoder, features, [n_frames])

    assert audio.shape == (1, -(-n_frames // 15) * 3, 64)
    assert ctc.shape == (1, n_frames, 348)
    np.testing.assert_allclose(audio, wanted_audio, atol=TOLERANCE)
    np.testing.assert_allclose(ctc, wanted_ctc, atol=TOLERANCE)


@pytest.mark.parametrize("n_frames", [1, 16, 199, 200, 201, 333])
def test_what_lies_behind_a_clips_end_changes_nothing(tiny, encoder, n_frames):
    features = _features(n_frames)
    wanted_audio, wanted_ctc = _by_transformers(tiny.model, features)
    padded = torch.full((1, 600, 160), 5.0)
    padded[:, :n_frames] = features

    audio, ctc = _encode(encoder, padded, [n_frames])

    n_tokens = wanted_audio.shape[1]
    np.testing.assert_allclose(audio[:, :n_tokens], wanted_audio, atol=TOLERANCE)
    np.testing.assert_allclose(ctc[:, :n_frames], wanted_ctc, atol=TOLERANCE)


def test_each_clip_of_a_ragged_batch_is_encoded_as_if_it_were_alone(tiny, encoder):
    lengths = [415, 33, 200, 1, 350]
    batch = _features(415, batch=len(lengths))

    audio, ctc = _encode(encoder, batch, lengths)

    for index, length in enumerate(lengths):
        alone = batch[index : index + 1, :length]
        wanted_audio, wanted_ctc = _by_transformers(tiny.model, alone)
        n_tokens = wanted_audio.shape[1]
        np.testing.assert_allclose(audio[index, :n_tokens], wanted_audio[0], atol=TOLERANCE)
        np.testing.assert_allclose(ctc[index, :length], wanted_ctc[0], atol=TOLERANCE)


def test_minutes_of_sound_go_through_at_once(tiny, encoder):
    features = _features(6001)

    audio, ctc = _encode(encoder, features, [6001])

    wanted_audio, wanted_ctc = _by_transformers(tiny.model, features)
    np.testing.assert_allclose(audio, wanted_audio, atol=TOLERANCE)
    np.testing.assert_allclose(ctc, wanted_ctc, atol=TOLERANCE)


def _embeddings(tiny, n_tokens, batch=1):
    generator = torch.Generator().manual_seed(n_tokens)
    ids = torch.randint(tiny.facts["vocab_size"], (batch, n_tokens), generator=generator)
    with torch.inference_mode():
        embeddings = tiny.model.get_input_embeddings()(ids)
        logits = tiny.model.language_model(inputs_embeds=embeddings).logits
    return embeddings.numpy(), logits.numpy()


def test_the_decoder_prefills_steps_and_verifies(tiny, graphs):
    embeddings, wanted = _embeddings(tiny, 60)
    past, at = graphs.no_past(64), 0
    for n_tokens, n_logits in ((37, 1), (1, 1), (9, 9), (1, 1), (12, 5)):
        end = at + n_tokens
        found, past = graphs.step(embeddings[:, at:end], past, at, n_logits)
        np.testing.assert_allclose(found, wanted[0, end - n_logits : end], atol=TOLERANCE)
        at = end


@pytest.mark.parametrize(("asked", "given"), [(0, 8), (1, 1), (8, 8), (99, 8)])
def test_as_many_logits_come_out_as_are_asked_for_and_there_are(tiny, graphs, asked, given):
    embeddings, wanted = _embeddings(tiny, 8)

    found, _ = graphs.step(embeddings, graphs.no_past(8), 0, asked)

    assert found.shape == (given, tiny.facts["vocab_size"])
    np.testing.assert_allclose(found, wanted[0, -given:], atol=TOLERANCE)


def test_a_rejected_draft_is_forgotten_by_going_back(tiny, graphs):
    embeddings, wanted = _embeddings(tiny, 30)
    wrong = embeddings[:, 20:26] + 0.3
    _, past = graphs.step(embeddings[:, :20], graphs.no_past(40), 0, 1)
    _, past = graphs.step(wrong, past, 20, 6)

    found, _ = graphs.step(embeddings[:, 20:24], past, 20, 4)

    np.testing.assert_allclose(found, wanted[0, 20:24], atol=TOLERANCE)


def test_the_decoder_takes_batches(tiny):
    decoder = Session(tiny.directory / "decoder_model_merged.onnx", n_threads=1)
    embeddings, wanted = _embeddings(tiny, 11, batch=3)
    empty = tensor(np.zeros((3, N_KV_HEADS, 15, HEAD_DIM), dtype=np.float32))
    caches = {
        f"past_key_values.{layer}.{part}": empty
        for layer in range(N_LAYERS)
        for part in ("key", "value")
    }
    inputs = {
        "inputs_embeds": tensor(embeddings),
        "position_ids": tensor(np.tile(np.arange(11), (3, 1))),
        "num_logits_to_keep": tensor(np.array(4)),
        "asked_ids": tensor(np.zeros((3, 4), np.int64)),
    }

    found = decoder.run({**inputs, **caches}, ["logits"])["logits"].numpy()

    np.testing.assert_allclose(found, wanted[:, -4:], atol=TOLERANCE)


def test_tokens_and_log_probabilities_are_those_of_the_logits(tiny, graphs):
    decoder = Session(tiny.directory / "decoder_model_merged.onnx", n_threads=1)
    embeddings, wanted = _embeddings(tiny, 9)
    asked = np.array([[7, 0, int(wanted[0, -1].argmax())]])
    inputs = {
        "inputs_embeds": tensor(embeddings),
        "position_ids": tensor(np.arange(9)[np.newaxis]),
        "num_logits_to_keep": tensor(np.array(3)),
        "asked_ids": tensor(asked),
    }

    names = ["best_ids", "best_logprobs", "asked_logprobs"]
    outputs = decoder.run({**inputs, **graphs.no_past(16)}, names)

    best, of_best, of_asked = (outputs[name].numpy() for name in names)
    logprobs = torch.log_softmax(torch.from_numpy(wanted[0, -3:]), dim=1).numpy()
    assert best.tolist() == [wanted[0, -3:].argmax(axis=1).tolist()]
    np.testing.assert_allclose(of_best[0], logprobs.max(axis=1), atol=TOLERANCE)
    np.testing.assert_allclose(of_asked[0], logprobs[[0, 1, 2], asked[0]], atol=TOLERANCE)


@pytest.fixture(scope="module")
def expected(tiny):
    """Return what Transformers gives for generated sound."""
    original = OriginalGranite(tiny.checkpoint, n_threads=1)
    return [original.run(generated_sound(duration_s), tiny.prompt, 16) for duration_s in (0.9, 4.2)]


def test_greedy_tokens_are_those_of_transformers(tiny, graphs, expected):
    for clip in expected:
        assert len(clip.token_ids) == 16
        assert graphs.greedy(clip.features, tiny.prompt, 16) == clip.token_ids


@pytest.mark.parametrize(
    ("quantization", "least_alike", "most_off"),
    [(Quantization.INT8, 0.9, 0.3), (Quantization.INT4, 0.6, 2.0)],
)
def test_quantized_graphs_stay_close(tiny, expected, tmp_path, quantization, least_alike, most_off):
    quantize_granite(tiny.directory, tmp_path, quantization, ["encoder/inlet", "encoder/ctc"])

    graphs = GraniteGraphs(tmp_path, tiny.facts, n_threads=1)
    parity = measure_parity(graphs, expected, tiny.prompt)

    assert parity.encoder < 0.05
    assert parity.ctc < 0.5
    assert parity.logits < most_off
    assert parity.tokens >= least_alike
    encoder = _operators(tmp_path / "audio_encoder.onnx")
    decoder = _operators(tmp_path / "decoder_model_merged.onnx")
    assert encoder.count("MatMulIntegerToFloat") > 20
    assert "MatMulNBits" not in encoder, "4 bits ruin the encoder"
    used = "MatMulNBits" if quantization is Quantization.INT4 else "MatMulIntegerToFloat"
    assert decoder.count(used) == 4 * N_LAYERS + 1


def _operators(path):
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize("graph", ["audio_encoder", "decoder_model_merged"])
def test_no_weight_is_stored_twice_or_turned_round_at_run_time(tiny, graph):
    stored = onnx.load(tiny.directory / f"{graph}.onnx").graph
    constants = {each.name for each in stored.initializer}
    n_stored = sum(int(np.prod(each.dims)) for each in stored.initializer)
    parts = {"audio_encoder": ("encoder.", "projector."), "decoder_model_merged": ("language",)}
    n_weights = sum(
        weight.numel()
        for name, weight in tiny.model.named_parameters()
        if name.startswith(parts[graph]) and "embed_tokens" not in name
    )

    assert n_stored <= n_weights + HEAD_DIM, "beside the weights, only rotary frequencies"
    assert not [
        node.name
        for node in stored.node
        if node.op_type == "Transpose" and node.input[0] in constants
    ]


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("quantization", list(Quantization))
def test_tokens_fed_together_are_decoded_to_the_bit_as_one_by_one(
    tiny, tmp_path, quantization, n_threads
):
    if quantization is Quantization.NONE:
        directory = tiny.directory
    else:
        directory = tmp_path
        quantize_granite(tiny.directory, tmp_path, quantization, [])
    graphs = GraniteGraphs(directory, tiny.facts, n_threads=n_threads)
    embeddings, _ = _embeddings(tiny, 61)
    _, past = graphs.step(embeddings[:, :37], graphs.no_past(128), 0, 1)
    single, grown = [], past
    for at in range(37, 61):
        logits, grown = graphs.step(embeddings[:, at : at + 1], grown, at, 1)
        single.append(logits[0])

    together = []
    for at, end in ((37, 41), (41, 50), (50, 61)):
        logits, past = graphs.step(embeddings[:, at:end], past, at, end - at)
        together += list(logits)

    if quantization is Quantization.INT4:  # in pairs of rows only: the next test
        np.testing.assert_allclose(together, single, atol=0.05)
    else:
        np.testing.assert_array_equal(together, single)


@pytest.mark.parametrize("quantization", list(Quantization))
def test_a_right_draft_changes_neither_tokens_nor_probabilities(tiny, tmp_path, quantization):
    """To the bit, in the memory that the device's decoder reads and writes in place."""
    directory = tiny.directory
    if quantization is not Quantization.NONE:
        directory = tmp_path
        quantize_granite(tiny.directory, tmp_path, quantization, [])
    table = EmbeddingTable(
        tiny.directory / "embed_tokens.f16",
        vocab_size=tiny.facts["vocab_size"],
        hidden_size=tiny.facts["hidden_size"],
    )
    session = Session(directory / "decoder_model_merged.onnx", n_threads=1)
    decoder = GraniteDecoder(
        session,
        table,
        n_kv_heads=N_KV_HEADS,
        head_dim=HEAD_DIM,
        rows_together=2 if quantization is Quantization.INT4 else 1,
    )
    for n_prompt in (9, 40, 70):
        embeddings, _ = _embeddings(tiny, n_prompt)
        search = functools.partial(speculative, decoder, end_token=-1, max_tokens=50)
        greedy = search(decoder.prefill(embeddings, max_tokens=50), Draft([]))
        for draft in (greedy.token_ids, [*greedy.token_ids[:5], 1, *greedy.token_ids[6:]]):
            assert search(decoder.prefill(embeddings, max_tokens=50), Draft(draft)) == greedy
