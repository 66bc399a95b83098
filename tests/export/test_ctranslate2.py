"""The model.bin reader: what it reads, and what it refuses."""

import contextlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export.ctranslate2 import read_model
from export.errors import SourceError
from tests.export.conftest import model_bin

pytestmark = pytest.mark.export

TENSORS = {
    "encoder/weight": np.arange(6, dtype=np.float16).reshape(2, 3),
    "encoder/num_heads": np.array(4, dtype=np.int16),
    "encoder/bias": np.array([1.5, -2.0], dtype=np.float32),
}


def _read(tmp_path, raw):
    path = tmp_path / "model.bin"
    path.write_bytes(raw)
    return read_model(path)


def test_it_reads_names_shapes_types_and_aliases(tmp_path):
    model = _read(tmp_path, model_bin(TENSORS, [("decoder/weight", "encoder/weight")]))

    assert (model.spec, model.revision) == ("WhisperSpec", 3)
    assert list(model.tensors) == [*TENSORS, "decoder/weight"]
    for name, tensor in TENSORS.items():
        assert model.tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(model.tensors[name], tensor)
    np.testing.assert_array_equal(model.tensors["decoder/weight"], TENSORS["encoder/weight"])


def test_a_file_cut_anywhere_is_refused(tmp_path):
    raw = model_bin(TENSORS, [("alias", "encoder/bias")])

    for length in range(len(raw)):
        with pytest.raises(SourceError, match=r"too early|claims"):
            _read(tmp_path, raw[:length])


def test_bytes_after_the_end_are_refused(tmp_path):
    with pytest.raises(SourceError, match="1 bytes follow its end"):
        _read(tmp_path, model_bin(TENSORS) + b"\0")


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (model_bin(TENSORS, version=5), "its version is 5"),
        (model_bin({}, n_tensors=2**32 - 1), "claims 4294967295 tensors"),
        (model_bin({}, n_tensors=3), "too early|not terminated|claims"),
        (model_bin({}, [("alias", "nothing")]), "stands for nothing"),
        (model_bin(TENSORS, [("encoder/bias", "encoder/weight")]), "is there twice"),
    ],
)
def test_what_a_file_claims_is_not_believed(tmp_path, raw, complaint):
    with pytest.raises(SourceError, match=complaint):
        _read(tmp_path, raw)


def test_a_shape_that_does_not_fit_its_bytes_is_refused(tmp_path):
    raw = bytearray(model_bin({"w": np.zeros(4, dtype=np.float32)}))
    at = raw.index(b"w\0") + 3
    raw[at : at + 4] = b"\xff\xff\xff\xff"

    with pytest.raises(SourceError, match="w has 16 bytes for the shape"):
        _read(tmp_path, bytes(raw))


def test_an_unknown_type_is_refused(tmp_path):
    raw = bytearray(model_bin({"w": np.zeros(4, dtype=np.float32)}))
    raw[raw.index(b"w\0") + 7] = 5

    with pytest.raises(SourceError, match="unknown type 5"):
        _read(tmp_path, bytes(raw))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 120), value=st.integers(0, 255))
def test_one_altered_byte_is_read_or_refused_never_worse(tmp_path, position, value):
    raw = bytearray(model_bin(TENSORS, [("alias", "encoder/bias")]))
    raw[position % len(raw)] = value
    with contextlib.suppress(SourceError):
        _read(tmp_path, bytes(raw))


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(SourceError, match="No such file"):
        read_model(tmp_path / "model.bin")
