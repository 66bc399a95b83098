"""The Whisper benchmark runs beside stand-ins for its peers, and prints what it measured."""

import json
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

from benchmarks import idle
from benchmarks.ctranslate2 import complete_model
from benchmarks.whisper.__main__ import main
from benchmarks.whisper.contest import Entrant, Worker, WorkerError, compete
from benchmarks.whisper.ggml import Format, their_name, write_ggml
from benchmarks.whisper.page import BEGIN, END, PageError, put_between_markers
from benchmarks.whisper.protocol import Call, Model
from benchmarks.whisper.sounds import save_sound, strung_together, utterances
from benchmarks.whisper.tables import Measured, Ratio, Table, percentile, ratio_table
from edge_asr.audio import write_flac
from edge_asr.evaluation.clips import Clip

WIDTH, N_MELS, N_TOKENS = 64, 80, 300
PEERS = {
    "faster_whisper.py": """
import os, sys
from types import SimpleNamespace
class WhisperModel:
    def __init__(self, path, **options):
        assert os.path.exists(path + "/vocabulary.json"), path
        assert options["compute_type"] == "int8"
        assert "OPENBLAS_NUM_THREADS" not in os.environ, "a peer runs as it runs for anyone"
        print("what a library prints is no reply")
    def transcribe(self, sound, *, language, beam_size, without_timestamps, batch_size=0):
        if language == "fails":
            sys.exit("out of memory")
        with open(os.environ["HEARD"], "a") as log:
            print(f"faster-whisper {len(sound)}", file=log)
        return iter([SimpleNamespace(text=" what they heard ")]), None
class BatchedInferencePipeline:
    def __init__(self, model):
        self.transcribe = model.transcribe
""",
    "_pywhispercpp.py": "whisper_print_system_info = lambda: 'WHISPER : AVX2 = 1 | F16C = 0 |'",
    "pywhispercpp/model.py": """
import os
from types import SimpleNamespace
class Model:
    def __init__(self, path, **options):
        assert open(path, "rb").read(4) == b"lmgg"
    def transcribe(self, sound, *, language):
        with open(os.environ["HEARD"], "a") as log:
            print(f"whisper.cpp {len(sound)}", file=log)
        return [SimpleNamespace(text=" what they heard")]
""",
} | {
    f"{name}-1.dist-info/METADATA": f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n"
    for name in ("faster_whisper", "ctranslate2", "pywhispercpp", "onnx_asr")
}


@pytest.fixture
def peers(tmp_path, monkeypatch):
    """Put stand-ins where this Python finds them, and return the log of what they heard."""
    for name, text in PEERS.items():
        path = tmp_path / "peers" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("\\n", "\n"), encoding="utf-8")
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "peers"), str(root)]))
    monkeypatch.setenv("HEARD", str(tmp_path / "heard"))
    return tmp_path / "heard"


def write_checkpoint(folder):
    """Write a Whisper of one layer a side, random, as Transformers keeps it."""
    random = np.random.default_rng(5)
    shapes = {
        "model.encoder.conv1.weight": (WIDTH, N_MELS, 3),
        "model.encoder.conv1.bias": (WIDTH,),
        "model.encoder.embed_positions.weight": (1500, WIDTH),
        "model.decoder.embed_tokens.weight": (N_TOKENS, WIDTH),
        "model.decoder.layer_norm.weight": (WIDTH,),
        "model.encoder.layers.0.self_attn.k_proj.weight": (WIDTH, WIDTH),
        "model.decoder.layers.0.encoder_attn.out_proj.bias": (WIDTH,),
        "model.decoder.layers.0.fc1.weight": (4 * WIDTH, WIDTH),
    }
    tensors = {name: random.normal(size=shape).astype("f2") for name, shape in shapes.items()}
    tensors["model.decoder.layers.0.fc1.weight"][0] = 0  # a block without a scale
    save_file(tensors, folder / "model.safetensors")
    config = dict.fromkeys(
        ("encoder_attention_heads", "decoder_attention_heads", "encoder_layers", "decoder_layers"),
        1,
    )
    config |= {"vocab_size": N_TOKENS, "max_source_positions": 1500, "d_model": WIDTH}
    config |= {"max_target_positions": 448, "num_mel_bins": N_MELS, "eos_token_id": 256}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_tokenizer(folder / "tokenizer.json")
    return tensors


