"""A command for faster-whisper, which has none: print the text of a sound file.

``python -m benchmarks.whisper.faster_whisper_command MODEL FILE THREADS BATCH``
"""

from __future__ import annotations

import sys
from typing import Any


def main(model: str, file: str, n_threads: int, batch_size: int) -> None:
    """Transcribe one file of English, beam 1, without timestamps; a batch of 0: no batching."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    system: Any = WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=n_threads)
    options: dict[str, Any] = {"language": "en", "beam_size": 1, "without_timestamps": True}
    if batch_size:
        system = BatchedInferencePipeline(model=system)
        options["batch_size"] = batch_size
    segments, _ = system.transcribe(file, **options)
    for segment in segments:
        print(segment.text.strip())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
