"""This project's transcription of files, as a worker of the benchmark runs it.

Sound of any length is cut into utterances by the segmenter, as ``edge-asr transcribe`` does it.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_asr.audio import write_flac
from edge_asr.bundle import open_bundle
from edge_asr.capture.vad import open_vad
from edge_asr.config import Config
from edge_asr.recognizers.whisper import WhisperRecognizer
from edge_asr.records import Request
from edge_asr.transcribe import FileTranscriber

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.whisper.protocol import Model
    from edge_asr.records import Waveform


def load(model: Model) -> Callable[[Waveform, str], tuple[str, tuple[str, ...]]]:
    """Open a bundle and the detector beside it, and return what transcribes with them.

    Writing the file is part of what is timed, and reading it, as it is part of the command.
    """
    config = Config()
    bundle = Path(model.path)
    vad = open_vad(open_bundle(bundle.parent / config.vad.bundle, family="silero-vad"))
    recognizer = WhisperRecognizer(open_bundle(bundle), n_threads=model.n_threads)
    transcriber = FileTranscriber(vad, config.vad, recognizer)
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))

    def transcribe(waveform: Waveform, language: str) -> tuple[str, tuple[str, ...]]:
        path = folder / "sound.flac"
        write_flac(path, waveform)
        request = replace(Request(), language=language)
        found = transcriber.transcribe(path, request, progress=lambda _done, _whole: None)
        return found.text, ()

    return transcribe
