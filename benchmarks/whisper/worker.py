"""``python -m benchmarks.whisper.worker``: one system, in a process of its own that stays.

The model is the first line on stdin, each call one more line; replies go to stdout. Reading the
sound is not timed, nor what a system does by itself while nothing waits. Whatever a library prints
goes to stderr, where it cannot be taken for a reply.
"""

from __future__ import annotations

import os
import sys
import time
from importlib import import_module

from benchmarks.whisper.protocol import READY, Reply, read_call, read_model, to_line

KINDS = {
    "edge-asr": "ours",
    "edge-asr transcribe": "ours_files",
    "faster-whisper": "faster_whisper_peer",
    "whisper.cpp": "whisper_cpp_peer",
    "onnx-asr": "onnx_asr_peer",
}
"""The module of each system; its ``load`` returns a function from sound and language to text. Some
have a ``rest``: what the system does by itself when nothing waits."""


def main() -> None:
    """Serve until stdin ends."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    model = read_model(sys.stdin.readline())
    system = import_module(f"benchmarks.whisper.{KINDS[model.kind]}")
    transcribe = system.load(model)
    rest = getattr(system, "rest", None)
    import numpy as np  # a system may have to say something to NumPy before it is imported

    print(READY, file=replies, flush=True)
    for line in sys.stdin:
        call = read_call(line)
        waveform = np.load(call.sound)
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        text, flags = transcribe(waveform, call.language)
        took = (time.perf_counter() - wall_s, time.process_time() - cpu_s)
        if rest is not None:
            rest()
        print(to_line(Reply(text, *took, flags)), file=replies, flush=True)


if __name__ == "__main__":
    main()
