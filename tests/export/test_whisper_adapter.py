"""The adapter for short windows: trained, written, merged, and refused where it does not fit."""

import itertools

import msgspec
import numpy as np
import pytest
import torch

from edge_asr.bundle import open_bundle
from edge_asr.recognizers.whisper import WhisperRecognizer
from edge_asr.recognizers.whisper_window import FULL_WINDOW, Window
from edge_asr.records import SAMPLE_RATE, Request
from export.adapters import read_adapter
from export.clips import read_waveform
from export.errors import SampleError, SourceError
from export.whisper_adapter import merge_adapter
from export.whisper_distil import LEARNING_RATE, Student, Teacher, train
from export.whisper_onnx import load_whisper
from export.whisper_pieces import (
    LONGEST_S,
    SHORTEST_S,
    Recording,
    cut_pieces,
    find_recordings,
)
from export.whisper_variations import varied

pytestmark = pytest.mark.export


@pytest.fixture(scope="module")
def lessons(checkpoint, speech_folder):
    pieces = list(cut_pieces(find_recordings(speech_folder), seed=1))
    return list(Teacher(load_whisper(checkpoint)).teach(pieces))


@pytest.fixture(scope="module")
def taught(checkpoint, lessons):
    """Return a student of the tiny model, and the divergence before and after its lessons."""
    torch.manual_seed(5)
    student = Student(load_whisper(checkpoint), rank=4)
    with torch.inference_mode():
        before = float(student.loss(lessons, margin=16))
    train(
        student,
        lessons,
        margin=16,
        n_steps=40,
        seed=1,
        rate=LEARNING_RATE,
        observe=lambda _step, _loss: None,
    )
    with torch.inference_mode():
        after = float(student.loss(lessons, margin=16))
    return student, before, after


def test_lessons_are_the_teachers_own_tokens(checkpoint, lessons):
    model = load_whisper(checkpoint)
    lesson = lessons[0]
    with torch.no_grad():
        token_ids = torch.tensor([lesson.token_ids])
        logits = model(lesson.features.float(), decoder_input_ids=token_ids).logits[0]
    logits[:, model.generation_config.suppress_tokens] = -torch.inf
    text = lesson.token_ids[lesson.n_prompt :]

    assert text
    assert logits[lesson.n_prompt : -1].argmax(dim=1).tolist() == text[1:]
    logits[:, model.generation_config.begin_suppress_tokens] = -torch.inf
    assert int(logits[lesson.n_prompt - 1].argmax()) == text[0]
    assert lesson.token_ids[0] == model.generation_config.decoder_start_token_id


def test_pieces_heard_together_are_heard_as_each_alone(checkpoint, lessons):
    teacher = Teacher(load_whisper(checkpoint))
    for lesson in lessons[:3]:
        (alone,) = teacher.teach([lesson.piece])
        assert alone.token_ids == lesson.token_ids
        assert alone.n_frames == lesson.n_frames
        torch.testing.assert_close(alone.hidden, lesson.hidden, rtol=0.05, atol=0.05)


def test_varied_pieces_are_other_speech_in_the_same_language(speech_folder):
    pieces = list(cut_pieces(find_recordings(speech_folder), seed=1))
    made = list(itertools.islice(varied(pieces, seed=3), 60))
    again = list(itertools.islice(varied(pieces, seed=3), 60))
    sounds = {piece.waveform.tobytes() for piece in pieces}
    for piece, same in zip(made, again, strict=True):
        assert piece.language in {each.language for each in pieces}
        assert piece.text == ""
        assert SHORTEST_S / 2 <= len(piece.waveform) / SAMPLE_RATE <= 1.2 * LONGEST_S
        assert np.isfinite(piece.waveform).all()
        assert np.abs(piece.waveform).max() <= 1.0
        assert piece.waveform.dtype == np.float32
        assert piece.waveform.tobytes() not in sounds
        np.testing.assert_array_equal(piece.waveform, same.waveform)
    assert len({len(piece.waveform) for piece in made}) > 30


def test_nothing_to_vary_gives_nothing():
    assert list(varied([], seed=1)) == []


