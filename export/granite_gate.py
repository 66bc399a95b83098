"""Granite's quality gate: the graphs' numbers always, word error rates where there is speech.

The numbers are compared on generated sound, which needs no recordings and means nothing: whatever
the original makes of it, the float graphs must make the same. With ``--speech``, the original, the
float graphs and the quantized ones hear it too, and the recipe's limits on WER hold.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from edge_asr.bundle import sha256_of
from edge_asr.recognizers.tokenizer import Tokenizer
from edge_asr.records import SAMPLE_RATE
from edge_asr.sessions import default_threads
from export.clips import pick_clips, read_clips, read_waveform
from export.errors import QualityError, SampleError
from export.gate import speech_id
from export.granite_manifest import TOKENIZER
from export.granite_parity import GraniteGraphs, measure_parity
from export.quality import Comparison, Heard, check_limits, report, summary
from export.steps import code_sha256, digest, make_once, versions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_asr.records import Waveform
    from export.clips import Clip
    from export.granite_original import Array, Expected
    from export.granite_parity import GraniteParity
    from export.order import Order
    from export.recipe import QualityLimits

_LENGTHS_S = (0.3, 4.0, 6.9)
"""A window of the projector, exactly a block of the encoder, and a block and most of another."""
_TOKENS_ON_NOISE = 12
_TOKENS_PER_S = 8
_LEAST_TOKENS = 64
_HEARD = "heard.json"


def pass_granite_gate(
    order: Order,
    checkpoint: Path,
    model: dict[str, Any],
    exported: Path,
    quantized: Path,
) -> dict[str, Any]:
    """Hold the graphs against the original and return the quality report.

    The original is let go before graphs are loaded: at full size there is no room for both.

    Args:
        order: what is being built.
        checkpoint: the original, a Transformers checkpoint.
        model: the manifest's ``model`` section.
        exported: folder of the float graphs.
        quantized: folder of the quantized ones; ``exported`` if there are none.

    Raises:
        SampleError: the folder of ``--speech`` has nothing to hear.
        QualityError: a limit of the recipe is missed.
    """
    tokenizer = Tokenizer(checkpoint / TOKENIZER)
    instruction = model["instructions"]["transcribe"]
    prompt = tokenizer.encode(model["prompt"]["template"].format(instruction=instruction))
    clips = _gather(order, list(model["language_names"]))
    expected, original = _hear_original(order, checkpoint, clips, prompt)
    systems = {"float": exported} | ({} if quantized == exported else {"quantized": quantized})
    parity: dict[str, GraniteParity] = {}
    heard: dict[str, list[list[int]]] = {}
    for name, folder in systems.items():
        with order.reporter.step(f"compare the {name} graphs"):
            graphs = GraniteGraphs(folder, model, n_threads=default_threads())
            parity[name] = measure_parity(graphs, expected, prompt)
            heard[name] = [
                graphs.greedy(_features(clip), prompt, _budget(clip))
                for clip in order.reporter.track(clips, f"{name} graphs")
            ]
            del graphs
    _check_parity(parity["float"], order.recipe.quality)
    quality: dict[str, Any] = {
        "n_clips": 0,
        "generated_sound_s": list(_LENGTHS_S),
        "largest_difference": {name: asdict(found) for name, found in parity.items()},
    }
    order.reporter.say(f"  {_parity_summary(parity)}")
    if clips:
        texts = [[tokenizer.decode(ids) for ids in found] for found in (original, *heard.values())]
        quality |= _judge(order, clips, texts, list(parity.values()))
    return quality | {"limits": msgspec.to_builtins(order.recipe.quality)} | speech_id(order)


def _features(clip: Clip) -> Array:
    from export.granite_original import granite_features

    return granite_features(read_waveform(clip.path))


def generated_sound(duration_s: float) -> Waveform:
    """Return sound that is no speech but moves like it: a gliding tone in noise, on and off."""
    n_samples = int(duration_s * SAMPLE_RATE)
    at_s = np.arange(n_samples) / SAMPLE_RATE
    random = np.random.default_rng(n_samples)
    tone = np.sin(2 * np.pi * (180 * at_s + 90 * np.sin(2 * np.pi * 0.7 * at_s)))
    loudness = 0.5 + 0.5 * np.sin(2 * np.pi * 3.1 * at_s)
    sound = loudness * (0.3 * tone + 0.1 * random.normal(size=n_samples))
    return np.asarray(sound, dtype=np.float32)


def _gather(order: Order, languages: Sequence[str]) -> list[Clip]:
    if order.speech is None:
        return []
    clips = pick_clips(read_clips(order.speech, languages), order.recipe.clips_per_language)
    if not clips:
        raise SampleError(f"{order.speech}: no clip in a language of this model")
    return clips


def _hear_original(
    order: Order, checkpoint: Path, clips: Sequence[Clip], prompt: Sequence[int]
) -> tuple[list[Expected], list[list[int]]]:
    """Return what the original makes of the generated sounds and of the clips. It is kept."""
    from export.granite_original import OriginalGranite, load_expected

    def make(part: Path) -> None:
        original = OriginalGranite(checkpoint, n_threads=default_threads())
        for duration_s in _LENGTHS_S:
            found = original.run(generated_sound(duration_s), prompt, _TOKENS_ON_NOISE)
            found.save(part / f"{duration_s}.npz")
        heard = [
            original.token_ids(read_waveform(clip.path), prompt, _budget(clip))
            for clip in order.reporter.track(clips, "original")
        ]
        (part / _HEARD).write_bytes(msgspec.json.encode(heard))

    kept = order.workshop / "original"
    files = [sha256_of(clip.path) for clip in clips]
    key = digest(order.weights.key, prompt, files, code_sha256("granite"), versions())
    with order.reporter.step("hear the original, in torch"):
        make_once(kept, key, make)
    heard = msgspec.json.decode((kept / _HEARD).read_bytes(), type=list[list[int]])
    return [load_expected(kept / f"{duration_s}.npz") for duration_s in _LENGTHS_S], heard


def _budget(clip: Clip) -> int:
    return max(_LEAST_TOKENS, int(clip.duration_s * _TOKENS_PER_S))


def _check_parity(found: GraniteParity, limits: QualityLimits) -> None:
    """Refuse float graphs whose numbers are not the original's.

    Raises:
        QualityError: the message names the limit and the figure.
    """
    named: list[tuple[str, float, float]] = [
        ("audio features", found.encoder, limits.encoder_difference),
        ("CTC logits", found.ctc, limits.logit_difference),
        ("logits", found.logits, limits.logit_difference),
    ]
    missed = [
        f"the float graphs' {name} differ by {value:.4g}, more than {limit:g}"
        for name, value, limit in named
        if not value <= limit
    ]
    if found.tokens < limits.float_text_identical:
        missed.append(
            f"the float graphs go on as the original does after {found.tokens:.1%} of tokens, "
            f"less than {limits.float_text_identical:.1%}",
        )
    if missed:
        raise QualityError(
            "the quality gate refuses the bundle, nothing was written: " + "; ".join(missed),
        )


def _judge(
    order: Order,
    clips: Sequence[Clip],
    texts: Sequence[list[str]],
    parity: Sequence[GraniteParity],
) -> dict[str, Any]:
    """Compare the texts of the original, the float graphs and, if there are, the quantized ones."""
    systems = [Heard(found, [False] * len(found), 0.0) for found in texts]
    original, exported, *rest = systems
    quantized = rest[0] if rest else None
    found = report(
        Comparison(clips, original, exported, parity[0], quantized, parity[1] if rest else None),
    )
    order.reporter.say(f"  {summary(found)}")
    check_limits(found, order.recipe.quality)
    return found


def _parity_summary(parity: dict[str, GraniteParity]) -> str:
    return "; ".join(
        f"{name} graphs: audio features within {found.encoder:.2g}, CTC {found.ctc:.2g}, "
        f"logits {found.logits:.2g}, {found.tokens:.0%} of tokens alike"
        for name, found in parity.items()
    )
