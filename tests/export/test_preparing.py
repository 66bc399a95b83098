"""Prepared bundles: the same numbers from other files, and never from files that are not whole."""

import json
import shutil
from collections import namedtuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_asr import prepared, preparing
from edge_asr.bundle import MANIFEST, SEAL, list_bundles, open_bundle
from edge_asr.errors import BundleError
from edge_asr.manifest import seal_line, sha256_of
from edge_asr.prepared import RECORD, preparation_problem, prepared_directory, prepared_graph
from edge_asr.preparing import prepare_bundle
from edge_asr.recognizers.whisper_bundle import ENCODER
from edge_asr.sessions import open_session, tensor
from export.blocks import InBlocks
from export.rewriting import rewrite_products
from export.rows import ByRows

pytestmark = pytest.mark.export

GRAPH, WIDTH, N_PRODUCTS = "decoder_model_merged.onnx", 256, 4
ROWS = np.random.default_rng(5).normal(size=(7, WIDTH)).astype(np.float32)
KINDS = {"float": None, "int8": ByRows, "int4": lambda: InBlocks(4)}


def write_float(path):
    random = np.random.default_rng(3)
    nodes, weights = [], []
    for n in range(N_PRODUCTS):
        nodes.append(helper.make_node("MatMul", [f"h{n}", f"w{n}"], [f"p{n}"], name=f"/{n}/MatMul"))
        nodes.append(helper.make_node("Sigmoid", [f"p{n}"], [f"h{n + 1}"]))
        weight = random.normal(size=(WIDTH, WIDTH)).astype(np.float32) / WIDTH**0.5
        weights.append(numpy_helper.from_array(weight, f"w{n}"))
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", WIDTH])
        for name in ("h0", f"h{N_PRODUCTS}")
    ]
    graph = helper.make_graph(nodes, "chain", values[:1], values[1:], weights)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path
    )


def write_manifest(directory, name):
    files = {
        path.name: {"size": path.stat().st_size, "sha256": sha256_of(path)}
        for path in directory.iterdir()
        if path.name not in {MANIFEST, SEAL}
    }
    manifest = {
        "format": 1,
        "name": name,
        "family": "whisper",
        "created_utc": "2026-11-24T00:00:00Z",
        "licence": "MIT",
        "files": files,
        **{part: {} for part in ("source", "export", "model", "quality")},
        "capabilities": {"tasks": ["transcribe"], "languages": ["en"]},
    }
    (directory / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    (directory / SEAL).write_text(seal_line(sha256_of(directory / MANIFEST)), encoding="ascii")


def make_bundle(directory, kind):
    directory.mkdir(parents=True)
    rewrite = KINDS[kind]
    if rewrite is None:
        write_float(directory / GRAPH)
    else:
        source = directory.with_suffix(".float")
        write_float(source)
        rewrite_products(source, directory / GRAPH, rewrite(), large_graph=0)
        source.unlink()
    write_manifest(directory, directory.name)
    return open_bundle(directory)


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "bundles" / "tiny", "int8")


def prepare(bundle):
    return prepare_bundle(bundle, n_threads=1, say=lambda _graph: None)


def outputs(bundle):
    session = open_session(bundle, GRAPH, n_threads=1)
    return session.run({"h0": tensor(ROWS)}, [f"h{N_PRODUCTS}"])[f"h{N_PRODUCTS}"].numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_a_prepared_bundle_gives_the_same_to_the_bit(tmp_path, kind):
    bundle = make_bundle(tmp_path / "bundles" / "tiny", kind)
    assert prepared_graph(bundle, GRAPH) is None
    before = outputs(bundle)

    directory = prepare(bundle)

    assert prepared_graph(bundle, GRAPH) == directory / GRAPH
    assert preparation_problem(bundle.directory, bundle.sha256) is None
    np.testing.assert_array_equal(outputs(bundle), before)


def test_a_prepared_graph_is_what_is_run(bundle):
    """A whole but different graph in its place shows that it is used."""
    before = outputs(bundle)
    directory = prepare(bundle)
    other = make_bundle(bundle.directory.parent / "other", "float")
    for path in list(directory.iterdir()):
        path.unlink()
    shutil.copyfile(other.path(GRAPH), directory / GRAPH)
    preparing._seal(directory)

    assert not np.array_equal(outputs(bundle), before)
    np.testing.assert_allclose(outputs(bundle), before, atol=0.05)