def test_the_full_window_leaves_nothing_to_learn(checkpoint, lessons):
    student = Student(load_whisper(checkpoint), rank=4)
    with torch.inference_mode():
        assert float(student.loss(lessons, margin=FULL_WINDOW)) < 1e-3


def test_lessons_bring_a_short_window_nearer_to_the_full_one(taught):
    _, before, after = taught

    assert after < 0.7 * before


def test_a_merged_adapter_is_what_was_trained(checkpoint, lessons, taught, tmp_path):
    student, _, _ = taught
    student.adapter.save(tmp_path / "it.safetensors", {"margin": "16", "weights": "w"})
    model = load_whisper(checkpoint)
    merge_adapter(model.model, tmp_path / "it.safetensors")
    with torch.inference_mode():
        wanted = float(student.loss(lessons, margin=16))
        found = float(Student(model, rank=1).loss(lessons, margin=16))

    assert found == pytest.approx(wanted, rel=0.02)  # it is kept in float16


def test_training_goes_on_where_it_ended(checkpoint, lessons, taught, tmp_path):
    student, _, after = taught
    student.adapter.save(tmp_path / "it.safetensors", {})
    again = Student(load_whisper(checkpoint), rank=4)
    again.adapter.resume(tmp_path / "it.safetensors")
    with torch.inference_mode():
        found = float(again.loss(lessons, margin=16))

    assert found == pytest.approx(after, rel=0.02)  # it is kept in float16
    with pytest.raises(SourceError, match="of another model or rank"):
        Student(load_whisper(checkpoint), rank=3).adapter.resume(tmp_path / "it.safetensors")


def test_an_adapter_for_another_model_is_refused(checkpoint, taught, tmp_path):
    taught[0].adapter.save(tmp_path / "it.safetensors", {})
    model = load_whisper(checkpoint)
    model.model.decoder.layers[0].fc1 = torch.nn.Linear(64, 200)

    with pytest.raises(SourceError, match="an adapter for another model"):
        merge_adapter(model.model, tmp_path / "it.safetensors")


