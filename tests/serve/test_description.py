"""The description of the API is complete, and the server keeps what it promises.

Every operation is asked with what the description allows, and with what it does not: a few times
here, and as often as EDGE_ASR_FUZZ says with ``make fuzz``.
"""

import os

import pytest

from edge_asr.alarms import AlarmCode
from edge_asr.clock import now
from edge_asr.config import parse_config
from edge_asr.records import Gap, GapKind
from edge_asr.serve.app import routes
from edge_asr.serve.openapi import document
from tests.store.speech import say, write_down

N_EXAMPLES = int(os.environ.get("EDGE_ASR_FUZZ", "5"))
ENDLESS = "/v1/events"
OPERATIONS = sorted(
    (path, method)
    for path, operations in document()["paths"].items()
    for method in operations
    if path != ENDLESS
)


@pytest.fixture
def filled(serve_here, store, bundles):
    """A server with a log that has something of everything, which transcribes files."""
    moment = now()
    watch = store.watches.begin("mic", moment)
    for text in ("pump seven is leaking", "die Pumpe leckt"):
        write_down(store, say(store), text)
    say(store)
    store.corrections.add(1, "pump 7 is leaking", parent_version=1, created_utc_ns=1)
    store.gaps.add("mic", Gap(GapKind.NO_DEVICE, moment, 1.0, "unplugged"))
    store.alarms.raise_alarm(AlarmCode.MIC_GONE, "mic", "unplugged", moment=moment)
    watch.end()
    config = parse_config("recognition: {bundle: whisper-tiny.en, threads: 1}")
    return serve_here(config, bundle_dirs=(bundles,))


def test_every_path_and_method_is_described():
    there = {
        (route.path, method.lower())
        for route in routes()
        for method in route.methods
        if method != "HEAD"
    }
    described = {(path, method) for path, found in document()["paths"].items() for method in found}
    assert described == there


def test_every_operation_says_what_it_is_for_and_has_a_name_for_programs():
    operations = [each for found in document()["paths"].values() for each in found.values()]
    assert all(each["summary"].endswith(".") for each in operations)
    names = [each["operationId"] for each in operations]
    assert len(set(names)) == len(names)


def test_the_description_is_served(server):
    assert server.get("/v1/openapi.json").json == document()


@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_the_server_keeps_what_the_description_promises(filled, path, method, mode):
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.errors import Unsatisfiable
    from schemathesis.specs.openapi import checks

    schema = schemathesis.openapi.from_dict(document())
    rejections = schema.config.checks.negative_data_rejection
    rejections.expected_statuses = [*rejections.expected_statuses, "413"]
    # What is drawn at random is no sound, however well the form is formed.
    not_checked = [checks.positive_data_acceptance] if path.startswith("/v1/audio/") else []
    generation_mode = schemathesis.GenerationMode[mode]

    @given(case=schema[path][method].as_strategy(generation_mode=generation_mode))
    @settings(
        max_examples=N_EXAMPLES,
        deadline=None,
        derandomize="EDGE_ASR_FUZZ" not in os.environ,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case):
        answer = case.call(base_url=filled.url)
        case.validate_response(answer, excluded_checks=not_checked)

    try:
        ask()
    except Unsatisfiable:
        assert mode == "NEGATIVE"
        pytest.skip("it takes nothing that could be wrong")
