"""How fast text is made of sound lately."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.records import SAMPLE_RATE

if TYPE_CHECKING:
    from edge_asr.store.database import Database

N_RECENT = 20
"""Transcripts that tell the pace: enough to even out short and long utterances."""


def recent_rtf(database: Database) -> float | None:
    """Return the real-time factor of the last transcripts, decode time over audio time, or None."""
    row = database.row(
        "SELECT total(decode_s), total(n_samples) FROM (SELECT t.decode_s, u.n_samples"
        " FROM transcripts t JOIN utterances u ON u.id = t.utterance_id"
        " ORDER BY t.id DESC LIMIT ?)",
        (N_RECENT,),
    )
    decode_s, n_samples = row or (0.0, 0)
    return float(decode_s * SAMPLE_RATE / n_samples) if n_samples else None
