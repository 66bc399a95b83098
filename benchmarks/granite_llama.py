"""Times llama.cpp's Granite Speech: its own command for multimodal models.

Each clip is one run of the command. Its log says how long encoder, prompt and tokens took by the
wall clock. By the processor's clock, a run is what it took more than one that only loads, and the
log's times say how that is shared out.
"""

from __future__ import annotations

import re
import resource
import subprocess
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from benchmarks.granite_job import Answer, ClipTimes, Clock
from benchmarks.memory import Memory

if TYPE_CHECKING:
    from benchmarks.granite_job import Clip, Job

_ENCODED = re.compile(r"(?:audio slice encoded|mtmd batch encoding done) in (\d+) ms")
_PREFILL = re.compile(r"prompt eval time =\s*([\d.]+) ms")
_DECODED = re.compile(r"[^t] eval time =\s*([\d.]+) ms /\s*(\d+) runs")
_AUDIO_TOKEN = "<|audio|>"  # noqa: S105 (no password)


class PeerError(RuntimeError):
    """The peer did not do what it was asked."""


def run(job: Job) -> Answer:
    """Run the command once to load, and then once for each clip.

    Raises:
        PeerError: it fails.
    """
    load_s = _run(job, [])[0]  # without a prompt it asks for one, and ends with its input
    found = []
    for clip in job.clips:
        took_s, log = _run(job, _options(job, clip))
        times = read_times(log, clip)
        found.append(times if job.clock is Clock.WALL else shared_out(times, took_s - load_s))
    return Answer(load_s, found, Memory(0, 0))


def _options(job: Job, clip: Clip) -> list[str]:
    instruction = job.prompt.partition(_AUDIO_TOKEN)[2].partition("\n")[0]
    return [
        *("--audio", str(clip.path), "--prompt", instruction, "--temp", "0", "--ignore-eos"),
        *("--n-predict", str(clip.n_tokens - 1)),
    ]


def _run(job: Job, options: list[str]) -> tuple[float, str]:
    """Return how long the command took, and its log."""
    command = [
        *(str(job.program), "--model", str(job.model), "--mmproj", str(job.projector)),
        *("--threads", str(job.n_threads), "--ctx-size", "4096", "--chat-template", "granite"),
        *("--perf", "--log-verbosity", "4", *options),
    ]
    clock = perf_counter if job.clock is Clock.WALL else _children_cpu_s
    started = clock()
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    return clock() - started, done.stdout + done.stderr


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def shared_out(times: ClipTimes, total_s: float) -> ClipTimes:
    """Return times of the same proportions that add up to ``total_s``."""
    factor = total_s / times.total_s
    return msgspec.structs.replace(
        times,
        encoder_s=times.encoder_s * factor,
        prefill_s=times.prefill_s * factor,
        decode_s=times.decode_s * factor,
    )


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
