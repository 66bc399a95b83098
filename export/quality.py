"""The quality report and its limits: original, float graphs, quantized graphs, side by side.

Limits are relative to the original: how well Whisper understands a clip is not the export's
business, that nothing is lost on the way is.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edge_asr.evaluation.scoring import Errors, count_errors
from export.errors import QualityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from export.clips import Clip
    from export.parity import Parity
    from export.recipe import QualityLimits

MIN_WORDS = 50
"""A language with fewer reference words says nothing about its WER."""
CHANCE_WORDS = 5
CHANCE_CLIPS = 1
"""So few more wrong words, or clips with another text, are chance, whatever share they are: another
processor rounds differently. A quantization that harms is far beyond them."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What one system made of the clips."""

    texts: list[str]
    flagged: list[bool]
    """Where the runtime's guards cut a text that the original may carry on with."""
    decode_s: float
    """Seconds for all clips."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The systems side by side. Without quantization there are two."""

    clips: Sequence[Clip]
    original: Heard
    exported: Heard
    exported_parity: Parity
    quantized: Heard | None = None
    quantized_parity: Parity | None = None
    full_window: bool = True
    """Whether the graphs heard as much as the original did. Where they heard less, a few clips have
    other texts, and what counts is how many words are wrong."""


def report(comparison: Comparison) -> dict[str, Any]:
    """Return what the manifest says of the bundle's quality. WER in percent."""
    systems = {"original": comparison.original, "float": comparison.exported}
    parity = {"float": asdict(comparison.exported_parity)}
    if comparison.quantized is not None and comparison.quantized_parity is not None:
        systems["quantized"] = comparison.quantized
        parity["quantized"] = asdict(comparison.quantized_parity)
    errors = {
        name: errors_by_language(comparison.clips, heard.texts) for name, heard in systems.items()
    }
    audio_s = sum(clip.duration_s for clip in comparison.clips)
    return {
        "n_clips": len(comparison.clips),
        "full_window": comparison.full_window,
        "audio_s": round(audio_s, 1),
        "largest_difference": parity,
        "text_identical": {
            name: round(identical_share(comparison.original, heard), 4)
            for name, heard in systems.items()
            if name != "original"
        },
        "n_words": {group: count.n_words for group, count in errors["original"].items()},
        "wer": {
            name: {group: round(count.wer, 2) for group, count in groups.items()}
            for name, groups in errors.items()
        },
        "rtf": {name: round(heard.decode_s / audio_s, 4) for name, heard in systems.items()},
    }


def errors_by_language(clips: Sequence[Clip], texts: Iterable[str]) -> dict[str, Errors]:
    """Sum the errors of each language, and of all under ``all``."""
    totals: dict[str, Errors] = {}
    for clip, text in zip(clips, texts, strict=True):
        found = count_errors(clip.text, text, clip.language)
        for group in ("all", clip.language):
            totals[group] = totals.get(group, Errors()) + found
    return totals


def identical_share(original: Heard, heard: Heard) -> float:
    """Return the share of clips with the original's text, of those that no guard cut."""
    pairs = zip(original.texts, heard.texts, heard.flagged, strict=True)
    same = [ours == theirs for theirs, ours, flagged in pairs if not flagged]
    return sum(same) / len(same) if same else 1.0


def check_limits(quality: dict[str, Any], limits: QualityLimits) -> None:
    """Refuse a bundle whose report misses a limit.

    Raises:
        QualityError: the message names the limit and the figure.
    """
    missed = list(_missed(quality, limits))
    if missed:
        raise QualityError(
            "the quality gate refuses the bundle, nothing was written: " + "; ".join(missed),
        )


def _missed(quality: dict[str, Any], limits: QualityLimits) -> Iterator[str]:
    found = quality["largest_difference"]["float"]
    for name, limit in (
        ("encoder", limits.encoder_difference),
        ("logits", limits.logit_difference),
    ):
        if not found[name] <= limit:
            yield f"the float graphs' {name} differ by {found[name]:.4g}, more than {limit:g}"
    identical = quality["text_identical"]["float"]
    n_different = round((1.0 - identical) * quality["n_clips"])
    same_text = identical >= limits.float_text_identical or n_different <= CHANCE_CLIPS
    if quality["full_window"] and not same_text:
        yield (
            f"the float graphs' text is the original's in {identical:.1%} of clips, "
            f"less than {limits.float_text_identical:.1%}"
        )
    yield from _missed_wer(quality, "float", limits.float_wer_increase, limits)
    if "quantized" in quality["wer"]:
        yield from _missed_wer(quality, "quantized", limits.quantized_wer_increase, limits)


def _missed_wer(
    quality: dict[str, Any],
    system: str,
    limit: float,
    limits: QualityLimits,
) -> Iterator[str]:
    for group, wer in quality["wer"][system].items():
        allowed = limit if group == "all" else limits.language_wer_increase
        before = quality["wer"]["original"][group]
        enough = group == "all" or quality["n_words"][group] >= MIN_WORDS
        n_more_errors = round((wer - before) / 100 * quality["n_words"][group])
        if enough and wer > before + allowed and n_more_errors > CHANCE_WORDS:
            of = "" if group == "all" else f" in {group}"
            yield (
                f"the {system} graphs' WER{of} is {wer:.2f} %, "
                f"more than {allowed:g} points above the original's {before:.2f} %"
            )


def summary(quality: dict[str, Any]) -> str:
    """Return the report in one line."""
    wer = ", ".join(f"{name} {groups['all']:.2f} %" for name, groups in quality["wer"].items())
    same = ", ".join(f"{name} {share:.0%}" for name, share in quality["text_identical"].items())
    return f"{quality['n_clips']} clips; WER: {wer}; text as the original's: {same}"
