"""What a Whisper bundle holds: its files, and the ``model`` section of its manifest."""

from __future__ import annotations

import msgspec

from edge_asr.recognizers.whisper_window import Window  # noqa: TC001 (msgspec reads it)

ENCODER = "encoder_model.onnx"
DECODER = "decoder_model_merged.onnx"
TOKENIZER = "tokenizer.json"


class SpecialTokens(msgspec.Struct, frozen=True):
    """Ids of the tokens that steer Whisper."""

    start_of_transcript: int
    end_of_text: int
    no_timestamps: int
    timestamp_begin: int
    no_speech: int
    transcribe: int | None = None
    translate: int | None = None
    start_of_previous: int | None = None
    """Stands before text that came earlier; keywords are hinted at with it."""


class WhisperModel(msgspec.Struct, frozen=True):
    """The ``model`` section of a Whisper bundle's manifest."""

    n_mels: int
    n_layers: int
    n_heads: int
    head_dim: int
    vocab_size: int
    n_text_ctx: int
    multilingual: bool
    tokens: SpecialTokens
    languages: dict[str, int]
    suppress_tokens: list[int]
    begin_suppress_tokens: list[int]
    window: Window
    alignment_heads: list[tuple[int, int]]
    """Layer and number of those heads of the cross-attention that follow the sound."""
    shares_sound: bool
    """The decoder takes a sound once for all texts of it; in bundles of an earlier version it does
    not."""
