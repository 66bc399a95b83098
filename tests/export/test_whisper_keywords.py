"""Keywords in a real decoder: what is read to it has the probabilities that Transformers gives."""

import dataclasses

import msgspec
import numpy as np
import pytest
import torch

from edge_asr.bundle import open_bundle
from edge_asr.errors import BundleError
from edge_asr.recognizers import whisper_hearing, whisper_keywords
from edge_asr.recognizers.features import log_mel_spectrogram
from edge_asr.recognizers.whisper import WhisperRecognizer
from edge_asr.recognizers.whisper_attempt import Attempt
from edge_asr.recognizers.whisper_keywords import Heard, KeywordReader
from edge_asr.recognizers.whisper_passage import Passage
from edge_asr.recognizers.whisper_window import FEATURES_PER_FRAME, FULL_WINDOW
from edge_asr.records import Request
from export.clips import read_waveform
from export.whisper_onnx import load_whisper

pytestmark = pytest.mark.export


@pytest.fixture
def recognizer(shared_workstation, checkpoint):
    out = shared_workstation.root / "weighed"
    result = shared_workstation.export(
        shared_workstation.recipe(), "--from", checkpoint, "--quantize", "none", out=out
    )
    assert result.exit_code == 0, result.output
    return WhisperRecognizer(open_bundle(out / "tiny"), n_threads=1)


def test_the_text_with_a_keyword_has_the_probabilities_of_transformers(
    recognizer, checkpoint, speech_folder, monkeypatch
):
    monkeypatch.setattr(whisper_keywords, "STRENGTH", 1e6)
    waveform = read_waveform(speech_folder / "0.flac")
    model = recognizer.model
    tokens = model.tokens
    prompt = [tokens.start_of_transcript, tokens.no_timestamps]
    sound = recognizer._hearing._encode(Passage(waveform, Request(), FULL_WINDOW))

    decoded = recognizer._hearing._keywords.read(
        "the riddle is missing", ["Rittal"], Heard(sound, recognizer._hearing._bias, prompt)
    )

    assert recognizer._hearing._tokenizer.decode(decoded.token_ids) == "the Rittal is missing"
    features = log_mel_spectrogram(
        waveform, n_mels=model.n_mels, n_frames=FEATURES_PER_FRAME * FULL_WINDOW
    )
    fed = torch.tensor([[*prompt, *decoded.token_ids]])
    with torch.no_grad():
        original = load_whisper(checkpoint)
        logits = original(torch.from_numpy(features).float(), decoder_input_ids=fed).logits[0]
    expected = logits[len(prompt) - 1 :].log_softmax(-1).numpy()
    wanted = [*decoded.token_ids, tokens.end_of_text]
    chosen = expected[np.arange(len(wanted)), wanted]
    np.testing.assert_allclose(decoded.logprobs, chosen[:-1], atol=1e-2)
    assert decoded.avg_logprob == pytest.approx(chosen.mean(), abs=1e-2)


def test_a_bundle_without_the_token_for_hints_says_export_it_again(recognizer):
    tokens = msgspec.structs.replace(recognizer.model.tokens, start_of_previous=None)
    reader = KeywordReader(
        recognizer._hearing._decoder, recognizer._hearing._tokenizer.encode, tokens, "tiny"
    )

    with pytest.raises(BundleError, match="exported without keywords; export it again"):
        reader.read("A Kahnbahn.", ["Kanban"], Heard({}, recognizer._hearing._bias, []))


def test_what_no_keyword_changes_is_what_it_is_without_a_list(recognizer, speech_folder):
    waveform = read_waveform(speech_folder / "0.flac")
    without, given = (
        recognizer.transcribe(waveform, Request(language="en", keywords=keywords))
        for keywords in ((), ("Kanban", "Modbus"))
    )
    assert given == dataclasses.replace(without, decode_s=given.decode_s)


def test_live_text_is_heard_without_keywords(recognizer, speech_folder, monkeypatch):
    waveform = read_waveform(speech_folder / "0.flac")
    monkeypatch.setattr(recognizer._hearing, "_keywords", None)  # whoever asks it fails
    monkeypatch.setattr(
        whisper_hearing, "judged", lambda *_: Attempt("Kahnbahn", "en", None, -0.1, ())
    )

    partial = recognizer.partial(waveform, Request(language="en", keywords=("Kanban",)), None)

    assert partial.text == "Kahnbahn"
