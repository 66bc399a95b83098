"""Reads a Granite Speech checkpoint, a part at a time.

The real one has 2.3 billion weights: 4.6 GB in bfloat16, 9.3 GB in float32. Its files are mapped
into memory, never read whole, and only the part that is being exported becomes float32:

1. Transformers' model is made without memory ("meta"); the weights of one part are put into it.
2. The part's graph takes the weights over matrix by matrix (:mod:`export.granite_products`), in
   the layout in which ONNX stores them, so that the exporter makes no copies of its own.
3. The graph's weights move to nameless files that are mapped (``move_to_disk`` there).
4. The part is exported, and let go before the next one.

What remains in memory is one copy: first the weights that were read, later those that Optimum
gathers into one file for a graph beyond 2 GB, or those that onnxruntime loads to validate it.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from transformers import GraniteSpeechConfig, GraniteSpeechForConditionalGeneration
from transformers.utils import is_peft_available
from transformers.utils import logging as transformers_logging

from export.errors import SourceError
from export.granite_lora import read_adapter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_EMBEDDING = "language_model.model.embed_tokens.weight"
_HEAD = "language_model.lm_head.weight"
_ROWS_AT_ONCE = 4096


class Part(Enum):
    """A part of the model, by how its weights' names begin."""

    ENCODER = ("encoder.", "projector.")
    DECODER = ("language_model.",)


def read_config(checkpoint: Path) -> dict[str, Any]:
    """Return the checkpoint's ``config.json``, with Transformers' defaults where it says nothing.

    Raises:
        SourceError: it is missing, or not that of a Granite Speech that can be exported.
    """
    path = checkpoint / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be read ({error})") from error
    if config.get("model_type") != "granite_speech":
        raise SourceError(
            f"{checkpoint}: a {config.get('model_type')}, not a Granite Speech checkpoint",
        )
    complete: dict[str, Any] = GraniteSpeechConfig.from_dict(config).to_dict()
    return complete


def load_part(
    checkpoint: Path, part: Part, *, for_speech: bool = True
) -> GraniteSpeechForConditionalGeneration:
    """Load a part of the model in float32; the rest has no weights.

    Args:
        checkpoint: its folder.
        part: which one.
        for_speech: merge the checkpoint's LoRA adapter, if it has one, into the language model.
            Without it, that is the model for text that the speech model was made from.

    Raises:
        SourceError: the checkpoint is none, is damaged, or lacks weights.
    """
    read_config(checkpoint)
    config = GraniteSpeechConfig.from_pretrained(checkpoint, local_files_only=True)
    with torch.device("meta"):
        model = GraniteSpeechForConditionalGeneration(config).eval()
    state = _state(checkpoint, part, adapted=for_speech and config.has_lora_adapter)
    if part is Part.DECODER:
        if config.text_config.tie_word_embeddings and _EMBEDDING in state:
            state[_HEAD] = state[_EMBEDDING]
        # It is computed, not stored.
        rotary = model.language_model.model.rotary_emb
        model.language_model.model.rotary_emb = type(rotary)(config.text_config)
        state.pop(_EMBEDDING, None)  # the bundle has it as a table, the graph has not
    wanted = {name for name in model.state_dict() if name.startswith(part.value)} - {_EMBEDDING}
    if missing := sorted(wanted - state.keys()):
        raise SourceError(
            f"{checkpoint}: {len(missing)} weights are missing, the first is {missing[0]}; "
            "download the checkpoint again",
        )
    try:
        model.load_state_dict(state, strict=False, assign=True)
    except RuntimeError as error:
        raise SourceError(f"{checkpoint}: its weights do not fit its config: {error}") from error
    return model


def _state(checkpoint: Path, part: Part, *, adapted: bool) -> dict[str, torch.Tensor]:
    """Return a part's weights in float32, each with what the adapter adds to it."""
    weights = _weights(checkpoint, part.value)
    if part is not Part.DECODER or not adapted:
        return {name: weight.float() for name, weight in weights}
    adapter = read_adapter(checkpoint)
    state = {name: adapter.merged(name, weight.float()) for name, weight in weights}
    adapter.check_all_merged(set(state))
    return state


def load_whole(checkpoint: Path) -> GraniteSpeechForConditionalGeneration:
    """Load the whole model in float32, as Transformers runs it: with an adapter, PEFT's on top.

    Raises:
        SourceError: the folder holds no Granite Speech that can be exported.
    """
    if read_config(checkpoint)["has_lora_adapter"]:
        read_adapter(checkpoint)  # without one, Transformers would go on and understand nothing
        if not is_peft_available():
            raise SourceError(
                f"{checkpoint}: Transformers needs PEFT for its adapter; install the group `export`"
            )
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    return GraniteSpeechForConditionalGeneration.from_pretrained(
        checkpoint,
        dtype=torch.float32,
        local_files_only=True,
    ).eval()


def write_embedding(checkpoint: Path, path: Path) -> dict[str, Any]:
    """Write the token embedding as raw little-endian float16, row by row.

    Returns:
        What the manifest says of it: whether every value survived exactly, and how far the worst
        one is off (bfloat16 reaches closer to zero than float16 does).

    Raises:
        SourceError: it is missing, or has values that float16 cannot hold.
    """
    largest = 0.0
    with path.open("wb") as file:
        for rows in _embedding_rows(checkpoint):
            full = rows.float().numpy()
            with np.errstate(over="ignore"):
                half = full.astype("<f2")
            largest = max(largest, float(np.abs(half.astype(np.float32) - full).max()))
            file.write(half.tobytes())
    if not np.isfinite(largest):
        raise SourceError(f"{checkpoint}: its token embedding has values beyond float16")
    if largest == 0.0:
        return {"embedding": "float16, lossless"}
    return {"embedding": "float16, rounded", "embedding_largest_error": largest}


def _embedding_rows(checkpoint: Path) -> Iterator[torch.Tensor]:
    for file in _files(checkpoint):
        with _open(file) as tensors:
            if _EMBEDDING in tensors.keys():  # noqa: SIM118 (it is no dict)
                table = tensors.get_slice(_EMBEDDING)
                for start in range(0, table.get_shape()[0], _ROWS_AT_ONCE):
                    yield table[start : start + _ROWS_AT_ONCE]
                return
    raise SourceError(f"{checkpoint}: it has no token embedding ({_EMBEDDING})")


def _weights(checkpoint: Path, prefixes: tuple[str, ...]) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the weights whose name begins with one of ``prefixes``, mapped from their files."""
    for file in _files(checkpoint):
        with _open(file) as tensors:
            for name in tensors.keys():  # noqa: SIM118 (it is no dict)
                if name.startswith(prefixes):
                    yield name, tensors.get_tensor(name)


def _files(checkpoint: Path) -> list[Path]:
    files = sorted(checkpoint.glob("*.safetensors"))
    if not files:
        raise SourceError(f"{checkpoint}: no .safetensors file; Granite is exported from these")
    return files


def _open(file: Path) -> Any:  # noqa: ANN401 (the library is untyped)
    try:
        return safe_open(file, framework="pt")
    except (OSError, SafetensorError) as error:
        raise SourceError(f"{file}: cannot be read ({error}); download it again") from error
