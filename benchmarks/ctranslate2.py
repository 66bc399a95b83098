"""A CTranslate2 Whisper model, complete enough for faster-whisper."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

_TIMESTAMPS = [f"<|{index * 0.02:.2f}|>" for index in range(1501)]


def complete_model(model: Path, folder: Path) -> Path:
    """Return a model's folder, with the vocabulary that the tokenizer has where it lacks one.

    Args:
        model: the folder.
        folder: an empty one, for links to the files of the other and what it lacks.
    """
    if any(model.glob("vocabulary.*")):
        return model
    for file in model.iterdir():
        (folder / file.name).symlink_to(file.resolve())
    vocab = Tokenizer.from_file(str(model / "tokenizer.json")).get_vocab()
    tokens = sorted(vocab, key=vocab.__getitem__)
    if _TIMESTAMPS[0] not in vocab:  # they are the last of the model's
        tokens += _TIMESTAMPS
    (folder / "vocabulary.json").write_text(json.dumps(tokens), encoding="utf-8")
    return folder
