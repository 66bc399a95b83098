"""The Granite recognizer, from a tiny checkpoint to text, against Transformers."""

import functools
import json
import shutil
import time

import numpy as np
import pytest

from edge_asr.bundle import MANIFEST, SEAL, open_bundle
from edge_asr.errors import BundleError, RequestError
from edge_asr.manifest import seal_line, sha256_of
from edge_asr.prepared import prepared_graph
from edge_asr.preparing import prepare_bundle
from edge_asr.recognizers import decoding, granite, open_recognizer
from edge_asr.recognizers.granite import GraniteRecognizer
from edge_asr.recognizers.granite_decoder import GraniteDecoder
from edge_asr.recognizers.pace import Pace
from edge_asr.recognizers.pieces import cuts
from edge_asr.recognizers.timing import measure_pace
from edge_asr.records import Drafting, Drafts, PartialText, Request, Task

pytestmark = pytest.mark.export

LENGTHS_S = [0.01, 0.02, 0.3, 0.31, 1.0, 3.99, 4.0, 4.02, 6.9, 8.0, 12.3]
"""Around multiples of the projector's window (0.3 s) and of the attention block (4 s)."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    from tests.granite_checkpoint import write_granite_checkpoint

    # In float16, so that the bundle's embedding table is the original's without rounding.
    return write_granite_checkpoint(tmp_path_factory.mktemp("granite"), dtype="float16")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, checkpoint):
    """Return the bundle that the export makes of the tiny checkpoint, in float."""
    from click.testing import CliRunner

    from export.__main__ import main

    folder = tmp_path_factory.mktemp("bundles")
    arguments = ["granite-4.0-1b-speech", "--from", checkpoint, "--out", folder]
    options = ["--work", folder / "work", "--quantize", "none"]
    result = CliRunner().invoke(main, [str(each) for each in (*arguments, *options)])
    assert result.exit_code == 0, result.output
    return open_bundle(folder / "granite-4.0-1b-speech", family="granite")


@pytest.fixture(scope="module")
def recognizer(bundle):
    return open_recognizer(bundle, n_threads=1)


@pytest.fixture(scope="module")
def original(checkpoint):
    from export.granite_original import OriginalGranite

    return OriginalGranite(checkpoint, n_threads=1)


@functools.cache
def sound_of(duration_s):
    from export.granite_gate import generated_sound

    return generated_sound(duration_s)


@pytest.fixture
def unguarded(monkeypatch):
    """Take the loop guard away, which Transformers does not have: random weights do loop."""
    monkeypatch.setattr(decoding, "loop_period", lambda _token_ids: 0)


@pytest.fixture
def decoded(monkeypatch):
    """Return a list to which every later decoding is added."""
    found = []
    search = granite.speculative

    def noted(*arguments, **options):
        found.append(search(*arguments, **options))
        return found[-1]

    monkeypatch.setattr(granite, "speculative", noted)
    return found


def padded(waveform):
    """Return a clip as the original can take it."""
    return np.pad(waveform, (0, max(0, 257 - len(waveform))))


def prompt_ids(recognizer, request):
    prompt = recognizer._prompts.prompt(request)
    audio = recognizer.bundle.manifest.model["audio_token_id"]
    return [*prompt.before, audio, *prompt.after]


@pytest.mark.usefixtures("unguarded")
@pytest.mark.parametrize("drafts", [Drafts.EXACT, Drafts.OFF])
@pytest.mark.parametrize("duration_s", LENGTHS_S)
def test_the_tokens_are_those_of_transformers(bundle, original, decoded, duration_s, drafts):
    recognizer = GraniteRecognizer(bundle, n_threads=1)
    waveform = sound_of(duration_s)
    budget = max(64, round(8 * duration_s))
    expected = original.token_ids(padded(waveform), prompt_ids(recognizer, Request()), budget)

    recognizer.transcribe(waveform, Request(drafting=Drafting(drafts)))

    assert list(decoded[0].token_ids) == expected
    assert len(expected) > 3


@pytest.mark.usefixtures("unguarded")
@pytest.mark.parametrize(
    "request_",
    [
        Request(Task.TRANSLATE, target_language="fr"),
        Request(Task.TRANSLATE, target_language="zh", keywords=("S7",)),
        Request(keywords=("Kanban", "Siemens S7")),
    ],
    ids=["translation", "translation with keywords", "keywords"],
)
def test_every_prompt_gives_the_tokens_of_transformers(recognizer, original, decoded, request_):
    expected = original.token_ids(sound_of(2.0), prompt_ids(recognizer, request_), 64)
    recognizer.transcribe(sound_of(2.0), request_)
    assert list(decoded[0].token_ids) == expected


@pytest.mark.usefixtures("unguarded")
@pytest.mark.parametrize("wrong_every", [1000, 10, 3])
def test_a_draft_that_is_nearly_right_saves_calls_and_changes_nothing(
    recognizer, original, decoded, monkeypatch, wrong_every
):
    expected = original.token_ids(sound_of(4.0), prompt_ids(recognizer, Request()), 64)
    draft = [7 if i % wrong_every == 2 else token for i, token in enumerate(expected)]
    monkeypatch.setattr(granite, "Draft", lambda _text, make=granite.Draft: make(draft))
    calls = []
    run = GraniteDecoder._run
    monkeypatch.setattr(
        GraniteDecoder,
        "_run",
        lambda *args, **kw: calls.append(len(kw["asked_ids"])) or run(*args, **kw),
    )

    recognizer.transcribe(sound_of(4.0), Request())

    assert list(decoded[0].token_ids) == expected
    assert len(calls) <= {1000: 8, 10: 20, 3: 60}[wrong_every]
    assert calls[0] == 1


def test_text_confidence_and_doubts_come_out(recognizer, decoded):
    found = recognizer.transcribe(sound_of(2.0), Request(language="de"))
    assert found.text
    assert found.language == "de"
    assert found.language_probability is None
    assert found.avg_logprob == decoded[0].avg_logprob < 0
    assert 0 < found.ctc_max_entropy <= np.log(348)
    assert found.decode_s > 0
    assert "repetition" in found.flags  # random weights do, and the guard says so


@pytest.mark.parametrize(
    ("request_", "language"),
    [
        (Request(), "und"),
        (Request(allowed_languages=("en", "de")), "und"),
        (Request(allowed_languages=("de",)), "de"),
        (Request(language="fr", allowed_languages=("de",)), "fr"),
    ],
)
def test_the_language_is_the_one_that_was_named(recognizer, request_, language):
    assert recognizer.transcribe(np.zeros(16_000, np.float32), request_).language == language


@pytest.mark.parametrize("n_samples", [0, 1, 256, 16_000])
def test_digital_silence_has_no_text(recognizer, n_samples):
    found = recognizer.transcribe(np.zeros(n_samples, np.float32), Request())
    assert (found.text, found.flags, found.avg_logprob) == ("", ("no_speech",), None)


@pytest.mark.parametrize("label", [0, 32], ids=["blanks", "spaces"])
def test_where_the_ctc_head_hears_nothing_the_language_model_is_not_asked(
    recognizer, monkeypatch, decoded, label
):
    encode = GraniteRecognizer._encode

    def deaf(self, sound):
        audio_features, ctc_logits = encode(self, sound)
        ctc_logits = ctc_logits.copy()
        ctc_logits[:, label] = 1000.0
        return audio_features, ctc_logits

    monkeypatch.setattr(GraniteRecognizer, "_encode", deaf)
    found = recognizer.transcribe(sound_of(1.0), Request())
    assert (found.text, found.flags) == ("", ("no_speech",))
    assert decoded == []


def test_words_have_times_where_the_text_is_what_was_said(recognizer, monkeypatch):
    monkeypatch.setattr(recognizer._tokenizer, "decode", lambda _ids: "one two")
    one, two = recognizer.transcribe(sound_of(2.0), Request()).words
    assert (one.text, two.text) == ("one", "two")
    assert 0 <= one.start_s < one.end_s <= two.start_s < two.end_s <= 2.0
    assert recognizer.transcribe(sound_of(2.0), Request(Task.TRANSLATE)).words == ()


def changed(bundle, folder, change):
    """Copy a bundle with another ``model`` section."""
    shutil.copytree(bundle.directory, folder)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    change(manifest["model"])
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    (folder / SEAL).write_text(seal_line(sha256_of(folder / MANIFEST)), encoding="ascii")
    return open_bundle(folder)


def test_sound_longer_than_the_context_is_heard_in_pieces(bundle, tmp_path):
    short = changed(bundle, tmp_path / "short", lambda model: model.update(max_audio_s=2))
    recognizer = GraniteRecognizer(short, n_threads=1)
    sound = sound_of(4.0).copy()
    sound[25_000:31_000] = 0.0
    long = recognizer.transcribe(sound, Request())
    start = cuts(sound, 32_000)[1]
    first = recognizer.transcribe(sound[:start], Request())
    assert 25_000 < start < 31_000
    assert long.text.startswith(first.text)
    assert len(long.text) > len(first.text)
    assert "truncated" not in long.flags
    assert long.avg_logprob < 0


FAST = Drafting(Drafts.FAST, ctc_entropy_threshold=0.0, draft_probability_threshold=1.0)


def hearing(monkeypatch, text, *, sure):
    """Let the CTC head read this text."""
    encode = GraniteRecognizer._encode

    def encoded(self, sound):
        audio_features, ctc_logits = encode(self, sound)
        ctc_logits = np.zeros_like(ctc_logits)
        frames = [part for each in text for part in (self.model.ctc.label(each, 348), 0)]
        frames += [0] * (len(ctc_logits) - len(frames))
        ctc_logits[np.arange(len(frames)), frames] = 60.0 if sure else 6.0
        return audio_features, ctc_logits

    monkeypatch.setattr(GraniteRecognizer, "_encode", encoded)


def test_a_draft_that_is_certain_is_the_text_and_the_language_model_is_not_asked(
    recognizer, monkeypatch
):
    hearing(monkeypatch, "so it is", sure=True)
    monkeypatch.setattr(recognizer._decoder, "prefill", None)
    found = recognizer.transcribe(sound_of(2.0), Request(drafting=Drafting(Drafts.FAST)))
    assert (found.text, found.flags, found.avg_logprob) == ("so it is", ("ctc_text",), None)
    assert found.ctc_max_entropy < 0.01
    assert [word.text for word in found.words] == ["so", "it", "is"]


@pytest.mark.parametrize(
    "request_",
    [
        Request(),
        Request(drafting=Drafting(Drafts.OFF)),
        Request(keywords=("S7",), drafting=Drafting(Drafts.FAST)),
        Request(Task.TRANSLATE, target_language="de", drafting=Drafting(Drafts.FAST)),
    ],
    ids=["exact", "off", "keywords", "translation"],
)
def test_otherwise_the_language_model_has_the_last_word(recognizer, monkeypatch, request_):
    hearing(monkeypatch, "so it is", sure=True)
    found = recognizer.transcribe(sound_of(2.0), request_)
    assert {"ctc_text", "draft_accepted"}.isdisjoint(found.flags)
    assert found.text != "so it is"


def test_katakana_is_never_taken_for_the_text(recognizer, monkeypatch):
    hearing(monkeypatch, "カナ", sure=True)
    trusting = Drafting(Drafts.FAST, 10.0, 0.0)
    found = recognizer.transcribe(sound_of(2.0), Request(drafting=trusting))
    assert found.text != "カナ"
    assert {"ctc_text", "draft_accepted", "unlike_ctc"}.isdisjoint(found.flags)


def test_a_draft_that_is_likely_enough_is_the_text_after_one_look(recognizer, monkeypatch):
    hearing(monkeypatch, "so it is", sure=False)
    calls = []
    run = GraniteDecoder._run
    monkeypatch.setattr(GraniteDecoder, "_run", lambda *a, **k: calls.append(1) or run(*a, **k))
    trusting = Drafting(Drafts.FAST, 0.0, 0.0)
    found = recognizer.transcribe(sound_of(2.0), Request(drafting=trusting))
    assert (found.text, found.flags) == ("so it is", ("draft_accepted",))
    assert found.avg_logprob < 0
    assert len(calls) == 2  # the prompt, and the draft


@pytest.mark.usefixtures("unguarded")
def test_a_draft_that_is_not_is_left_and_the_rest_decoded_exactly(recognizer, monkeypatch):
    hearing(monkeypatch, "so it is", sure=False)
    exact = recognizer.transcribe(sound_of(2.0), Request())
    found = recognizer.transcribe(sound_of(2.0), Request(drafting=FAST))
    assert found.text == exact.text
    assert found.avg_logprob == pytest.approx(exact.avg_logprob, abs=1e-4)
    assert "draft_accepted" not in found.flags


def test_text_that_the_ctc_head_does_not_hear_is_flagged_and_kept(recognizer, monkeypatch):
    hearing(monkeypatch, "so it is", sure=True)
    monkeypatch.setattr(recognizer._tokenizer, "decode", lambda _ids: "thank you for watching")
    found = recognizer.transcribe(sound_of(2.0), Request())
    assert found.text == "thank you for watching"
    assert "unlike_ctc" in found.flags


def test_the_context_is_never_exceeded(bundle, tmp_path, decoded, unguarded):  # noqa: ARG001
    n_positions = 100
    small = changed(bundle, tmp_path / "small", lambda model: model.update(max_positions=100))
    recognizer = GraniteRecognizer(small, n_threads=1)
    n_prompt = len(prompt_ids(recognizer, Request())) - 1 + 30  # 3 s of sound
    found = recognizer.transcribe(sound_of(3.0), Request())
    assert len(decoded[0].token_ids) == n_positions - n_prompt
    assert "token_limit" in found.flags


@pytest.mark.parametrize("field", ["hidden_size", "ctc", "prompt", "end_of_text_id"])
def test_an_incomplete_manifest_is_refused(bundle, tmp_path, field):
    incomplete = changed(bundle, tmp_path / "broken", lambda model: model.pop(field))
    with pytest.raises(BundleError, match=f"incomplete.*{field}"):
        GraniteRecognizer(incomplete, n_threads=1)


def test_an_embedding_table_of_another_size_is_refused(bundle, tmp_path):
    wrong = changed(bundle, tmp_path / "wrong", lambda model: model.update(vocab_size=1000))
    with pytest.raises(BundleError, match="not a table of 1000 rows"):
        GraniteRecognizer(wrong, n_threads=1)


@pytest.mark.parametrize(
    "request_",
    [
        Request(language="it"),
        Request(Task.TRANSLATE, target_language="ko"),
        Request(punctuated=True),
    ],
)
def test_what_the_bundle_cannot_do_is_refused(recognizer, request_):
    with pytest.raises(RequestError, match=r"granite-4\.0-1b-speech"):
        recognizer.transcribe(sound_of(1.0), request_)


def test_a_prepared_bundle_says_the_same(bundle, tmp_path, decoded):
    copy = changed(bundle, tmp_path / "copy", lambda _model: None)
    GraniteRecognizer(copy, n_threads=1).transcribe(sound_of(2.0), Request())
    prepare_bundle(copy, n_threads=1, say=lambda _graph: None)
    GraniteRecognizer(copy, n_threads=1).transcribe(sound_of(2.0), Request())
    assert prepared_graph(copy, "decoder_model_merged.onnx") is not None
    assert decoded[0] == decoded[1]


def test_the_pace_is_measured_stage_by_stage(bundle):
    pace = measure_pace(bundle, n_threads=1)
    assert min(pace.encode_s, pace.prefill_s, pace.step_s, pace.verify_s) > 0
    slow = Pace(encode_s=2.0, prefill_s=1.0, step_s=0.1, verify_s=0.18, verified_tokens=8)
    assert slow.rtf == pytest.approx((2 + 1 + 3.5) / 10)
    assert slow.rtf_with_drafts == pytest.approx((2 + 1 + 0.18 * 35 / 8) / 10)


def test_what_is_said_so_far_is_what_the_ctc_head_reads(recognizer, monkeypatch):
    hearing(monkeypatch, "so it", sure=True)
    sound = sound_of(2.0)
    monkeypatch.setattr(recognizer._decoder, "prefill", None)
    found = recognizer.partial(sound, Request(), None)
    assert found == PartialText("so it", len(sound))
    assert recognizer.partial(np.zeros(8000, np.float32), Request(), found).text == ""
    assert recognizer.partial(sound, Request(Task.TRANSLATE, target_language="fr"), None) is None


def test_two_processes_tell_what_is_said_while_it_is_said(program, bundle, bundles, sample):
    """A file is heard at the pace it was spoken; another process reads along."""
    prompts = [path for path in sample.glob("*.flac") if path.stem != "demo"]
    clip = max(prompts, key=lambda path: path.stat().st_size)
    places = {"EDGE_ASR_BUNDLES": f"{bundle.directory.parent}:{bundles}"}
    arguments = ("--bundle", bundle.name, "recognize", "--format=jsonl", "--until-stdin-closes")
    reader = program.start(*arguments, **places)
    deadline_s = time.monotonic() + 60
    while not (program.state / "recognize.sock").exists() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    try:
        heard = program.run("listen", "--wav", clip, **places)
        assert heard.returncode == 0, heard.stderr
        events = []
        for line in reader.stdout:
            events.append(json.loads(line))
            if events[-1]["event"] == "transcript":
                break
    finally:
        _, problems = reader.communicate(timeout=30)
    told = [event for event in events if event["event"] == "partial"]
    assert told, problems
    assert all(event["text"] and event["source"] == clip.stem for event in told)
    first = [each for each in told if each["start_utc"] == events[-1]["start_utc"]]
    durations = [event["duration_s"] for event in first]
    assert durations == sorted(set(durations))
    assert durations[-1] <= events[-1]["duration_s"] + 1.0
