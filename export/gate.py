"""The quality gate: which clips are heard, by which systems, and whether the bundle passes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec

from edge_asr.bundle import sha256_of
from edge_asr.recognizers.whisper import WhisperRecognizer
from edge_asr.recognizers.whisper_window import FULL_WINDOW
from edge_asr.records import Request
from edge_asr.sessions import default_threads
from export.clips import MANIFEST, pick_clips, read_clips, read_waveform
from export.errors import SampleError
from export.parity import Expected, Parity, expected_of, measure_parity
from export.quality import Comparison, Heard, check_limits, report, summary
from export.sample import build_sample
from export.steps import code_sha256, digest, make_once, versions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_asr.bundle import Bundle
    from export.clips import Clip
    from export.order import Order

_TEXTS = "texts.json"
_BATCH_SIZE = 8
"""Clips that torch decodes together: a step for eight costs little more than a step for one."""


@dataclass(frozen=True, slots=True)
class Originals:
    """The Transformers checkpoints that graphs are held against. Without an adapter, one."""

    published: Path
    """Whose texts count."""
    exported: Path
    """Whose numbers the graphs must give."""


def pass_gate(
    order: Order,
    originals: Originals,
    exported: Bundle,
    quantized: Bundle | None,
) -> dict[str, Any]:
    """Hold the graphs against the original and return the quality report.

    Args:
        order: what is being built.
        originals: what they are held against.
        exported: the float graphs.
        quantized: the quantized ones, if there are any.

    Raises:
        SampleError: there is no speech to hear.
        QualityError: a limit of the recipe is missed.
    """
    clips = _gather(order, exported.manifest.capabilities.languages)
    original = _hear_original(order, originals.published, clips)
    expected = _expected(originals.exported, clips[0], _prompt(exported, clips[0]))
    float_heard, float_parity = _hear(order, "float graphs", exported, clips, expected)
    heard, parity = None, None
    if quantized is not None:
        heard, parity = _hear(order, "quantized graphs", quantized, clips, expected)
    full_window = exported.manifest.model["window"]["margin"] >= FULL_WINDOW
    comparison = Comparison(
        clips, original, float_heard, float_parity, heard, parity, full_window=full_window
    )
    quality = report(comparison)
    order.reporter.say(f"  {summary(quality)}")
    check_limits(quality, order.recipe.quality)
    return quality | {"limits": msgspec.to_builtins(order.recipe.quality)} | speech_id(order)


def speech_id(order: Order) -> dict[str, str]:
    """Return what identifies the speech beside the sample, for the manifest."""
    manifest = order.speech / MANIFEST if order.speech else None
    if manifest is None or not manifest.is_file():
        return {}
    return {"speech_manifest_sha256": sha256_of(manifest)}


def _gather(order: Order, languages: Sequence[str]) -> list[Clip]:
    """Return the clips of the sample and those picked from ``--speech``."""
    sample = order.work / "sample"
    clips: list[Clip] = []
    try:
        build_sample(sample, sounds=order.sounds)
        clips += read_clips(sample, languages)
    except SampleError as error:
        if order.speech is None:
            raise
        order.reporter.say(f"  without the project's own sample: {error}")
    if order.speech is not None:
        more = read_clips(order.speech, languages)
        clips += pick_clips(more, order.recipe.clips_per_language)
    if not clips:
        raise SampleError(f"{order.speech}: no clip in a language of this model")
    return clips


def _prompt(bundle: Bundle, clip: Clip) -> list[int]:
    """Return the tokens that ask for the transcript of ``clip``."""
    model = bundle.manifest.model
    tokens = model["tokens"]
    start: int = tokens["start_of_transcript"]
    if not model["multilingual"]:
        return [start, tokens["no_timestamps"]]
    return [start, model["languages"][clip.language], tokens["transcribe"], tokens["no_timestamps"]]


def _batches(clips: Sequence[Clip]) -> list[tuple[str, list[Clip]]]:
    """Return neighbours of one language together, a few at a time."""
    groups = [(key, list(group)) for key, group in groupby(clips, key=lambda clip: clip.language)]
    return [
        (language, group[start : start + _BATCH_SIZE])
        for language, group in groups
        for start in range(0, len(group), _BATCH_SIZE)
    ]


def _expected(checkpoint: Path, clip: Clip, prompt: list[int]) -> Expected:
    from export.original import OriginalWhisper

    original = OriginalWhisper(checkpoint, n_threads=default_threads())
    return expected_of(original, read_waveform(clip.path), prompt, clip.language)


def _hear_original(order: Order, checkpoint: Path, clips: Sequence[Clip]) -> Heard:
    def make(part: Path) -> None:
        from export.original import OriginalWhisper

        original = OriginalWhisper(checkpoint, n_threads=default_threads())
        texts: list[str] = []
        for language, group in order.reporter.track(_batches(clips), "original"):
            texts += original.transcribe([read_waveform(clip.path) for clip in group], language)
        (part / _TEXTS).write_bytes(msgspec.json.encode(texts))

    kept = order.workshop / "original"
    heard = [(clip.language, sha256_of(clip.path)) for clip in clips]
    key = digest(order.weights.key, heard, code_sha256("whisper"), versions())
    with order.reporter.step(f"hear {len(clips)} clips with the original, in torch"):
        make_once(kept, key, make)
    texts = msgspec.json.decode((kept / _TEXTS).read_bytes(), type=list[str])
    return Heard(texts, [False] * len(texts), 0.0)


def _hear(
    order: Order,
    title: str,
    bundle: Bundle,
    clips: Sequence[Clip],
    expected: Expected,
) -> tuple[Heard, Parity]:
    n_threads = default_threads()
    with order.reporter.step(f"hear them with the {title}"):
        recognizer = WhisperRecognizer(bundle, n_threads=n_threads)
        found = [
            recognizer.transcribe(read_waveform(clip.path), Request(language=clip.language))
            for clip in order.reporter.track(clips, title)
        ]
        parity = measure_parity(bundle, expected, n_threads=n_threads)
    heard = Heard(
        texts=[recognition.text for recognition in found],
        flagged=[bool(recognition.flags) for recognition in found],
        decode_s=sum(recognition.decode_s for recognition in found),
    )
    return heard, parity