@pytest.mark.parametrize("file_name", [GRAPH, f"{GRAPH}_data", RECORD])
def test_a_damaged_prepared_file_is_never_used(bundle, file_name):
    before = outputs(bundle)
    path = prepare(bundle) / file_name
    whole = path.read_bytes()

    for place in range(0, len(whole), 1 + len(whole) // 40):
        content = bytearray(whole)
        content[place] ^= 1
        path.write_bytes(content)
        assert prepared_graph(bundle, GRAPH) is None, place
        assert "damaged" in preparation_problem(bundle.directory, bundle.sha256)
    np.testing.assert_array_equal(outputs(bundle), before)


@pytest.mark.parametrize("file_name", [GRAPH, f"{GRAPH}_data"])
def test_a_prepared_file_that_is_missing_or_linked_is_never_used(bundle, file_name, tmp_path):
    path = prepare(bundle) / file_name
    path.rename(tmp_path / "elsewhere")
    assert prepared_graph(bundle, GRAPH) is None
    path.symlink_to(tmp_path / "elsewhere")
    assert prepared_graph(bundle, GRAPH) is None


def test_a_whole_file_that_the_runtime_refuses_is_left_alone(bundle):
    before = outputs(bundle)
    directory = prepare(bundle)
    (directory / GRAPH).write_bytes(b"no graph")
    (directory / RECORD).unlink()
    preparing._seal(directory)

    assert prepared_graph(bundle, GRAPH) is not None
    np.testing.assert_array_equal(outputs(bundle), before)


def test_what_was_prepared_for_another_processor_or_bundle_is_not_found(bundle, monkeypatch):
    prepare(bundle)
    ours = prepared_directory(bundle.directory, bundle.sha256)
    assert prepared_directory(bundle.directory, "0" * 64) != ours

    for module in (prepared, preparing):
        monkeypatch.setattr(module, "machine_name", lambda: "another")
    assert prepared_graph(bundle, GRAPH) is None
    assert preparation_problem(bundle.directory, bundle.sha256) == "not prepared for this machine"

    theirs = prepare(bundle)
    assert prepared_graph(bundle, GRAPH) == theirs / GRAPH
    assert not ours.exists(), "what is of no use any more makes room"


def test_the_processor_is_known_by_what_it_can_and_not_by_the_order_of_its_cores(tmp_path):
    names = set()
    for number, text in enumerate(
        ("Features : asimd\nBogoMIPS : 1\nFeatures : sve\n", "Features : sve\nFeatures : asimd\n")
    ):
        path = tmp_path / str(number)
        path.write_text(text, encoding="utf-8")
        names.add(prepared.machine_name(path))
    assert len(names) == 1
    assert "asimd; sve" in names.pop()
    assert "onnxruntime" in prepared.machine_name(tmp_path / "nothing")


def test_the_bundle_stays_as_it_is(bundle):
    prepare(bundle)

    assert open_bundle(bundle.directory).sha256 == bundle.sha256
    assert list_bundles([bundle.directory.parent]) == [bundle.directory]


def test_without_room_nothing_is_prepared_and_the_sentence_says_how_much_it_takes(
    bundle, monkeypatch
):
    usage = namedtuple("usage", "free")(1000)  # noqa: PYI024 (a stand-in for os.statvfs)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(BundleError, match="GB are needed to prepare bundle tiny"):
        prepare(bundle)
    assert preparation_problem(bundle.directory, bundle.sha256) == "not prepared for this machine"


def test_a_bundle_is_prepared_from_the_command_line(shared_workstation, checkpoint, program):
    out = shared_workstation.root / "prepared"
    built = shared_workstation.export(shared_workstation.recipe(), "--from", checkpoint, out=out)
    assert built.exit_code == 0, built.output
    place = str(out)

    before = program.run("bundle", "info", "tiny", EDGE_ASR_BUNDLES=place).stdout
    result = program.run("bundle", "prepare", "tiny", EDGE_ASR_BUNDLES=place)
    after = program.run("bundle", "info", "tiny", EDGE_ASR_BUNDLES=place).stdout

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("prepared tiny for this machine: ")
    assert ENCODER in result.stderr
    assert "not prepared for this machine" in before
    assert "not prepared" not in after
    assert prepared_graph(open_bundle(out / "tiny"), ENCODER) is not None
