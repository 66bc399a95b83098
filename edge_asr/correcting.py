"""Numerals and correction rules at work: each new text is read once; a change is a new version.

The version of the recognizer stays as it was. What a step made of it names that step in the place
of a bundle, by its SHA-256, and the version that it was made from. A second pass is corrected too:
the rules have the last word, but for a person's.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from edge_asr.recognize import Recognized
from edge_asr.records import HUMAN
from edge_asr.second_pass import Added
from edge_asr.store.passes import Pass
from edge_asr.word_times import words_moved

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.recognize import RecognizeEvent
    from edge_asr.records import Transcript, Utterance
    from edge_asr.rewriting import Rewriting, Step
    from edge_asr.store import Store


class Correcting:
    """Corrects what a recognizing loop adds.

    Args:
        store: where versions go.
        rewriting: the steps.
        observe: is told of everything that happened, and of corrections.
    """

    def __init__(
        self, store: Store, rewriting: Rewriting, observe: Callable[[RecognizeEvent], None]
    ) -> None:
        self._store = store
        self._rewriting = rewriting
        self._observe = observe

    def observe(self, event: RecognizeEvent) -> None:
        """Tell of an event, and correct the text that it brought.

        Raises:
            StoreError: the disk refuses.
        """
        self._observe(event)
        if isinstance(event, Recognized | Added):
            self._correct(event.utterance, event.transcript)

    def settle(self) -> None:
        """Correct the last text, in case that whoever added it died before.

        Raises:
            StoreError: the disk refuses.
        """
        for entry in self._store.log.last(1):
            self._correct(entry.utterance, entry.transcript)

    def _correct(self, utterance: Utterance, found: Transcript) -> None:
        if not found.is_shown or found.bundle == HUMAN:
            return
        for step in self._rewriting.after(found.bundle):
            found = self._take(step, utterance, found) or found

    def _take(self, step: Step, utterance: Utterance, found: Transcript) -> Transcript | None:
        """Add the version that a step makes of another; None where it changes nothing."""
        heard = found.recognition
        text = step.apply(heard.text, heard.language)
        if text == heard.text:
            return None
        corrected = replace(
            heard,
            text=text,
            decode_s=0.0,
            avg_logprob=None,  # the model's word on its own text, not on this
            ctc_max_entropy=None,
            words=words_moved(text, heard.words),
        )
        added = self._store.transcripts.add_of_pass(
            utterance.utterance_id,
            corrected,
            Pass(step.name, step.sha256, step.sha256, reads_text=True),
            parent_version=found.version,
            is_shown=True,
            created_utc_ns=time.time_ns(),
        )
        if added is not None:
            self._observe(Added(utterance, added))
        return added
