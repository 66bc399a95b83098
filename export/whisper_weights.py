"""A Transformers checkpoint of a Whisper's weights, whatever form they come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.source import fetch
from export.steps import code_sha256, digest, make_once, versions

if TYPE_CHECKING:
    from pathlib import Path

    from export.progress import Reporter
    from export.source import Weights


def whisper_checkpoint(weights: Weights, workshop: Path, reporter: Reporter) -> Path:
    """Fetch the weights, and convert them if need be.

    Args:
        weights: which.
        workshop: folder for what is made.
        reporter: is told the steps.

    Raises:
        SourceError: they cannot be had, are not what is pinned, or are no Whisper.
    """
    fetched, checkpoint = workshop / "source", workshop / "checkpoint"
    with reporter.step("fetch and verify the weights"):
        make_once(fetched, weights.key, lambda part: fetch(weights, part))
    if weights.is_checkpoint:
        return fetched
    key = digest(weights.key, code_sha256("whisper"), versions())
    with reporter.step("convert them to a Transformers checkpoint"):
        from export.whisper_checkpoint import convert_ctranslate2

        make_once(checkpoint, key, lambda part: convert_ctranslate2(fetched, part))
    return checkpoint
