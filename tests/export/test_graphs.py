"""The exported graphs against Transformers: the same numbers, for every shape they are made for."""

import numpy as np
import onnx
import pytest
import torch
from transformers import WhisperForConditionalGeneration

from edge_asr.recognizers.whisper_decoder import WhisperDecoder
from edge_asr.sessions import Session, tensor
from export.embedding import halve_embedding
from export.original import OriginalWhisper
from export.whisper_decoder import WhisperDecoderGraph
from export.whisper_encoder import WhisperEncoderGraph
from tests.export.conftest import VOCAB_SIZE

pytestmark = pytest.mark.export

N_LAYERS, N_HEADS, HEAD_DIM = 3, 4, 16
TOLERANCE = 2e-4


@pytest.fixture(scope="module")
def encoder(graphs):
    return Session(graphs.directory / "encoder_model.onnx", n_threads=1)


@pytest.fixture(scope="module")
def decoder(graphs):
    return Session(graphs.directory / "decoder_model_merged.onnx", n_threads=1)


def _features(n_frames, batch=1):
    generator = torch.Generator().manual_seed(n_frames)
    return torch.randn(batch, 80, n_frames, generator=generator)


def _encode(encoder, features):
    outputs = encoder.run({"input_features": tensor(features.numpy())}, encoder.output_names)
    return {name: value.numpy() for name, value in outputs.items()}


def _hidden_by_transformers(model, features):
    """Run Transformers' own layers with the position embeddings sliced to the window."""
    encoder = model.model.encoder
    hidden = torch.nn.functional.gelu(encoder.conv1(features))
    hidden = torch.nn.functional.gelu(encoder.conv2(hidden)).permute(0, 2, 1)
    hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
    for layer in encoder.layers:
        hidden = layer(hidden, attention_mask=None, layer_head_mask=None)[0]
    return encoder.layer_norm(hidden)


def _caches_by_transformers(model, hidden):
    caches = {}
    for index, layer in enumerate(model.model.decoder.layers):
        for part in ("key", "value"):
            projected = getattr(layer.encoder_attn, f"{part[0]}_proj")(hidden)
            heads = projected.unflatten(2, (N_HEADS, HEAD_DIM)).transpose(1, 2)
            caches[f"present.{index}.encoder.{part}"] = heads.numpy()
    return caches


