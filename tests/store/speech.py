"""Speech and text to put into a store."""

import time

import numpy as np

from edge_asr import clock
from edge_asr.records import EndReason, Recognition, Task


def noise(n_samples, seed=0):
    """Return sound that FLAC cannot shrink to nothing: float32, (n_samples,), exact in 16 bits."""
    samples = np.random.default_rng(seed).integers(-3000, 3000, n_samples)
    return (samples / 32768).astype(np.float32)


def say(store, source="mic", n_samples=8_000, start=None, seed=0):
    """Record and close one utterance."""
    recording = store.utterances.begin(source, start or clock.now())
    recording.append(noise(n_samples, seed))
    return store.utterances.close(recording, n_samples=n_samples, reason=EndReason.PAUSE)


def recognition(text="pump seven is leaking", language="en"):
    return Recognition(text, language, None, Task.TRANSCRIBE, 0.25, -0.3)


def write_down(store, utterance, text="pump seven is leaking", language="en", bundle="tiny"):
    """Add a version."""
    return store.transcripts.add(
        utterance.utterance_id,
        recognition(text, language),
        bundle=bundle,
        bundle_sha256="ab" * 32,
        created_utc_ns=time.time_ns(),
    )


def write_down_first(store, utterance, text="pump seven is leaking"):
    """Add version 1, if there is none."""
    return store.transcripts.add_first(
        utterance.utterance_id,
        recognition(text),
        bundle="tiny",
        bundle_sha256="ab" * 32,
        created_utc_ns=time.time_ns(),
    )
