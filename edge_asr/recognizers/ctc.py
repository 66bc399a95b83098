"""Reads the CTC head of Granite Speech's encoder: characters every 20 ms, before any decoder ran.

Labels below 256 are Unicode code points (Latin-1: all letters of English, French, German, Spanish
and Portuguese), the rest katakana, in which the head writes Japanese as it sounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    from edge_asr.recognizers.decoding import Array

CtcLogits = np.ndarray[tuple[int, int], np.dtype[np.float32]]
"""float32, shape ``(n_frames, n_labels)``, frames of 20 ms."""


class CtcLabels(msgspec.Struct, frozen=True):
    """Which label is which character: the ``ctc`` section of a bundle's manifest."""

    blank: int
    latin_labels: int
    """Labels below this are code points."""
    katakana_first: int
    """Code point of the first label that is not."""

    def character(self, label: int) -> str:
        """Return a label's character; for the blank and for what cannot be shown, nothing."""
        if label == self.blank:
            return ""
        in_latin = label < self.latin_labels
        code = label if in_latin else self.katakana_first + label - self.latin_labels
        character = chr(code)
        return character if character.isprintable() else ""

    def label(self, character: str, n_labels: int) -> int | None:
        """Return a character's label, or None if it has none among ``n_labels``."""
        code = ord(character)
        if code < self.latin_labels:
            return code if self.character(code) else None
        label = code - self.katakana_first + self.latin_labels
        return label if self.latin_labels <= label < n_labels else None


@dataclass(frozen=True, slots=True)
class CtcReading:
    """What the CTC head says of a clip."""

    text: str
    """Lower case, without punctuation; Japanese in katakana. Empty where it heard no speech."""
    entropies: Array
    """Of each frame's labels, in nats, shape ``(n_frames,)``: 0 is certain."""
    blank_share: float
    """Share of frames whose best label is the blank; 1 for a clip without frames."""

    @property
    def has_katakana(self) -> bool:
        """Whether it is Japanese, which is written here as it sounds."""
        return any("\u30a0" <= each <= "\u30ff" for each in self.text)

    @property
    def max_entropy(self) -> float | None:
        """The entropy of the frame where the head was least certain; None without frames."""
        return float(self.entropies.max()) if len(self.entropies) else None


def read_ctc(logits: CtcLogits, labels: CtcLabels) -> CtcReading:
    """Take the best label of each frame; repeats are one, blanks none."""
    best = logits.argmax(axis=1)
    starts = np.flatnonzero(np.diff(best, prepend=-1))
    characters = [labels.character(int(label)) for label in best[starts]]
    log_probs = log_softmax(logits)
    return CtcReading(
        text=" ".join("".join(characters).split()),
        entropies=-(np.exp(log_probs) * log_probs).sum(axis=1),
        blank_share=float((best == labels.blank).mean()) if len(best) else 1.0,
    )


def log_softmax(logits: CtcLogits) -> CtcLogits:
    """Return the natural log-probabilities of each row."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probs: CtcLogits = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return log_probs
