"""This project's recognizer, as a worker of the benchmark runs it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace as replace_struct

from edge_asr.bundle import open_bundle
from edge_asr.heap import give_back
from edge_asr.recognizers.whisper import WhisperRecognizer
from edge_asr.recognizers.whisper_window import FULL_WINDOW, Window
from edge_asr.records import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.whisper.protocol import Model
    from edge_asr.records import Waveform


def load(model: Model) -> Callable[[Waveform, str], tuple[str, tuple[str, ...]]]:
    """Open a bundle, and return what transcribes with it."""
    recognizer = WhisperRecognizer(open_bundle(Path(model.path)), n_threads=model.n_threads)
    if model.full_window:
        window = Window(margin=FULL_WINDOW)
        recognizer.model = replace_struct(recognizer.model, window=window)
    request = Request()

    def transcribe(waveform: Waveform, language: str) -> tuple[str, tuple[str, ...]]:
        found = recognizer.transcribe(waveform, replace(request, language=language))
        return found.text, found.flags

    return transcribe


def rest() -> None:
    """Give memory back, as ``edge-asr recognize`` does when nothing waits.

    The next utterance has to ask for it again, and that is timed.
    """
    give_back()
