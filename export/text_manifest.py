"""What a text model's manifest says: its size, its special tokens, its chat template in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from export.errors import SourceError
from export.text_chat import chat_pieces

if TYPE_CHECKING:
    from pathlib import Path


def text_model(checkpoint: Path) -> dict[str, Any]:
    """Return the ``model`` section of the manifest.

    Raises:
        SourceError: it is no decoder-only text model, or one without a usable chat template.
    """
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    config = AutoConfig.from_pretrained(checkpoint, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
    n_heads = getattr(config, "num_attention_heads", None)
    if getattr(config, "is_encoder_decoder", False) or n_heads is None:
        raise SourceError(f"{checkpoint}: a {config.model_type}, not a decoder-only text model")
    ends = config.eos_token_id
    if (checkpoint / "generation_config.json").is_file():
        generation = GenerationConfig.from_pretrained(checkpoint, local_files_only=True)
        ends = generation.eos_token_id if generation.eos_token_id is not None else ends
    if ends is None:
        raise SourceError(f"{checkpoint}: neither its config nor its generation config has an end")
    added = tokenizer.added_tokens_decoder.values()
    return {
        "n_layers": config.num_hidden_layers,
        "n_kv_heads": getattr(config, "num_key_value_heads", None) or n_heads,
        "head_dim": getattr(config, "head_dim", None) or config.hidden_size // n_heads,
        "vocab_size": config.vocab_size,
        "max_positions": config.max_position_embeddings,
        "end_token_ids": list(ends) if isinstance(ends, list) else [ends],
        "special_tokens": [token.content for token in added if token.special],
        "chat": chat_pieces(tokenizer),
    }
