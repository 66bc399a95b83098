"""Whisper's special tokens, read from a ``tokenizer.json``."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from export.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

_LANGUAGE = re.compile(r"<\|([a-z]{2,3})\|>")
_NO_SPEECH = ("<|nospeech|>", "<|nocaptions|>")
"""The token for 'no speech here' was renamed between releases."""
_FIRST_MERGE = "Ġ t"
"""A space and a t."""
_MULTILINGUAL_VOCAB_SIZE = 51865
"""The smallest vocabulary of a multilingual Whisper: OpenAI's own rule to tell them apart.

English-only vocabularies list the tokens of languages and tasks too; their models never saw them.
"""


@dataclass(frozen=True, slots=True)
class WhisperTokens:
    """Ids of the tokens that steer Whisper."""

    start_of_transcript: int
    end_of_text: int
    transcribe: int
    translate: int
    start_of_previous: int
    no_timestamps: int
    no_speech: int
    languages: dict[str, int]
    """Whisper's language code -> id, in the order of the vocabulary."""

    @property
    def timestamp_begin(self) -> int:
        """Id of ``<|0.00|>``, which not every tokenizer lists."""
        return self.no_timestamps + 1

    def config_ids(self) -> dict[str, int]:
        """Return the ids a Transformers model configuration names."""
        return {
            "bos_token_id": self.end_of_text,
            "eos_token_id": self.end_of_text,
            "pad_token_id": self.end_of_text,
            "decoder_start_token_id": self.start_of_transcript,
        }


def read_tokens(tokenizer: Path) -> WhisperTokens:
    """Read the special tokens of a ``tokenizer.json``.

    Raises:
        SourceError: it is not a Whisper tokenizer.
    """
    try:
        listed = json.loads(tokenizer.read_text(encoding="utf-8"))["added_tokens"]
        ids: dict[str, int] = {entry["content"]: int(entry["id"]) for entry in listed}
        return WhisperTokens(
            start_of_transcript=ids["<|startoftranscript|>"],
            end_of_text=ids["<|endoftext|>"],
            transcribe=ids["<|transcribe|>"],
            translate=ids["<|translate|>"],
            start_of_previous=ids["<|startofprev|>"],
            no_timestamps=ids["<|notimestamps|>"],
            no_speech=next(ids[name] for name in _NO_SPEECH if name in ids),
            languages=_languages(ids),
        )
    except OSError as error:
        raise SourceError(f"{tokenizer}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise SourceError(f"{tokenizer}: not a Whisper tokenizer ({error!r})") from error


def mended(tokenizer: str) -> str:
    """Return the content of a ``tokenizer.json`` with its first merge, should that be missing.

    Some converted Whispers lost it, taken for the heading that older files had: with them no word
    that begins with a t is encoded as the model writes it.
    """
    content = json.loads(tokenizer)
    merges = content["model"]["merges"]
    if not merges or _FIRST_MERGE in merges or _FIRST_MERGE.split() in merges:
        return tokenizer
    if _FIRST_MERGE.replace(" ", "") not in content["model"]["vocab"]:
        return tokenizer
    merges.insert(0, _FIRST_MERGE if isinstance(merges[0], str) else _FIRST_MERGE.split())
    return json.dumps(content, ensure_ascii=False, indent=2)


def _languages(ids: dict[str, int]) -> dict[str, int]:
    matches = ((_LANGUAGE.fullmatch(content), number) for content, number in ids.items())
    found = {match[1]: number for match, number in matches if match}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def is_multilingual(vocab_size: int) -> bool:
    """Return whether a Whisper with this vocabulary was trained on languages and tasks."""
    return vocab_size >= _MULTILINGUAL_VOCAB_SIZE


def generation_settings(
    tokens: WhisperTokens,
    *,
    multilingual: bool,
    n_text_ctx: int,
    suppress: list[int],
    begin_suppress: list[int],
    alignment_heads: list[list[int]],
) -> dict[str, Any]:
    """Return what Transformers keeps in ``generation_config.json``."""
    settings: dict[str, Any] = {
        **tokens.config_ids(),
        "max_length": n_text_ctx,
        "suppress_tokens": sorted(suppress),
        "begin_suppress_tokens": sorted(begin_suppress),
        "alignment_heads": alignment_heads,
        "no_timestamps_token_id": tokens.no_timestamps,
        "prev_sot_token_id": tokens.start_of_previous,
        "is_multilingual": multilingual,
        "return_timestamps": False,
    }
    if multilingual:
        settings["lang_to_id"] = {f"<|{code}|>": id_ for code, id_ in tokens.languages.items()}
        settings["task_to_id"] = {
            "transcribe": tokens.transcribe,
            "translate": tokens.translate,
        }
    return settings
