"""Correction rules at work: each new text is read once, and what they change is a new version.

The version of the recognizer stays as it was. What the rules made of it names them in the place of
a bundle, by their SHA-256, and the version that it was made from. A second pass is corrected too:
the rules have the last word, but for a person's.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from edge_asr.recognize import Recognized
from edge_asr.records import HUMAN
from edge_asr.rules import RULES
from edge_asr.second_pass import Added
from edge_asr.store.corrections import words_moved
from edge_asr.store.passes import Pass

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.recognize import RecognizeEvent
    from edge_asr.records import Transcript, Utterance
    from edge_asr.rules import Rules
    from edge_asr.store import Store


class Correcting:
    """Corrects what a recognizing loop adds.

    Args:
        store: where versions go.
        rules: the corrections.
        observe: is told of everything that happened, and of corrections.
    """

    def __init__(
        self, store: Store, rules: Rules, observe: Callable[[RecognizeEvent], None]
    ) -> None:
        self._store = store
        self._rules = rules
        self._observe = observe
        self._pass = Pass(RULES, rules.sha256, rules.sha256, reads_text=True)

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
        heard = found.recognition
        text = self._rules.apply(heard.text, heard.language)
        if text == heard.text or not found.is_shown or found.bundle in {HUMAN, RULES}:
            return
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
            self._pass,
            parent_version=found.version,
            is_shown=True,
            created_utc_ns=time.time_ns(),
        )
        if added is not None:
            self._observe(Added(utterance, added))