def write_tokenizer(path):
    """Write a tokenizer of single bytes, in the order of GPT-2's letters."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {letter: index for index, letter in enumerate(letters)}
    Tokenizer(models.BPE(vocab=vocab, merges=[])).save(str(path))


def read_ggml(path):
    """Return the header, the tokens and the tensors of a file, read as its documentation says."""
    raw = path.read_bytes()
    at = 0

    def take(form):
        nonlocal at
        values = struct.unpack_from(f"<{form}", raw, at)
        at += struct.calcsize(f"<{form}")
        return values

    header = take("I11i")
    n_mels, n_bins = take("2i")
    filters = np.array(take(f"{n_mels * n_bins}f")).reshape(n_mels, n_bins)
    tokens = [take(f"{take('i')[0]}s")[0] for _ in range(take("i")[0])]
    tensors = {}
    while at < len(raw):
        rank, n_letters, kind = take("3i")
        shape = take(f"{rank}i")[::-1]
        name = take(f"{n_letters}s")[0].decode()
        n = int(np.prod(shape))
        if kind in {0, 1}:
            values = np.array(take(f"{n}{'fe'[kind]}"))
        else:
            values = np.concatenate([unpack_block(kind, take) for _ in range(n // 32)])
        tensors[name] = values.reshape(shape)
    return header, filters, tokens, tensors


def unpack_block(kind, take):
    """Return the 32 weights of a block of q8_0 (8) or q5_1 (7)."""
    if kind == 8:
        (scale,) = take("e")
        return scale * np.array(take("32b"), dtype=float)
    scale, lowest, fifth = take("eeI")
    halves = np.array(take("16B"))
    steps = np.concatenate([halves & 15, halves >> 4])
    return lowest + scale * (steps + 16 * ((fifth >> np.arange(32)) & 1))


@pytest.mark.parametrize(("kind", "steps"), [("f16", None), ("q8_0", 254), ("q5_1", 31)])
def test_whisper_cpp_reads_the_weights_of_the_checkpoint(kind, steps, tmp_path):
    theirs = write_checkpoint(tmp_path)
    write_ggml(tmp_path, tmp_path / "ggml.bin", Format(kind))
    header, filters, tokens, found = read_ggml(tmp_path / "ggml.bin")

    numbers = {"f16": 1, "q8_0": 2007, "q5_1": 2009}
    width = [WIDTH, 1, 1, 448, WIDTH, 1, 1, N_MELS]
    assert header == (0x67676D6C, N_TOKENS, 1500, *width, numbers[kind])
    assert filters.shape == (80, 201)
    assert (filters.sum(axis=1) > 0).all()
    assert sorted(tokens) == [bytes([value]) for value in range(256)]
    assert found.keys() == {their_name(name) for name in theirs}
    for name, weights in theirs.items():
        other = found[their_name(name)]
        assert other.size == weights.size
        wide = weights.astype(float)
        if steps is None or weights.ndim != 2 or "embed_positions" in name:
            np.testing.assert_array_equal(other.ravel(), wide.ravel())
            continue
        blocks = wide.reshape(-1, 32)
        span = 2 * abs(blocks).max(axis=1) if steps == 254 else np.ptp(blocks, axis=1)
        error = abs(other.reshape(-1, 32) - blocks).max(axis=1)
        # Half a step, and as much as the scale and the offset lose as 16-bit numbers.
        assert (error <= 0.51 * span / steps + 0.003 * abs(blocks).max(axis=1)).all()


def test_every_part_of_a_layer_has_a_name_in_whisper_cpp():
    assert their_name("model.encoder.layers.3.self_attn.k_proj.weight") == (
        "encoder.blocks.3.attn.key.weight"
    )
    assert their_name("model.decoder.layers.11.encoder_attn_layer_norm.bias") == (
        "decoder.blocks.11.cross_attn_ln.bias"
    )
    assert their_name("model.decoder.embed_tokens.weight") == "decoder.token_embedding.weight"
    assert their_name("model.encoder.layer_norm.bias") == "encoder.ln_post.bias"
    with pytest.raises(KeyError):
        their_name("model.encoder.layers.0.something_else.weight")


@pytest.fixture
def places(peers, tmp_path, bundles, monkeypatch):  # noqa: ARG001 (Python is the peers')
    """Return options for a run: a checkpoint to make weights of, a page, and where to write."""

    def export_published(name, _checkpoint, folder):
        """Take the bundle that there is: the gate lets no random checkpoint through."""
        (folder / name).symlink_to(bundles / name)

    monkeypatch.setattr("benchmarks.whisper.weights._export_published", export_published)
    work = tmp_path / "work" / "whisper-tiny.en"
    for folder in ("source", "checkpoint"):
        (work / folder).mkdir(parents=True)
        write_checkpoint(work / folder)
    (work / "source" / "model.bin").touch()
    page = tmp_path / "page.md"
    page.write_text(f"# Fast\n{BEGIN}\nof yesterday\n{END}\nthe end\n", encoding="utf-8")
    return {
        "work": work.parent,
        "peers": sys.executable,
        "peer-models": tmp_path / "models",
        "page": page,
        "plot": tmp_path / "plot.svg",
        "json": tmp_path / "found.json",
    }


def run(places, *options):
    """Run the benchmark in its quick form."""
    named = [str(part) for name, place in places.items() for part in (f"--{name}", place)]
    order = ["--quick", "--bundle", "whisper-tiny.en", *named, *options]
    return CliRunner().invoke(main, order)


@pytest.mark.bundle
def test_all_is_measured_and_the_tables_are_put_into_the_page(
    bundles, sample, places, tmp_path, monkeypatch
):
    monkeypatch.setattr(idle, "_WARM_S", 3.0)
    monkeypatch.setenv("EDGE_ASR_BUNDLES", str(bundles))
    result = run({**places, "speech": sample, "bundles": bundles})
    assert result.exit_code == 0, result.output

    text = places["page"].read_text(encoding="utf-8")
    assert text.startswith("# Fast\n")
    assert text.endswith("the end\n")
    assert "of yesterday" not in text
    for title in (
        *(
            "At a glance",
            "Utterances and a full window",
            "Latency",
            "Partial text",
            "Start",
            "Memory",
        ),
        *("While nobody speaks", "An archive", "Cost as the sound grows"),
        *("Short windows and full ones", "Errors of all systems"),
    ):
        assert f"### {title}\n" in text
    assert "faster-whisper 1.0" in text
    assert "whisper.cpp is built for AVX2\n" in text
    errors = text.split("### Errors of all systems")[1]
    (theirs,) = [row for row in errors.splitlines() if "| whisper-tiny.en | whisper.cpp | 1" in row]
    assert "100.00" in theirs  # nobody said what the stand-in heard
    assert "<svg" in (tmp_path / "plot.svg").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "found.json").read_bytes())["measured"]["latency"]["ratios"]


def test_a_measurement_that_fails_takes_no_other_with_it(places, tmp_path, monkeypatch):
    def fail(*_arguments, **_options):
        raise WorkerError("the peer ended with status 1")

    found = Measured([Table("Start", "Quick.", ["Command"], [["edge-asr"]])])
    monkeypatch.setattr("benchmarks.whisper.__main__.measure_latency", fail)
    monkeypatch.setattr("benchmarks.whisper.__main__.measure_start", lambda *_, **__: found)
    write_flac(tmp_path / "a.flac", np.zeros(16_000, dtype=np.float32))
    line = {"path": "a.flac", "language": "en", "text": "words"}
    (tmp_path / "manifest.jsonl").write_text(json.dumps(line), encoding="utf-8")
    places |= {"speech": tmp_path, "bundles": tmp_path}
    monkeypatch.setattr(
        "benchmarks.whisper.__main__.prepared_copies", lambda _names, bundles, _folder: bundles
    )
    result = run(places, "--only", "latency", "--only", "start")
    assert result.exit_code == 1
    assert "Error: latency: the peer ended with status 1" in result.output
    text = places["page"].read_text(encoding="utf-8")
    assert "### Start" in text
    assert "of yesterday" not in text
    assert "### Start" in result.output


def test_systems_hear_each_sound_in_turn_and_all_again_in_the_next_round(peers, tmp_path):
    calls = [save_sound(tmp_path, str(n), np.zeros(n, dtype=np.float32)) for n in (100, 200)]
    (tmp_path / "vocabulary.json").touch()
    (tmp_path / "ggml.bin").write_bytes(b"lmgg")
    entrants = [
        Entrant("first", Model("faster-whisper", str(tmp_path), 1), Path(sys.executable)),
        Entrant("second", Model("whisper.cpp", f"{tmp_path}/ggml.bin", 1), Path(sys.executable)),
    ]
    told = []
    found = compete(entrants, calls, 2, tell=told.append)
    order = ["faster-whisper 100", "whisper.cpp 100", "faster-whisper 200", "whisper.cpp 200"]
    warmed_up = peers.read_text(encoding="utf-8").splitlines()
    assert warmed_up == [order[0], order[1], *order, *order]
    assert told == ["round 1 of 2", "round 2 of 2"]
    assert [len(turns.replies) for turns in found["first"] + found["second"]] == [2] * 4
    assert found["second"][1].replies[0].text == "what they heard"
    assert found["first"][0].wall_s > 0


@pytest.mark.usefixtures("peers")
def test_a_worker_that_ends_says_why(tmp_path):
    (tmp_path / "vocabulary.json").touch()
    model = Model("faster-whisper", str(tmp_path), 1)
    sound = save_sound(tmp_path, "sound", np.zeros(100, dtype=np.float32))
    with Worker(Entrant("peer", model, Path(sys.executable))) as worker:
        worker.load()
        with pytest.raises(WorkerError, match=r"(?s)peer ended with status 1: .*out of memory"):
            worker.transcribe(Call(sound.sound, "fails"))


def test_a_vocabulary_is_made_where_there_is_none(tmp_path):
    model, folder = tmp_path / "model", tmp_path / "folder"
    for each in (model, folder):
        each.mkdir()
    write_tokenizer(model / "tokenizer.json")
    (model / "model.bin").write_bytes(b"weights")
    assert complete_model(model, folder) == folder
    tokens = json.loads((folder / "vocabulary.json").read_bytes())
    assert len(tokens) == 256 + 1501
    assert tokens[-1] == "<|30.00|>"
    assert (folder / "model.bin").read_bytes() == b"weights"
    assert complete_model(folder, tmp_path / "other") == folder


def test_utterances_are_those_of_the_nearest_lengths_and_none_twice(tmp_path):
    clips = [Clip(tmp_path / f"{n}", f"{n}", "en", "words", n) for n in (1.0, 4.9, 5.0, 9.0)]
    assert [clip.duration_s for clip in utterances(clips, [5.0, 5.0, 10.0])] == [5.0, 4.9, 9.0]


def test_speech_is_strung_together_with_pauses_until_it_is_long_enough(tmp_path):
    path = tmp_path / "a.flac"
    write_flac(path, np.full(16_000, 0.5, dtype=np.float32))
    sound = strung_together([Clip(path, "a", "en", "words", 1.0)], 3.0)
    assert len(sound) == 48_000
    assert sound[:16_000].min() > 0.4
    assert not sound[16_000 : 16_000 + 11_200].any()
    assert sound[27_300:43_000].min() > 0.4


def test_a_ratio_is_reached_from_above_and_a_limit_from_below():
    rows = ratio_table(
        [
            Ratio("speed", "peer", "1 s", "6 s", value=6.0, wanted=6.0),
            Ratio("speed", "peer", "1 s", "5 s", value=5.0, wanted=6.0),
            Ratio("errors", "full", "7.4", "7.0", 0.4, 0.3, unit=" points", is_limit=True),
            Ratio("errors", "full", "6.0", "7.0", -1.0, 0.3, unit=" points", is_limit=True),
        ]
    ).rows
    assert [row[-1] for row in rows] == ["yes", "no", "no", "yes"]
    assert rows[2][4:6] == ["**0.4 points**", "at most 0.3 points"]


def test_a_percentile_is_one_of_the_values():
    assert percentile(range(1, 31), 0.95) == 29
    assert percentile([5.0], 0.95) == 5.0


def test_a_page_without_markers_is_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("nothing", encoding="utf-8")
    with pytest.raises(PageError, match=BEGIN):
        put_between_markers(page, "tables")
    assert page.read_text(encoding="utf-8") == "nothing"
