"""What a Granite Speech checkpoint's manifest says: dimensions, tokens, prompts, capabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from edge_asr.bundle import Capabilities
from edge_asr.recognizers.tokenizer import Tokenizer
from edge_asr.records import Task
from export.errors import RecipeError, SourceError
from export.granite_checkpoint import read_config

if TYPE_CHECKING:
    from pathlib import Path

    from export.recipe import Prompt, Recipe

ENCODER = "audio_encoder.onnx"
DECODER = "decoder_model_merged.onnx"
EMBEDDING = "embed_tokens.f16"
TOKENIZER = "tokenizer.json"

_AUDIO_TOKEN = "<|audio|>"  # noqa: S105 (it opens no door)
_END_OF_TEXT = "<|end_of_text|>"
_N_MELS = 80
_FRONT_END = {"n_mels": _N_MELS, "n_fft": 512, "win_length": 400, "hop_length": 160}
"""Transformers' GraniteSpeechFeatureExtractor; two frames of 10 ms make one of the encoder's."""
_AUDIO_TOKENS_PER_S = 10
_TEXT_TOKENS_PER_S = 6
"""Fast speech; 3 to 4 are usual."""
_PROMPT_TOKENS = 256
"""Kept free for the prompt and its keywords."""
_LATIN_LABELS = 256
_KATAKANA_FIRST = 0x30A1
"""CTC labels: 0 is blank, below 256 the label is the character; the rest are katakana from here."""
_LANGUAGE_NAMES = {
    "en": "English",
    "fr": "French",
    "de": "German",
    "es": "Spanish",
    "pt": "Portuguese",
    "ja": "Japanese",
    "it": "Italian",
    "zh": "Mandarin",
}
"""As IBM's prompts name them."""


def granite_model(checkpoint: Path, recipe: Recipe) -> dict[str, Any]:
    """Return the ``model`` section of the manifest.

    Raises:
        SourceError: the folder holds no Granite Speech that can be exported.
        RecipeError: the recipe says nothing of prompts, or names an unknown language.
    """
    config = read_config(checkpoint)
    prompt = _prompt_of(recipe)
    text, encoder = config["text_config"], config["encoder_config"]
    if encoder["input_dim"] != 2 * _N_MELS:
        raise SourceError(f"{checkpoint}: features of {encoder['input_dim']}, not {2 * _N_MELS}")
    max_positions: int = text["max_position_embeddings"]
    per_s = _AUDIO_TOKENS_PER_S + _TEXT_TOKENS_PER_S
    return {
        **_FRONT_END,
        "block_frames": encoder["context_size"],
        "projector_window": config["window_size"],
        "projector_tokens": config["window_size"] // config["downsample_rate"],
        "n_layers": text["num_hidden_layers"],
        "n_kv_heads": text["num_key_value_heads"],
        "head_dim": text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"],
        "hidden_size": text["hidden_size"],
        "vocab_size": text["vocab_size"],
        **_tokens(checkpoint, config, prompt),
        "max_positions": max_positions,
        "max_audio_s": (max_positions - _PROMPT_TOKENS) // per_s,
        "prompt": {"template": prompt.template, "audio_token": _AUDIO_TOKEN},
        "instructions": msgspec.to_builtins(prompt.instructions),
        "language_names": _names({*prompt.languages, *prompt.translation_targets}, recipe),
        "ctc": {
            "blank": 0,
            "n_labels": encoder["output_dim"],
            "latin_labels": _LATIN_LABELS,
            "katakana_first": _KATAKANA_FIRST,
        },
    }


def granite_capabilities(recipe: Recipe) -> Capabilities:
    """Return what a Granite Speech with this recipe's prompts can do.

    The language spoken is never asked for and never told: the model hears it by itself.
    """
    prompt = _prompt_of(recipe)
    translates = prompt.instructions.translate is not None
    return Capabilities(
        tasks=[Task.TRANSCRIBE, Task.TRANSLATE] if translates else [Task.TRANSCRIBE],
        languages=prompt.languages,
        translation_targets=prompt.translation_targets if translates else [],
        detects_language=True,
        keywords=prompt.instructions.transcribe_keywords is not None,
        punctuation=prompt.instructions.punctuated is not None,
        timestamps=True,  # of words, by aligning the text with the CTC head's labels
        confidence=True,
    )


def _prompt_of(recipe: Recipe) -> Prompt:
    if recipe.prompt is None:
        raise RecipeError(f"recipe {recipe.name}: a granite needs a `prompt`; see models/")
    return recipe.prompt


def _names(languages: set[str], recipe: Recipe) -> dict[str, str]:
    if unknown := sorted(languages - _LANGUAGE_NAMES.keys()):
        raise RecipeError(
            f"recipe {recipe.name}: no prompt names the language {unknown[0]}; "
            f"there are: {', '.join(_LANGUAGE_NAMES)}",
        )
    return {code: name for code, name in _LANGUAGE_NAMES.items() if code in languages}


def _tokens(checkpoint: Path, config: dict[str, Any], prompt: Prompt) -> dict[str, int]:
    """Return the ids of the special tokens, checked against what the tokenizer makes of them."""
    tokenizer = Tokenizer(checkpoint / TOKENIZER)
    audio_id: int = config["audio_token_index"]
    ends = config["text_config"]["eos_token_id"]
    end_id: int = ends[0] if isinstance(ends, list) else ends
    for token, number in ((_AUDIO_TOKEN, audio_id), (_END_OF_TEXT, end_id)):
        if tokenizer.encode(token) != [number]:
            raise SourceError(
                f"{checkpoint}: its config has the id {number} for {token}, its {TOKENIZER} "
                f"{tokenizer.encode(token)}; the files are not of one model",
            )
    asked = tokenizer.encode(prompt.template.format(instruction=prompt.instructions.transcribe))
    if asked.count(audio_id) != 1:
        raise RecipeError(f"the prompt's template must have one {_AUDIO_TOKEN}")
    return {"audio_token_id": audio_id, "end_of_text_id": end_id}
