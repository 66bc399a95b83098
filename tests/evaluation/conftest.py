"""Clips and what systems made of them, without a model."""

from pathlib import Path

import pytest

from edge_asr.evaluation.clips import Clip
from edge_asr.evaluation.measuring import score
from edge_asr.evaluation.systems import Heard


def clip(said, name="a", language="en", **fields):
    return Clip(Path(f"{name}.flac"), f"corpus/{name}", language, said, 2.0, **fields)


def heard(text, **fields):
    return Heard(text, fields.pop("language", "en"), fields.pop("decode_s", 0.5), **fields)


@pytest.fixture
def scored():
    """Return a function that scores one text against what was said."""

    def make(said, text, system="ours", name="a", language="en", tags=(), keywords=(), **fields):
        said_in = clip(said, name, language, tags=tags, keywords=keywords)
        return score(system, said_in, heard(text, **fields))

    return make
