"""What a Granite bundle holds: the names of its files, and its manifest's ``model`` section."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edge_asr.errors import BundleError
from edge_asr.recognizers.ctc import CtcLabels  # noqa: TC001 (msgspec reads the types)
from edge_asr.recognizers.granite_decoder import EmbeddingTable, GraniteDecoder
from edge_asr.recognizers.granite_prompts import Instructions, Template  # noqa: TC001
from edge_asr.sessions import open_session

if TYPE_CHECKING:
    from edge_asr.bundle import Bundle

ENCODER = "audio_encoder.onnx"
DECODER = "decoder_model_merged.onnx"
EMBEDDING = "embed_tokens.f16"
TOKENIZER = "tokenizer.json"


class GraniteModel(msgspec.Struct, frozen=True):
    """The ``model`` section of a Granite bundle's manifest."""

    n_mels: int
    n_fft: int
    win_length: int
    hop_length: int
    projector_window: int
    """Frames of the encoder that become ``projector_tokens`` audio features."""
    projector_tokens: int
    n_kv_heads: int
    head_dim: int
    hidden_size: int
    vocab_size: int
    end_of_text_id: int
    max_positions: int
    max_audio_s: float
    prompt: Template
    instructions: Instructions
    language_names: dict[str, str]
    ctc: CtcLabels
    rows_together: int = 1
    """The decoder's kernels compute so many rows together, and fewer in another order: it is fed
    multiples of it, so that a token's result does not depend on how many it is fed with."""


def read_model(bundle: Bundle) -> GraniteModel:
    """Read the manifest's section.

    Raises:
        BundleError: something is missing there.
    """
    try:
        return msgspec.convert(bundle.manifest.model, GraniteModel)
    except msgspec.ValidationError as error:
        raise BundleError(f"bundle {bundle.name}: its manifest is incomplete ({error})") from error


def open_table(bundle: Bundle, model: GraniteModel) -> EmbeddingTable:
    """Map the embeddings.

    Raises:
        BundleError: they are not what the manifest says.
    """
    path = bundle.path(EMBEDDING)
    return EmbeddingTable(path, vocab_size=model.vocab_size, hidden_size=model.hidden_size)


def open_decoder(
    bundle: Bundle, model: GraniteModel, table: EmbeddingTable, *, n_threads: int
) -> GraniteDecoder:
    """Open the language model.

    Raises:
        BundleError: there is none, or it cannot be loaded.
    """
    return GraniteDecoder(
        open_session(bundle, DECODER, n_threads=n_threads),
        table,
        n_kv_heads=model.n_kv_heads,
        head_dim=model.head_dim,
        rows_together=model.rows_together,
    )
