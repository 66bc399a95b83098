"""Sound with what is said in it: which clips are heard, repeatably.

Two layouts are read: a ``manifest.jsonl`` with one object a line (``path``, ``language``, ``text``,
and where known ``id``, ``duration_s``, ``tags``, ``keywords``, ``strict``), and LibriSpeech's
folders, where ``SPEAKER-CHAPTER.trans.txt`` holds the texts of the FLAC files beside it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from pathlib import Path  # noqa: TC003 (msgspec reads it, of results)
from typing import TYPE_CHECKING

import msgspec

from edge_asr.audio import open_sound_file
from edge_asr.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MANIFEST = "manifest.jsonl"
_TRANSCRIPTS = "*.trans.txt"


class _Line(msgspec.Struct, frozen=True):
    """One line of a manifest; other fields are ignored."""

    path: str
    language: str
    text: str
    id: str = ""
    duration_s: float | None = None
    tags: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    strict: bool | None = None
    translations: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Clip:
    """One sound file and what is said in it."""

    path: Path
    clip_id: str
    """Unique in its collection: ``corpus/name``."""
    language: str
    """ISO 639-1; ``none`` where nobody speaks."""
    text: str
    """What is said; empty where nobody speaks."""
    duration_s: float
    tags: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    """Words of the text that matter, such as names."""
    is_strict: bool | None = None
    """Whether a person wrote the text and no recognizer touched it; None where nobody says."""
    translations: dict[str, str] = field(default_factory=dict)
    """ISO 639-1 of other languages -> what is said, in that language, by a person."""

    @property
    def corpus(self) -> str:
        """Where it comes from: the first part of its id; empty where that has one part only."""
        return self.clip_id.partition("/")[0] if "/" in self.clip_id else ""

    @property
    def is_speech(self) -> bool:
        """Whether somebody speaks."""
        return bool(self.text.strip())


def read_clips(place: Path) -> list[Clip]:
    """Read the clips of a manifest, of a folder with one, or of LibriSpeech's folders.

    Raises:
        EvaluationError: there are none, or a manifest cannot be read.
        AudioFileError: a sound file that has to be asked for its length cannot be read.
    """
    manifest = place / MANIFEST if place.is_dir() else place
    if place.is_dir() and not manifest.is_file():
        clips = list(_librispeech(place))
        if not clips:
            raise EvaluationError(
                f"{place}: neither a {MANIFEST} nor LibriSpeech's {_TRANSCRIPTS} below it"
            )
        return clips
    try:
        lines = manifest.read_bytes().splitlines()
    except OSError as error:
        raise EvaluationError(f"{manifest}: {error.strerror}") from error
    return [_clip(manifest, n, line) for n, line in enumerate(lines, start=1) if line.strip()]


def _clip(manifest: Path, number: int, line: bytes) -> Clip:
    try:
        found = msgspec.json.decode(line, type=_Line)
    except msgspec.MsgspecError as error:
        raise EvaluationError(f"{manifest}, line {number}: {error}") from error
    path = manifest.parent / found.path
    return Clip(
        path=path,
        clip_id=found.id or found.path,
        language=found.language,
        text=found.text,
        duration_s=_length_s(path) if found.duration_s is None else found.duration_s,
        tags=found.tags,
        keywords=found.keywords,
        is_strict=found.strict,
        translations=found.translations,
    )


def _librispeech(folder: Path) -> Iterator[Clip]:
    """Yield the clips below ``folder``, tagged with the part of the corpus (``dev-clean``)."""
    for transcripts in sorted(folder.rglob(_TRANSCRIPTS)):
        chapter = transcripts.parent
        part = chapter.parent.parent.name or folder.name
        for line in transcripts.read_text(encoding="utf-8").splitlines():
            name, _, text = line.partition(" ")
            if not text.strip():
                continue
            path = chapter / f"{name}.flac"
            yield Clip(
                path,
                f"librispeech/{name}",
                "en",
                text,
                _length_s(path),
                (part,),
                is_strict=True,
            )


def _length_s(path: Path) -> float:
    with open_sound_file(path, block_s=1.0) as file:
        return file.duration_s


def pick_clips(clips: Iterable[Clip], per_language: int) -> list[Clip]:
    """Pick up to ``per_language`` clips of each language, from as many corpora as there are.

    The order within a corpus is that of a hash of the file's name: it looks random and never
    changes.
    """
    groups: dict[str, dict[str, list[Clip]]] = {}
    for clip in sorted(clips, key=_shuffled):
        groups.setdefault(clip.language, {}).setdefault(clip.corpus, []).append(clip)
    picked: list[Clip] = []
    for _, corpora in sorted(groups.items()):
        rounds = zip_longest(*(corpora[name] for name in sorted(corpora)))
        turns = (clip for clip in chain.from_iterable(rounds) if clip is not None)
        picked += [clip for clip, _ in zip(turns, range(per_language), strict=False)]
    return picked


def _shuffled(clip: Clip) -> str:
    return hashlib.sha256(clip.path.name.encode()).hexdigest()
