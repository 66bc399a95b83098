"""Corrections: what a person wrote in the place of what a model had heard.

A correction is a version like the others, whose bundle is :data:`~edge_asr.records.HUMAN`, and it
stands for its utterance until a person corrects that one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.errors import CorrectionError
from edge_asr.records import HUMAN, Recognition, Task, Transcript
from edge_asr.store.rows import TRANSCRIPT_COLUMNS, transcript_from
from edge_asr.store.versions import insert, is_redacted, last_version, standing
from edge_asr.word_times import words_moved

if TYPE_CHECKING:
    from edge_asr.store.database import Database

UNDETERMINED = "und"


class Corrections:
    """Adds versions that a person wrote."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, utterance_id: int, text: str, *, parent_version: int | None, created_utc_ns: int
    ) -> Transcript:
        """Add a correction. It is safe when this returns.

        Args:
            utterance_id: whose words they are.
            text: what was said, as a person hears it.
            parent_version: the version that the person saw; None: there was none.
            created_utc_ns: when it was written.

        Raises:
            CorrectionError: the utterance is redacted, another version stands for it by now, or
                the text is the one that stands.
            StoreError: the disk refuses, or there is no such utterance.
        """
        with self._database.transaction():
            if is_redacted(self._database, utterance_id):
                raise CorrectionError(f"utterance {utterance_id} was redacted; it gets no new text")
            parent = self._standing(utterance_id)
            found = None if parent is None else parent.version
            if found != parent_version:
                raise CorrectionError(
                    f"version {found} stands for utterance {utterance_id} by now, "
                    f"not {parent_version}; read it and correct that one"
                )
            if parent is not None and parent.recognition.text == text:
                raise CorrectionError("the text is the same; nothing was corrected")
            correction = Transcript(
                utterance_id,
                last_version(self._database, utterance_id) + 1,
                _written(text, parent),
                HUMAN,
                "",
                created_utc_ns,
                parent_version=parent_version,
            )
            insert(self._database, correction)
        return correction

    def _standing(self, utterance_id: int) -> Transcript | None:
        rows = self._database.rows(
            f"SELECT {TRANSCRIPT_COLUMNS} FROM transcripts t WHERE t.utterance_id = ?",
            (utterance_id,),
        )
        return standing([transcript_from(row) for row in rows])


def _written(text: str, parent: Transcript | None) -> Recognition:
    if parent is None:
        return Recognition(text, UNDETERMINED, None, Task.TRANSCRIBE, 0.0, None)
    heard = parent.recognition
    words = words_moved(text, heard.words)
    return Recognition(text, heard.language, None, heard.task, 0.0, None, words=words)
