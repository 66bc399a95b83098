"""The checkpoint of a text model: a folder as it is, or a GGUF file read by Transformers.

Transformers' GGUF reader gives weights and configuration rightly, the tokenizer nearly: it splits
no digits off and decodes as SentencePiece does. Both are set right here for the kinds of tokenizer
that were reviewed; others are refused.
"""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from typing import TYPE_CHECKING, Any

from export.errors import SourceError
from export.optimum_log import collected_complaints

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedTokenizerBase

_SUFFIX = ".gguf"


def find_gguf(folder: Path) -> Path | None:
    """Return the GGUF file in a folder, if there is one."""
    return next(iter(sorted(folder.glob(f"*{_SUFFIX}"))), None)


def convert_gguf(file: Path, target: Path) -> None:
    """Write the Transformers checkpoint of a GGUF file: float32 weights and a fast tokenizer.

    Raises:
        SourceError: its tokenizer is of a kind that was not reviewed.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    # The reader draws a progress bar wherever stderr leads.
    with collected_complaints(), redirect_stderr(io.StringIO()):
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        _set_right(tokenizer, _field(file, "tokenizer.ggml.pre"), file)
        tokenizer.save_pretrained(target)
        model = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32
        )
        model.save_pretrained(target)


def _field(file: Path, name: str) -> str:
    import gguf

    field = gguf.GGUFReader(file).fields.get(name)
    return "" if field is None else str(field.contents())


def _set_right(tokenizer: PreTrainedTokenizerBase, kind: str, file: Path) -> None:
    from tokenizers import decoders, pre_tokenizers

    known: dict[str, list[Any]] = {
        "smollm": [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ],
    }
    if kind not in known:
        raise SourceError(
            f"{file.name}: tokenizers of the kind '{kind}' are not read from GGUF; "
            "name a folder with the Transformers checkpoint by --from",
        )
    backend = tokenizer.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Sequence(known[kind])
    backend.decoder = decoders.ByteLevel()
