"""A graph that runs for long is broken off when nobody waits for it; the session goes on."""

import threading

import numpy as np
import pytest

from edge_asr.abandoning import AbandonedError, abandoned_when
from edge_asr.sessions import Session, tensor

onnx = pytest.importorskip("onnx")

FOREVER = 2**62


@pytest.fixture(scope="module")
def counting(tmp_path_factory):
    """A session that counts to ``n``, one by one."""
    helper, kind = onnx.helper, onnx.TensorProto
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["goes_on"]),
            helper.make_node("Add", ["counted", "one"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", kind.INT64, []),
            helper.make_tensor_value_info("go_on", kind.BOOL, []),
            helper.make_tensor_value_info("counted", kind.INT64, []),
        ],
        [
            helper.make_tensor_value_info("goes_on", kind.BOOL, []),
            helper.make_tensor_value_info("next", kind.INT64, []),
        ],
        [helper.make_tensor("one", kind.INT64, [], [1])],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["n", "", "zero"], ["found"], body=body)],
        "counting",
        [helper.make_tensor_value_info("n", kind.INT64, [])],
        [helper.make_tensor_value_info("found", kind.INT64, [])],
        [helper.make_tensor("zero", kind.INT64, [], [0])],
    )
    path = tmp_path_factory.mktemp("graph") / "counting.onnx"
    opset = helper.make_opsetid("", 18)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), path)
    return Session(path, n_threads=1)


def count(session, n):
    return int(session.run({"n": tensor(np.array(n, np.int64))}, ["found"])["found"].numpy())


def test_an_endless_run_is_broken_off_and_the_session_still_works(counting):
    begun = threading.Event()
    threading.Timer(0.2, begun.set).start()
    with pytest.raises(AbandonedError), abandoned_when(begun.is_set):
        count(counting, FOREVER)
    assert count(counting, 7) == 7


def test_runs_that_begin_after_the_time_has_come_end_at_once(counting):
    asked = threading.Event()

    def is_over():
        asked.set()
        return True

    def count_later():
        asked.wait(5)
        count(counting, FOREVER)

    with pytest.raises(AbandonedError), abandoned_when(is_over):
        count_later()


def test_what_is_wanted_to_the_end_is_finished(counting):
    with abandoned_when(lambda: False):
        assert count(counting, 1000) == 1000


def test_what_fails_by_itself_is_no_abandoned_work():
    with pytest.raises(ZeroDivisionError), abandoned_when(lambda: False):
        raise ZeroDivisionError


def test_bound_runs_are_broken_off_too(counting):
    found = np.zeros((), np.int64)
    binding = counting.bind({}, {})
    ends = {"found": tensor(found)}
    with pytest.raises(AbandonedError), abandoned_when(lambda: True):
        binding.run({"n": tensor(np.array(FOREVER, np.int64))}, ends)
    binding.run({"n": tensor(np.array(5, np.int64))}, ends)
    assert found == 5