@pytest.mark.parametrize("content", [b"", b"no adapter", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_file_that_is_no_adapter_is_one_sentence(tmp_path, content):
    path = tmp_path / "it.safetensors"
    path.write_bytes(content)

    with pytest.raises(SourceError, match=r"it\.safetensors: .*adapter"):
        read_adapter(path)


def test_a_site_teaches_its_own_recordings_and_builds_a_bundle(
    shared_workstation, checkpoint, speech_folder
):
    station = shared_workstation
    recipe, adapter = station.recipe(), station.root / "site.safetensors"
    asked = ["adapt", recipe, "--speech", speech_folder, "--out", adapter, "--steps", 5]
    asked += ["--work", station.root / "work", "--margin", 40, "--from", checkpoint]
    result = station.run(*asked)
    assert result.exit_code == 0, result.output
    assert "pieces that were kept aside" in result.output
    named = ("--from", checkpoint)
    on = ["adapt", recipe, "--speech", speech_folder, "--begin", adapter, "--steps", 1, *named]
    on += ["--work", station.root / "work", "--out", station.root / "on.safetensors"]
    result = station.run(*on)
    assert result.exit_code == 0, result.output
    begun = read_adapter(station.root / "on.safetensors").record["begun_with"]
    assert begun == read_adapter(adapter).sha256
    assert "cannot both be" in station.run(*on, "--anew").output
    assert "its rank is 8; leave out --rank" in station.run(*on, "--rank", 3).output
    result = station.export(recipe, *named, "--adapter", adapter, out=station.root / "adapted")
    assert result.exit_code == 0, result.output

    bundle = open_bundle(station.root / "adapted" / "tiny")
    assert bundle.manifest.model["window"] == {"margin": 40}
    assert bundle.manifest.source["adapter"]["sha256"] == read_adapter(adapter).sha256
    plain = station.export(recipe, *named, out=station.root / "plain")
    assert plain.exit_code == 0, plain.output
    margin = open_bundle(station.root / "plain" / "tiny").manifest.model["window"]["margin"]
    assert margin > 40, "published weights need more behind an utterance"


def test_a_family_without_a_window_is_told_before_its_weights_are_fetched(workstation, tmp_path):
    asked = ["adapt", "granite-4.0-1b-speech", "--speech", tmp_path, "--from", tmp_path / "nowhere"]
    result = workstation.run(*asked, "--out", tmp_path / "it.safetensors")

    assert result.exit_code != 0
    assert "only the family whisper has a window to shorten" in result.output


def test_an_adapter_for_other_weights_is_not_merged(workstation, checkpoint, taught):
    path = workstation.root / "other.safetensors"
    taught[0].adapter.save(path, {"margin": "40", "weights": "those of another model"})
    named = ("--from", checkpoint)
    result = workstation.export(workstation.recipe(), *named, "--adapter", path)

    assert result.exit_code != 0
    assert "an adapter for other weights than these" in result.output
    result = workstation.export(workstation.recipe(adapter=path.name), *named)
    assert result.exit_code == 0, result.output
    assert "adapter" not in open_bundle(workstation.out / "tiny").manifest.source


def test_long_recordings_are_cut_and_nothing_is_lost(speech_folder):
    recording = Recording(speech_folder / "2.flac", "en", "its text")
    whole = read_waveform(recording.path)
    first, *others = cut_pieces([recording], seed=1)
    np.testing.assert_array_equal(first.waveform, whole)
    assert first.text == "its text"
    assert all(not each.text for each in others)

    import export.whisper_pieces as pieces

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "LONGEST_S", 1.5)
        patch.setattr(pieces, "_CUT_FROM_S", 0.3)
        patch.setattr(pieces, "_CUT_TO_S", 0.5)
        patch.setattr(pieces, "_quietest", lambda _waveform, from_s: int(from_s * 16_000))
        cut = list(cut_pieces([recording], seed=1))
    assert len(cut) > 1
    assert max(len(each.waveform) for each in cut) <= LONGEST_S * 16_000
    np.testing.assert_array_equal(
        np.concatenate([each.waveform for each in cut])[:16_000], whole[:16_000]
    )
    assert all(not each.text for each in cut)


def test_a_folder_without_sound_is_one_sentence(tmp_path):
    with pytest.raises(SampleError, match="no recordings there"):
        find_recordings(tmp_path)


@pytest.mark.parametrize("folder_has_manifest", [True, False])
def test_recordings_are_found_with_a_manifest_and_without(
    speech_folder, tmp_path, folder_has_manifest
):
    folder = speech_folder
    if not folder_has_manifest:
        folder = tmp_path
        (folder / "deep").mkdir()
        (folder / "deep" / "0.flac").write_bytes((speech_folder / "0.flac").read_bytes())
    languages = {each.language for each in find_recordings(folder)}

    assert languages == ({"en", "de", "fr"} if folder_has_manifest else {None})


@pytest.fixture
def tiny_recognizer(shared_workstation, checkpoint):
    out = shared_workstation.root / "doubted"
    result = shared_workstation.export(shared_workstation.recipe(), "--from", checkpoint, out=out)
    assert result.exit_code == 0, result.output
    return WhisperRecognizer(open_bundle(out / "tiny"), n_threads=1)


def test_doubted_text_is_heard_again_in_the_full_window(
    tiny_recognizer, speech_folder, monkeypatch
):
    from edge_asr.recognizers import whisper_hearing
    from edge_asr.recognizers.whisper_attempt import FULL_WINDOW_FLAG

    waveform = read_waveform(speech_folder / "0.flac")
    request = Request(language="en")
    tiny_recognizer.model = msgspec.structs.replace(
        tiny_recognizer.model, window=Window(margin=FULL_WINDOW)
    )
    full = tiny_recognizer.transcribe(waveform, request)
    tiny_recognizer.model = msgspec.structs.replace(tiny_recognizer.model, window=Window(margin=10))
    monkeypatch.setattr(whisper_hearing, "_TOKENS_PER_S", 0)
    monkeypatch.setattr(whisper_hearing, "_TOKENS_OF_ANY_LENGTH", 1)
    again = tiny_recognizer.transcribe(waveform, request)

    assert again.text == full.text
    assert again.flags == (*full.flags, FULL_WINDOW_FLAG)
