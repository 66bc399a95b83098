"""Whatever a manifest says, a bundle leads nowhere outside its folder."""

import copy
import hashlib
import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_asr.bundle import MANIFEST, open_bundle
from edge_asr.errors import BundleError
from edge_asr.prepared import prepared_directory, prepared_graph
from edge_asr.sessions import open_session
from tests.hostile.mutation import HOSTILE, is_one_sentence, mutations_of
from tests.test_bundle import FILES, manifest_of, seal

SECRET = b"what no bundle may reach"
NAMES = st.sampled_from(
    [
        "../secret",
        "../../secret",
        "/etc/hostname",
        "folder/../../secret",
        "folder/model.onnx",
        "./tokenizer.json",
        "..",
        "",
        ".",
        "tokenizer.json/",
        "tokenizer.json\x00.onnx",
        "C:\\secret",
        "..\\secret",
        "~/secret",
        "%2e%2e/secret",
        "file:///etc/hostname",
        "\uff54okenizer.json",
        "a" * 5_000,
    ]
) | st.text(max_size=30)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | NAMES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)


@pytest.fixture
def bundle(tmp_path):
    directory = tmp_path / "bundles" / "tiny"
    directory.mkdir(parents=True, exist_ok=True)
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "bundles" / "secret").write_bytes(SECRET)
    for name, content in FILES.items():
        (directory / name).write_bytes(content)
    return directory


def opened_or_refused(directory):
    """Open a bundle; check that all of it lies within, or that the refusal is a sentence."""
    try:
        opened = open_bundle(directory)
    except BundleError as error:
        is_one_sentence(error)
        return None
    for name in opened.manifest.files:
        path = opened.path(name)
        assert path.resolve().parent == directory.resolve()
        assert path.read_bytes() != SECRET
    return opened


@HOSTILE
@given(name=NAMES)
def test_a_file_of_any_other_name_is_refused(bundle, name):
    digest = hashlib.sha256(SECRET).hexdigest()
    manifest = manifest_of(FILES)
    manifest["files"][name] = {"size": len(SECRET), "sha256": digest}
    seal(bundle, manifest)
    assert opened_or_refused(bundle) is None


@HOSTILE
@given(data=st.data())
def test_a_manifest_with_anything_anywhere_is_a_bundle_or_one_sentence(bundle, data):
    manifest = copy.deepcopy(manifest_of(FILES))
    place = manifest
    while True:
        key = data.draw(st.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    if data.draw(st.booleans()):
        place[key] = data.draw(VALUES)
    else:
        place[data.draw(NAMES)] = place.pop(key)
    seal(bundle, manifest)
    opened_or_refused(bundle)


@HOSTILE
@given(raw=mutations_of(json.dumps(manifest_of(FILES)).encode()))
def test_a_changed_manifest_that_is_sealed_is_a_bundle_or_one_sentence(bundle, raw):
    digest = hashlib.sha256(raw).hexdigest()
    (bundle / MANIFEST).write_bytes(raw)
    (bundle / "manifest.sha256").write_text(f"{digest}  {MANIFEST}\n", encoding="ascii")
    opened_or_refused(bundle)


@HOSTILE
@given(size=st.integers(-(2**63), 2**63))
def test_no_size_in_a_manifest_makes_anything_that_large(bundle, size):
    manifest = manifest_of(FILES)
    manifest["files"]["tokenizer.json"]["size"] = size
    seal(bundle, manifest)
    is_right = size == len(FILES["tokenizer.json"])
    assert (opened_or_refused(bundle) is not None) == is_right


@HOSTILE
@given(raw=mutations_of(b'{"files": {"../../secret": {"size": 24, "sha256": ""}}, "machine": "x"}'))
def test_a_record_of_what_was_prepared_leads_nowhere_else(bundle, raw):
    seal(bundle, manifest_of(FILES))
    whole = open_bundle(bundle)
    directory = prepared_directory(bundle, whole.sha256)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "prepared.json").write_bytes(raw)
    assert prepared_graph(whole, "encoder_model.onnx") is None


def graph_with_data_in(onnx, location, n_bytes):
    """Return a graph that adds a tensor whose content lies elsewhere."""
    tensor = onnx.TensorProto(
        name="w", data_type=1, dims=[n_bytes // 4], data_location=onnx.TensorProto.EXTERNAL
    )
    for key, value in {"location": location, "offset": "0", "length": str(n_bytes)}.items():
        tensor.external_data.add(key=key, value=value)
    shape = ["n"]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [onnx.helper.make_tensor_value_info("x", 1, shape)],
        [onnx.helper.make_tensor_value_info("y", 1, shape)],
        [tensor],
    )
    opsets = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9)
    return model.SerializeToString()


def sealed_with(directory, files):
    for name, content in files.items():
        (directory / name).write_bytes(content)
    everything = {**FILES, **files}
    seal(directory, manifest_of(everything))


DATA = np.arange(6, dtype=np.float32).tobytes()


@pytest.mark.parametrize(
    "location",
    [
        "../outside",
        "../../outside",
        "/dev/..{outside}",
        "{outside}",
        "inside/../../outside",
        "./../outside",
        "/proc/self/environ",
        "/dev/zero",
        "",
        ".",
        "missing",
    ],
)
def test_a_graph_whose_weights_lie_outside_the_bundle_is_refused(bundle, tmp_path, location):
    onnx = pytest.importorskip("onnx")
    for place in (tmp_path, bundle.parent):
        (place / "outside").write_bytes(DATA)
    graph = graph_with_data_in(onnx, location.format(outside=tmp_path / "outside"), len(DATA))
    sealed_with(bundle, {"model.onnx": graph})
    with pytest.raises(BundleError) as caught:
        open_session(open_bundle(bundle), "model.onnx", n_threads=1)
    assert "model.onnx" in str(caught.value)


def test_a_graph_whose_weights_are_listed_beside_it_is_loaded(bundle):
    onnx = pytest.importorskip("onnx")
    files = {"model.onnx": graph_with_data_in(onnx, "weights", len(DATA)), "weights": DATA}
    sealed_with(bundle, files)
    open_session(open_bundle(bundle), "model.onnx", n_threads=1)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_graph_whose_weights_are_a_link_to_elsewhere_is_refused(bundle, tmp_path, link):
    onnx = pytest.importorskip("onnx")
    (tmp_path / "outside").write_bytes(DATA)
    files = {"model.onnx": graph_with_data_in(onnx, "weights", len(DATA)), "weights": DATA}
    sealed_with(bundle, files)
    (bundle / "weights").unlink()
    link(tmp_path / "outside", bundle / "weights")
    with pytest.raises(BundleError, match="weights"):
        open_bundle(bundle)


@pytest.mark.parametrize("n_bytes", [1 << 20, 1 << 40, 1 << 62])
def test_a_graph_that_claims_more_weights_than_there_are_is_refused(bundle, n_bytes):
    onnx = pytest.importorskip("onnx")
    files = {"model.onnx": graph_with_data_in(onnx, "weights", n_bytes), "weights": DATA}
    sealed_with(bundle, files)
    with pytest.raises(BundleError):
        open_session(open_bundle(bundle), "model.onnx", n_threads=1)