def _assert_close(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].shape == value.shape
        np.testing.assert_allclose(found[name], value, atol=TOLERANCE, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("batch", [1, 3])
def test_the_encoder_over_a_full_window_is_transformers_own(encoder, graphs, batch):
    features = _features(3000, batch)
    with torch.inference_mode():
        hidden = graphs.model.model.encoder(features).last_hidden_state
        wanted = _caches_by_transformers(graphs.model, hidden)

    _assert_close(_encode(encoder, features), wanted)


@pytest.mark.parametrize("n_frames", [2, 4, 130, 602, 1500, 2998])
def test_the_encoder_takes_any_even_number_of_frames(encoder, graphs, n_frames):
    features = _features(n_frames, batch=2)
    with torch.inference_mode():
        hidden = _hidden_by_transformers(graphs.model, features)
        wanted = _caches_by_transformers(graphs.model, hidden)
    found = _encode(encoder, features)

    assert found["present.0.encoder.key"].shape == (2, N_HEADS, n_frames // 2, HEAD_DIM)
    _assert_close(found, wanted)


def _as_past(outputs):
    return {name.replace("present.", "past_key_values."): value for name, value in outputs.items()}


N_POSITIONS = 48
"""Of a cache: as many as the tiny model has positions, so more than are filled."""


def _decode(decoder, cross, pieces, logit_bias=None):
    """Feed pieces of tokens one after the other; return all that is found, and the last caches."""
    batch = len(pieces[0])
    empty = np.zeros((batch, N_HEADS, N_POSITIONS, HEAD_DIM), np.float32)
    past = {name: empty for name in decoder.input_names if ".decoder." in name}
    bias = np.zeros(VOCAB_SIZE, np.float32) if logit_bias is None else logit_bias
    kinds = ["logits", "best_ids", "best_logprobs"]
    kinds += [name for name in decoder.output_names if name.startswith("cross_queries.")]
    found, n_past = {kind: [] for kind in kinds}, 0
    for piece in pieces:
        token_ids = np.asarray(piece, np.int64)
        positions = np.broadcast_to(np.arange(token_ids.shape[1]) + n_past, token_ids.shape)
        inputs = {"input_ids": token_ids, "position_ids": positions, "logit_bias": bias}
        made = decoder.run(
            {name: tensor(value) for name, value in (inputs | past | _as_past(cross)).items()},
            decoder.output_names,
        )
        outputs = {name: value.numpy() for name, value in made.items()}
        for name, values in found.items():
            values.append(outputs.pop(name))
        past, n_past = _as_past(outputs), n_past + token_ids.shape[1]
    return {name: np.concatenate(values, axis=1) for name, values in found.items()}, past


def test_queries_and_keys_say_where_transformers_looked(encoder, decoder, checkpoint):
    features, token_ids = _features(3000), torch.arange(7).unsqueeze(0)
    eager = WhisperForConditionalGeneration.from_pretrained(
        checkpoint, dtype=torch.float32, attn_implementation="eager"
    )
    with torch.inference_mode():
        wanted = eager(
            features, decoder_input_ids=token_ids, output_attentions=True
        ).cross_attentions
    cross = _encode(encoder, features)
    found, _ = _decode(decoder, cross, np.split(token_ids.numpy(), (3, 4), axis=1))

    assert len(wanted) == N_LAYERS
    for layer, weights in enumerate(wanted):
        heads = (
            found[f"cross_queries.{layer}"].reshape(1, -1, N_HEADS, HEAD_DIM).transpose(0, 2, 1, 3)
        )
        keys = cross[f"present.{layer}.encoder.key"].transpose(0, 1, 3, 2)
        scores = torch.from_numpy(heads @ keys) / HEAD_DIM**0.5
        np.testing.assert_allclose(scores.softmax(dim=3), weights, atol=1e-5)


@pytest.mark.parametrize(
    "cuts",
    [(), (4,), (4, 5, 6, 7), (1, 9), (3, 4, 12)],
    ids=["at once", "prompt, rest", "prompt, steps, rest", "language, rest", "verification"],
)
@pytest.mark.parametrize("batch", [1, 2])
def test_the_decoder_gives_transformers_logits_however_it_is_fed(
    encoder,
    decoder,
    graphs,
    cuts,
    batch,
):
    generator = torch.Generator().manual_seed(batch)
    features = _features(3000, batch)
    token_ids = torch.randint(graphs.model.config.vocab_size, (batch, 13), generator=generator)
    with torch.inference_mode():
        wanted = graphs.model(features, decoder_input_ids=token_ids).logits.numpy()
    pieces = np.split(token_ids.numpy(), cuts, axis=1)

    found, past = _decode(decoder, _encode(encoder, features), pieces)

    np.testing.assert_allclose(found["logits"], wanted, atol=1e-3, rtol=1e-3)
    assert past["past_key_values.2.decoder.value"].shape == (batch, N_HEADS, N_POSITIONS, HEAD_DIM)


def test_the_decoder_chooses_among_what_the_bias_allows(encoder, decoder):
    cross, pieces = _encode(encoder, _features(200)), [[[3, 1, 4]], [[1]]]
    free, _ = _decode(decoder, cross, pieces)
    bias = np.zeros(VOCAB_SIZE, np.float32)
    bias[free["best_ids"][0]] = -np.inf

    found, _ = _decode(decoder, cross, pieces, bias)

    np.testing.assert_array_equal(found["logits"], free["logits"])
    wanted = torch.log_softmax(torch.from_numpy(free["logits"] + bias), dim=2)
    np.testing.assert_array_equal(found["best_ids"], wanted.argmax(dim=2))
    np.testing.assert_allclose(found["best_logprobs"], wanted.amax(dim=2), atol=1e-5)
    assert not set(found["best_ids"][0]) & set(free["best_ids"][0])


def test_texts_beside_each_other_are_those_that_were_fed_alone(encoder, decoder):
    cross = _encode(encoder, _features(200))
    own = WhisperDecoder(
        decoder,
        n_heads=N_HEADS,
        head_dim=HEAD_DIM,
        vocab_size=VOCAB_SIZE,
        n_text_ctx=N_POSITIONS,
    )
    bias = np.zeros(VOCAB_SIZE, np.float32)
    bias[7] = -np.inf
    own.hear({name: tensor(value) for name, value in cross.items()}, bias, N_POSITIONS)
    own.prompt([3, 1, 4])
    own.verify([9, 9, 9])  # what greedy search found is not looked at

    branches, texts = own.branches(3, 3), [(), (), ()]
    steps = [([0, 1, 2], [1, 2, 3]), ([2, 0, 0], [5, 6, 7]), ([1, 1, 2], [8, 9, 2])]
    for parents, token_ids in steps:
        found = branches.step(parents, token_ids)
        texts = [(*texts[at], token) for at, token in zip(parents, token_ids, strict=True)]
        for row, text in zip(found, texts, strict=True):
            wanted, _ = _decode(decoder, cross, [[[3, 1, 4, *text]]])
            np.testing.assert_allclose(row, wanted["logits"][0, -1] + bias, atol=1e-3, rtol=1e-3)


def test_utterances_in_rows_are_those_that_were_fed_alone(encoder, decoder):
    """Three utterances in two rows: one ends early, another begins in its row, a row is left."""
    own = WhisperDecoder(
        decoder,
        n_heads=N_HEADS,
        head_dim=HEAD_DIM,
        vocab_size=VOCAB_SIZE,
        n_text_ctx=N_POSITIONS,
        alignment_heads=[(0, 1), (2, 3)],
    )
    bias = np.zeros(VOCAB_SIZE, np.float32)
    bias[7] = -np.inf
    sounds = [_encode(encoder, _features(200) * scale) for scale in (1.0, 0.5, -1.0)]
    prompts, texts = ([3, 1], [3, 1, 4], [2]), ([9, 8, 5], [6, 5, 9, 9, 4, 1], [1, 2, 3, 8])
    rows = own.rows(2, 100, bias, N_POSITIONS)

    def begin(row, number):
        for name, memory in rows.sound(row).items():
            memory.numpy()[...] = sounds[number][name]
        own.hear(rows.sound(row), bias, N_POSITIONS)
        own.prompt(prompts[number])
        own.begin(rows, row)
        return iter(texts[number])

    there, going = {0: 0, 1: 1}, {row: begin(row, row) for row in (0, 1)}
    found, scores = {0: [], 1: [], 2: []}, {}
    while going:
        fed = {row: next(tokens, None) for row, tokens in going.items()}
        for row in [row for row, token in fed.items() if token is None]:
            number = there[row]
            asked = len(prompts[number]) - 1, len(texts[number]) + 1
            scores[number] = own.attention_scores_of(rows, row, *asked, slice(10, 90))
            del fed[row], going[row]
            if len(scores) == 1:
                there[row], going[row] = 2, begin(row, 2)
                fed[row] = next(going[row])
        if fed:
            for row, choice in rows.step(fed).items():
                found[there[row]].append(choice)

    for number, text in enumerate(texts):
        own.hear({name: tensor(each) for name, each in sounds[number].items()}, bias, N_POSITIONS)
        own.prompt(prompts[number])
        wanted = own.verify(text).choices
        assert [each.token_id for each in found[number]] == [each.token_id for each in wanted]
        np.testing.assert_allclose(
            [each.logprob for each in found[number]],
            [each.logprob for each in wanted],
            atol=1e-4,
        )
        np.testing.assert_allclose(
            scores[number], own.attention_scores(len(prompts[number]) - 1, slice(10, 90)), atol=1e-3
        )


def test_greedy_tokens_are_those_of_generate(encoder, decoder, graphs, checkpoint):
    original = OriginalWhisper(checkpoint, n_threads=1)
    settings = graphs.model.generation_config
    features = _features(3000)
    prompt = [settings.decoder_start_token_id, settings.lang_to_id["<|de|>"]]
    prompt += [settings.task_to_id["transcribe"], settings.no_timestamps_token_id]
    cross, pieces, found = _encode(encoder, features), [[prompt]], []
    for _ in range(graphs.model.config.max_target_positions // 2):
        heard, _ = _decode(decoder, cross, pieces)
        last = heard["logits"][0, -1]
        last[settings.suppress_tokens] = -np.inf
        if not found:
            last[settings.begin_suppress_tokens] = -np.inf
        token = int(last.argmax())
        if token >= settings.eos_token_id:
            break
        found.append(token)
        pieces.append([[token]])

    assert found
    assert original.token_ids(features, "de")[0][: len(found)] == found


def test_the_torch_modules_are_the_graphs_source(graphs):
    """Optimum exports these modules; they must themselves be what Transformers computes."""
    features, token_ids = _features(3000), torch.tensor([[3, 1, 4, 1, 5]])
    empty = torch.zeros(1, N_HEADS, N_POSITIONS, HEAD_DIM)
    with torch.inference_mode():
        cross = WhisperEncoderGraph(graphs.model)(features)["present"]
        past = tuple((empty, empty, key, value) for key, value in cross)
        asked = (token_ids, torch.arange(5).unsqueeze(0), torch.zeros(VOCAB_SIZE))
        logits = WhisperDecoderGraph(graphs.model)(*asked, past)["logits"]
        wanted = graphs.model(features, decoder_input_ids=token_ids).logits

    torch.testing.assert_close(logits, wanted, atol=1e-3, rtol=1e-3)


def test_optimum_refuses_a_graph_that_differs_from_torch(checkpoint, tmp_path, monkeypatch):
    """Optimum only logs a failed validation; here it is an error."""
    from export import whisper_onnx
    from export.errors import ExportError

    monkeypatch.setattr(whisper_onnx._WhisperOnnxConfig, "ATOL_FOR_VALIDATION", -1.0)
    monkeypatch.setattr(np, "allclose", lambda *_args, **_options: False)

    with pytest.raises(ExportError, match="validation"):
        whisper_onnx.export_graphs(checkpoint, tmp_path / "float")


def _decoder_copy(graphs, tmp_path):
    path = tmp_path / "decoder.onnx"
    path.write_bytes((graphs.directory / "decoder_model_merged.onnx").read_bytes())
    return path


def test_texts_share_one_sound_or_have_one_each(encoder, decoder):
    cross = _encode(encoder, _features(200))
    texts = [[3, 1, 4], [9, 2, 6], [5, 3, 5]]
    several = {name: np.repeat(value, 3, axis=0) for name, value in cross.items()}
    shared, _ = _decode(decoder, cross, [texts])
    each, _ = _decode(decoder, several, [texts])

    np.testing.assert_allclose(shared["logits"], each["logits"], atol=1e-5)
    for row, text in enumerate(texts):
        alone, _ = _decode(decoder, cross, [[text]])
        np.testing.assert_allclose(shared["logits"][row], alone["logits"][0], atol=1e-4)


def test_the_embedding_becomes_float16_and_loses_nothing(graphs, encoder, decoder, tmp_path):
    path = _decoder_copy(graphs, tmp_path)
    cross = _encode(encoder, _features(100))
    pieces = [[[7, 70, 200]], [[17]]]
    before, _ = _decode(decoder, cross, pieces)

    assert halve_embedding(path, graphs.model.config.vocab_size)
    assert path.stat().st_size < (graphs.directory / "decoder_model_merged.onnx").stat().st_size

    after, _ = _decode(Session(path, n_threads=1), cross, pieces)
    np.testing.assert_array_equal(before["logits"], after["logits"])


def test_an_embedding_that_float16_cannot_hold_stays_as_it_is(graphs, tmp_path):
    path = _decoder_copy(graphs, tmp_path)
    model = onnx.load(path)
    size = graphs.model.config.vocab_size
    table = next(each for each in model.graph.initializer if list(each.dims) == [size, 64])
    values = onnx.numpy_helper.to_array(table).copy()
    values[0, 0] = 0.1  # no float16
    table.CopyFrom(onnx.numpy_helper.from_array(values, table.name))
    onnx.save(model, path)
    before = path.read_bytes()

    assert not halve_embedding(path, size)
    assert path.read_bytes() == before
