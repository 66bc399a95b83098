"""What a Whisper checkpoint's manifest says: dimensions, tokens, capabilities."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edge_asr.bundle import Capabilities
from edge_asr.records import Task
from export.errors import SourceError
from export.whisper_tokens import is_multilingual, read_tokens

if TYPE_CHECKING:
    from pathlib import Path


def whisper_model(checkpoint: Path) -> dict[str, Any]:
    """Return the ``model`` section of the manifest.

    Raises:
        SourceError: the folder holds no Whisper.
    """
    config = _read(checkpoint / "config.json")
    generation = _read(checkpoint / "generation_config.json", default={})
    if config.get("model_type") != "whisper":
        raise SourceError(f"{checkpoint}: a {config.get('model_type')}, not a Whisper checkpoint")
    tokens = read_tokens(checkpoint / "tokenizer.json")
    multilingual = bool(generation.get("is_multilingual", is_multilingual(config["vocab_size"])))
    return {
        "n_mels": config["num_mel_bins"],
        "n_layers": config["decoder_layers"],
        "n_heads": config["decoder_attention_heads"],
        "head_dim": config["d_model"] // config["decoder_attention_heads"],
        "vocab_size": config["vocab_size"],
        "n_audio_ctx": config["max_source_positions"],
        "n_text_ctx": config["max_target_positions"],
        "multilingual": multilingual,
        "tokens": {
            "start_of_transcript": tokens.start_of_transcript,
            "end_of_text": tokens.end_of_text,
            "transcribe": tokens.transcribe if multilingual else None,
            "translate": tokens.translate if multilingual else None,
            "start_of_previous": tokens.start_of_previous,
            "no_timestamps": tokens.no_timestamps,
            "no_speech": tokens.no_speech,
            "timestamp_begin": tokens.timestamp_begin,
        },
        "languages": tokens.languages if multilingual else {},
        "suppress_tokens": generation.get("suppress_tokens") or [],
        "begin_suppress_tokens": generation.get("begin_suppress_tokens") or [],
        "alignment_heads": generation.get("alignment_heads") or [],
        "shares_sound": True,
    }


def whisper_capabilities(model: dict[str, Any]) -> Capabilities:
    """Return what a Whisper with this ``model`` section can do."""
    timestamps = bool(model["alignment_heads"])
    context = model["tokens"]["start_of_previous"] is not None
    if not model["multilingual"]:
        return Capabilities(
            tasks=[Task.TRANSCRIBE],
            languages=["en"],
            keywords=True,
            context=context,
            punctuation=True,
            confidence=True,
            timestamps=timestamps,
        )
    return Capabilities(
        tasks=[Task.TRANSCRIBE, Task.TRANSLATE],
        languages=list(model["languages"]),
        translation_targets=["en"],
        detects_language=True,
        keywords=True,
        context=context,
        punctuation=True,
        confidence=True,
        timestamps=timestamps,
    )


def _read(path: Path, default: dict[str, Any] | None = None) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if default is not None:
            return default
        raise SourceError(f"{path}: missing") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be read ({error})") from error
    return content
