"""Who spoke when: vectors become labels, and segments of a file get them."""

import numpy as np
import pytest
import soundfile

from edge_asr.formats import FileTranscript, Segment
from edge_asr.records import SAMPLE_RATE
from edge_asr.speakers import MOST_CLUSTERED, cluster, label


def voices(speakers, spread=0.1, n=64, seed=3):
    """Return vectors of length 1 that are near each other where the speaker is the same."""
    rng = np.random.default_rng(seed)
    centres = np.linalg.qr(rng.standard_normal((n, max(speakers) + 1)))[0].T
    noise = spread * rng.standard_normal((len(speakers), n)) / np.sqrt(n)
    vectors = centres[speakers] + noise
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("spoken", [[0], [0, 0, 0], [0, 1, 0, 1], [2, 0, 1, 2, 2, 1, 0, 3]])
def test_each_voice_gets_a_number_in_the_order_in_which_it_first_speaks(spoken):
    seen = {}
    wanted = [seen.setdefault(speaker, len(seen)) for speaker in spoken]

    assert cluster(voices(spoken), [3.0] * len(spoken)) == wanted


def test_whoever_knows_how_many_there_are_gets_so_many():
    alike = voices([0, 0, 1, 1], spread=0.3)

    assert len(set(cluster(alike, [3.0] * 4, n_speakers=1))) == 1
    assert cluster(alike, [3.0] * 4, n_speakers=2) == [0, 0, 1, 1]
    assert len(set(cluster(alike, [3.0] * 4, n_speakers=9))) == 4


def test_whoever_asks_for_another_threshold_gets_it():
    alike = voices([0, 0, 1, 1], spread=0.3)
    assert cluster(alike, [3.0] * 4) == [0, 0, 1, 1]

    assert cluster(alike, [3.0] * 4, threshold=-1.0) == [0, 0, 0, 0]
    assert cluster(alike, [3.0] * 4, threshold=1.1) == [0, 1, 2, 3]


def test_a_short_segment_joins_a_speaker_and_makes_none():
    vectors = voices([0, 1, 2, 0])

    assert cluster(vectors, [3.0, 3.0, 0.5, 3.0])[2] in {0, 1}
    assert cluster(vectors, [3.0, 3.0, 3.0, 3.0])[2] == 2


def test_a_long_file_is_told_apart_without_comparing_all_with_all():
    spoken = [0, 1] * MOST_CLUSTERED

    assert cluster(voices(spoken), [3.0] * len(spoken)) == spoken


class Pitch:
    """Takes the sign of the sound for its voice."""

    def embed(self, waveform):
        assert len(waveform) > SAMPLE_RATE
        is_high = waveform.mean() > 0
        return np.array([is_high, not is_high], np.float32)


def test_each_segment_of_a_file_is_heard_where_it_is(tmp_path):
    signs = np.array([1, -1, 1, 1, -1])
    sound = np.repeat(0.1 * signs, 3 * SAMPLE_RATE).astype(np.float32)
    soundfile.write(tmp_path / "a.flac", sound, SAMPLE_RATE)
    segments = tuple(
        Segment(3.0 * i + 0.2, 3.0 * i + 2.8, "" if i == 3 else "words") for i in range(5)
    )
    found = FileTranscript("a.flac", "en", 15.0, 0.1, segments)

    labelled = label(tmp_path / "a.flac", found, Pitch())

    assert [each.speaker for each in labelled.segments] == ["S1", "S2", "S1", None, "S2"]
    as_one = label(tmp_path / "a.flac", found, Pitch(), threshold=-1.0).segments
    assert {each.speaker for each in as_one} == {"S1", None}
    silent = FileTranscript("a.flac", None, 15.0, 0.1, ())
    assert label(tmp_path / "gone.flac", silent, Pitch()) == silent
