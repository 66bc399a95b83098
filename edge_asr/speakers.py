"""Who spoke when, in one file: segments of the same voice get the same label, S1, S2, ...

Each segment is heard by the voice encoder; near vectors are put together (agglomerative clustering
with average linkage). A segment is speech between pauses: if two people speak in it, it gets the
label of one. Labels say nothing of who that is, and mean nothing beyond their file.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edge_asr.capture.wavfile import WavFile
from edge_asr.records import SAMPLE_RATE, AudioChunk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge_asr.formats import FileTranscript, Segment
    from edge_asr.records import Waveform

    Vectors = np.ndarray[tuple[int, int], np.dtype[np.float32]]
    """float32, shape ``(n_segments, n_dimensions)``, each row of length 1."""

THRESHOLD = 0.72
"""Mean cosine similarity below which two groups of segments are two speakers: in the middle of
where benchmarks/speakers.py makes no error."""
CLEAR_S = 2.0
"""A segment shorter than this says little of its voice: it joins the nearest speaker, and makes
none."""
MOST_CLUSTERED = 800
"""Segments that are compared with each other; of a longer file the longest ones, which the others
join. More would take minutes."""


class Voices(Protocol):
    """Tells voices apart: :class:`edge_asr.recognizers.voice.VoiceEncoder`."""

    def embed(self, waveform: Waveform) -> np.ndarray:
        """Return the vector of one speaker's speech, of length 1."""


def label(
    path: Path,
    found: FileTranscript,
    voices: Voices,
    n_speakers: int | None = None,
    *,
    threshold: float = THRESHOLD,
) -> FileTranscript:
    """Return a file's transcript with a speaker for each segment that has text.

    Args:
        path: the file, which is read again.
        found: what was said in it.
        voices: tells voices apart.
        n_speakers: how many there are; None: as many as can be told apart.
        threshold: likeness below which two are told apart, where nobody says how many there are.

    Raises:
        AudioFileError: the file cannot be read any more.
    """
    spoken = [segment for segment in found.segments if segment.text.strip()]
    if not spoken:
        return found
    vectors = np.stack([voices.embed(sound) for sound in _sounds(path, spoken)])
    durations_s = [segment.end_s - segment.start_s for segment in spoken]
    numbers = cluster(vectors, durations_s, n_speakers, threshold=threshold)
    names = {id(segment): f"S{number + 1}" for segment, number in zip(spoken, numbers, strict=True)}
    labelled = [replace(each, speaker=names.get(id(each))) for each in found.segments]
    return replace(found, segments=tuple(labelled))


def cluster(
    vectors: Vectors,
    durations_s: Sequence[float],
    n_speakers: int | None = None,
    *,
    threshold: float = THRESHOLD,
) -> list[int]:
    """Return a number for each segment, counted from 0 in the order in which they first speak.

    Args:
        vectors: of the segments' voices.
        durations_s: how long the segments are.
        n_speakers: how many numbers to give, as far as there are segments; None: by likeness.
        threshold: mean cosine similarity below which two groups stay two.
    """
    order = sorted(range(len(vectors)), key=lambda i: -durations_s[i])
    clear = [i for i in order if durations_s[i] >= CLEAR_S]
    if len(clear) < (n_speakers or 1):
        clear = order
    clear = sorted(clear[:MOST_CLUSTERED])
    groups = _agglomerate(vectors[clear], n_speakers, threshold)
    centres = np.stack([vectors[clear][group].sum(axis=0) for group in groups])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    nearest = np.argmax(vectors @ centres.T, axis=1)
    for number, group in enumerate(groups):
        nearest[np.asarray(clear)[group]] = number
    renumbered: dict[int, int] = {}
    return [renumbered.setdefault(int(number), len(renumbered)) for number in nearest]


def _agglomerate(vectors: Vectors, n_groups: int | None, threshold: float) -> list[list[int]]:
    """Return groups of rows: the two most alike are joined until none are alike enough.

    With average linkage, the likeness of a joined group is the mean of its parts', weighed by their
    sizes (Lance and Williams, 1967).
    """
    groups = [[i] for i in range(len(vectors))]
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -np.inf)
    while len(groups) > (n_groups or 1):
        first, second = sorted(divmod(int(np.argmax(likeness)), len(groups)))
        if n_groups is None and likeness[first, second] < threshold:
            break
        sizes = len(groups[first]), len(groups[second])
        joined = np.average(likeness[[first, second]], axis=0, weights=sizes)
        likeness[first, :], likeness[:, first] = joined, joined
        likeness[first, first] = -np.inf
        likeness = np.delete(np.delete(likeness, second, axis=0), second, axis=1)
        groups[first] += groups.pop(second)
    return groups


def _sounds(path: Path, segments: Sequence[Segment]) -> Iterator[Waveform]:
    """Yield the sound of each segment, in order, of which none overlap."""
    with WavFile(path, threading.Event(), realtime=False) as source:
        chunks = (item.waveform for item in source if isinstance(item, AudioChunk))
        held, held_from = np.zeros(0, np.float32), 0
        for segment in segments:
            start, end = round(segment.start_s * SAMPLE_RATE), round(segment.end_s * SAMPLE_RATE)
            parts = [held]
            held_to = held_from + len(held)
            while held_to < end and (chunk := next(chunks, None)) is not None:
                parts.append(chunk)
                held_to += len(chunk)
            held = np.concatenate(parts)[max(0, start - held_from) :]
            held_from = max(held_from, start)
            yield held[: end - start] if len(held) else np.zeros(1, np.float32)
