"""Which bundle suits a machine, in a word and a sentence."""

import pytest

from edge_asr.fit import MachineMemory, Verdict, judge, machine_memory, memory_needed
from edge_asr.manifest import FileEntry
from tests.manifests import manifest_of

GB = 10**9
BOARD = MachineMemory(total=4 * GB, available=3 * GB)


@pytest.mark.parametrize(
    ("rtf", "verdict", "sentence"),
    [
        (0.2, Verdict.LIVE, "it keeps up: a minute of speech takes 12 s (RTF 0.20), and about"),
        (0.9, Verdict.BARELY, "it keeps up, with little to spare: a minute of speech takes 54 s"),
        (4.0, Verdict.LATER, "it falls behind while people speak: a minute of speech takes 4 min"),
        (7.0, Verdict.HOPELESS, "it would not get through 4 hours of speech in a day: a minute"),
        (None, Verdict.UNKNOWN, "it takes about 1000 MB of memory; how fast it is here was not"),
    ],
)
def test_the_pace_decides_where_there_is_room(rtf, verdict, sentence):
    found = judge(GB, BOARD, rtf)
    assert found.verdict is verdict
    assert found.sentence.startswith(sentence)


def test_no_pace_helps_where_there_is_no_room():
    found = judge(5 * GB, BOARD, 0.1)
    assert found.verdict is Verdict.HOPELESS
    assert "5000 MB of memory, and this machine has 4000 MB" in found.sentence


def test_a_prepared_bundle_takes_less_and_its_embeddings_are_not_in_memory():
    sizes = {"decoder.onnx": 5 * 10**6, "decoder.onnx_data": 2 * GB, "embed_tokens.f16": GB}
    files = {name: FileEntry(size, "0") for name, size in sizes.items()}
    manifest = manifest_of(family="granite", files=files)
    assert memory_needed(manifest, is_prepared=False) > 6 * GB
    assert 2.2 * GB < memory_needed(manifest, is_prepared=True) < 2.7 * GB


def test_memory_is_what_the_kernel_says(tmp_path):
    path = tmp_path / "meminfo"
    path.write_text(
        "MemTotal:        4000 kB\nMemFree:  1 kB\nMemAvailable:  3000 kB\nHugePages_Total:  0\n",
        encoding="ascii",
    )
    assert machine_memory(path) == MachineMemory(4000 << 10, 3000 << 10)
    assert machine_memory().total > machine_memory().available > 0
