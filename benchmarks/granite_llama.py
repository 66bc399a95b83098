"""Times llama.cpp's Granite Speech: its own command for multimodal models, its own figures.

Each clip is one run of the command. Loading is not counted, nor is the computing of features,
which it does not time. Its timings print "prompt eval" and "eval"; the encoder's is in its log.
"""

from __future__ import annotations

import re
import subprocess
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.granite_job import Answer, ClipTimes
from benchmarks.memory import Memory

if TYPE_CHECKING:
    from benchmarks.granite_job import Clip, Job

_ENCODED = re.compile(r"audio slice encoded in (\d+) ms")
_PREFILL = re.compile(r"prompt eval time =\s*([\d.]+) ms")
_DECODED = re.compile(r"[^t] eval time =\s*([\d.]+) ms /\s*(\d+) runs")
_AUDIO_TOKEN = "<|audio|>"  # noqa: S105 (no password)


class PeerError(RuntimeError):
    """The peer did not do what it was asked."""


def run(job: Job) -> Answer:
    """Run the command once for each clip, after one run that is not counted."""
    _time(job, job.clips[0])
    started = perf_counter()
    found = [_time(job, clip) for clip in job.clips]
    whole_s = perf_counter() - started
    load_s = (whole_s - sum(times.total_s for times in found)) / len(found)
    return Answer(load_s, found, Memory(0, 0))


def _time(job: Job, clip: Clip) -> ClipTimes:
    command = [
        *(str(job.program), "--model", str(job.model), "--mmproj", str(job.projector)),
        *("--audio", str(clip.path), "--threads", str(job.n_threads)),
        *("--prompt", job.prompt.replace(_AUDIO_TOKEN, ""), "--ignore-eos", "--temp", "0"),
        *("--n-predict", str(clip.n_tokens - 1), "--ctx-size", "4096"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return read_times(done.stdout + done.stderr, clip)


def read_times(log: str, clip: Clip) -> ClipTimes:
    """Read the times from what the command wrote.

    Raises:
        PeerError: it did not come to the end.
    """
    encoded, prefill, decoded = (_ENCODED.findall(log), _PREFILL.search(log), _DECODED.search(log))
    if not encoded or prefill is None or decoded is None:
        raise PeerError(f"llama.cpp gave no times; the end of its log: {log[-500:]}")
    return ClipTimes(
        duration_s=clip.duration_s,
        n_tokens=int(decoded[2]) + 1,
        encoder_s=sum(map(int, encoded)) / 1000,
        prefill_s=float(prefill[1]) / 1000,
        decode_s=float(decoded[1]) / 1000,
    )
