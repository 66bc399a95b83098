"""Metrics, as Prometheus' own parser reads them."""

import json
import re
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge_asr import clock
from edge_asr.alarms import AlarmCode
from edge_asr.bridges.counted import keep_totals, read_totals
from edge_asr.bridges.metrics import metrics_text
from edge_asr.config import Config
from edge_asr.records import Gap, GapKind
from edge_asr.store import Store
from edge_asr.store.totals import Totals
from tests.store.speech import recognition, say, write_down

DASHBOARD = Path(__file__).resolve().parents[2] / "docs/grafana/edge-asr.json"


def parsed(text):
    """Return every sample: name and labels -> value."""
    text = text if isinstance(text, str) else text.decode()
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def metrics_of(store, totals=None):
    return parsed(metrics_text(store, Config(), totals or Totals()))


def listen(store, n_samples, source="mic"):
    """Listen to a source and stop; only the first half of it was told by a heartbeat."""
    watch = store.watches.begin(source, clock.now())
    watch.heard(watch.position_ns + 1, n_samples, n_invalid=2)
    watch.end()


def test_what_was_heard_stored_and_written_down_is_counted(store):
    listen(store, 48_000)
    for _ in range(3):
        write_down(store, say(store, n_samples=8_000), bundle="whisper-base")
    store.gaps.add("mic", Gap(GapKind.OVERFLOW, clock.now(), 0.5, "late"))
    store.gaps.add("mic", Gap(GapKind.OVERFLOW, clock.now(), 0.25, "late"))
    with store.recognizing():
        found = metrics_of(store)
    assert found["edge_asr_heard_frames_total", "mic"] == 48_000
    assert found["edge_asr_invalid_frames_total", "mic"] == 2
    assert found["edge_asr_utterances_total", "mic"] == 3
    assert found["edge_asr_speech_seconds_total", "mic"] == pytest.approx(1.5)
    assert found["edge_asr_transcripts_total", "whisper-base"] == 3
    assert found["edge_asr_decode_seconds_total", "whisper-base"] == pytest.approx(0.75)
    assert found["edge_asr_decoded_speech_seconds_total", "whisper-base"] == pytest.approx(1.5)
    assert found["edge_asr_real_time_factor",] == pytest.approx(0.5)
    assert found["edge_asr_gaps_total", "mic", "overflow"] == 2
    assert found["edge_asr_gap_seconds_total", "mic", "overflow"] == pytest.approx(0.75)
    assert found["edge_asr_gaps_total", "mic", "no_device"] == 0
    assert found["edge_asr_disk_free_bytes",] > 0


def test_a_watch_that_goes_on_is_counted_as_far_as_its_heartbeat(store, monkeypatch):
    monkeypatch.setattr("edge_asr.store.watches.HEARTBEAT_S", 0.0)
    totals = Totals()
    watch = store.watches.begin("mic", clock.now())
    watch.heard(watch.position_ns + 1, 16_000)
    watch.beat()
    assert metrics_of(store, totals)["edge_asr_heard_frames_total", "mic"] == 16_000
    watch.heard(watch.position_ns + 2, 16_000)
    watch.end()
    assert metrics_of(store, totals)["edge_asr_heard_frames_total", "mic"] == 32_000


def test_what_was_counted_before_is_not_counted_again(store):
    totals = Totals()
    for n in range(1, 4):
        write_down(store, say(store))
        listen(store, 100)
        again = Totals.parsed(totals.as_json())
        assert metrics_of(store, totals) | {("edge_asr_disk_free_bytes",): 0} == metrics_of(
            store
        ) | {("edge_asr_disk_free_bytes",): 0}
        assert metrics_of(store, again)["edge_asr_utterances_total", "mic"] == n


def test_another_log_in_the_same_place_is_counted_from_its_beginning(store, tmp_path):
    totals = Totals()
    say(store)
    say(store)
    assert metrics_of(store, totals)["edge_asr_utterances_total", "mic"] == 2
    with Store.open(tmp_path / "another") as another:
        say(another)
        assert metrics_of(another, totals)["edge_asr_utterances_total", "mic"] == 1


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"log": "x", "counted_to": {"gaps": "many"}, "sums": []}', "\x00"]
)
def test_a_damaged_file_of_counts_means_that_nothing_was_counted(text):
    assert Totals.parsed(text) == Totals()


def test_latency_is_from_the_end_of_speech_to_its_first_text(store):
    ago_ns = time.time_ns() - 3_500_000_000
    for after_s, version_after_s in ((0.4, 100.0), (3.0, 100.0), (40.0, 200.0)):
        utterance = say(store, n_samples=16_000, start=clock.now().shifted(0))
        end_ns = utterance.start.utc_ns + 1_000_000_000
        for s in (after_s, version_after_s):
            store.transcripts.add(
                utterance.utterance_id,
                recognition(),
                bundle="tiny",
                bundle_sha256="ab" * 32,
                created_utc_ns=end_ns + round(s * 1e9),
            )
    set_back = say(store)
    store.transcripts.add(
        set_back.utterance_id,
        recognition(),
        bundle="tiny",
        bundle_sha256="ab" * 32,
        created_utc_ns=ago_ns - 10**12,
    )
    found = metrics_of(store)
    bucket = {bound: found["edge_asr_latency_seconds_bucket", bound] for bound in ("0.5", "5.0")}
    assert bucket == {"0.5": 1, "5.0": 2}
    assert found["edge_asr_latency_seconds_bucket", "+Inf"] == 3
    assert found["edge_asr_latency_seconds_count",] == 3
    assert found["edge_asr_latency_seconds_sum",] == pytest.approx(43.4)


def test_an_alarm_is_1_while_it_is_active_and_0_after(store):
    store.alarms.raise_alarm(AlarmCode.MIC_GONE, "mic", "unplugged", moment=clock.now())
    assert metrics_of(store)["edge_asr_alarm_active", "MIC-GONE", "mic"] == 1
    store.alarms.clear_alarm(AlarmCode.MIC_GONE, "mic", "back", moment=clock.now())
    found = metrics_of(store)
    assert found["edge_asr_alarm_active", "MIC-GONE", "mic"] == 0
    assert found["edge_asr_alarms_total", "MIC-GONE", "mic"] == 1


def test_what_waits_and_who_works_is_told(store):
    say(store, n_samples=32_000)
    found = metrics_of(store)
    assert found["edge_asr_backlog_utterances",] == 1
    assert found["edge_asr_backlog_seconds",] == pytest.approx(2.0)
    assert found["edge_asr_recognizer_running",] == 0
    assert found["edge_asr_source_state", "mic", "not_listening"] == 1
    assert ("edge_asr_real_time_factor",) not in found  # nobody knows it yet
    with store.listening("mic"), store.recognizing():
        store.watches.begin("mic", clock.now())
        found = metrics_of(store)
    assert found["edge_asr_recognizer_running",] == 1
    assert found["edge_asr_source_state", "mic", "not_listening"] == 0


def test_the_name_of_a_source_may_hold_anything(store):
    name = 'a "b"\\ \n é'
    say(store, source=name)
    assert metrics_of(store)["edge_asr_utterances_total", name] == 1


def test_the_file_is_replaced_as_a_whole_and_read_by_anybody(program, store, tmp_path):
    path = tmp_path / "edge-asr.prom"
    say(store)
    for n in (1, 2):
        result = program.run("metrics", "--textfile", path)
        assert result.returncode == 0, result.stderr
        assert parsed(path.read_text())["edge_asr_utterances_total", "mic"] == n
        assert path.stat().st_mode & 0o777 == 0o644
        say(store)
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["edge-asr.prom"]


def test_what_is_removed_later_goes_on_being_counted_also_after_a_restart(store, monkeypatch):
    regretted = say(store)
    write_down(store, regretted, bundle="tiny")
    totals = read_totals(store.state_dir)
    metrics_of(store, totals)
    keep_totals(store.state_dir, totals)
    store.integrity.redact(regretted, "not meant for anybody")
    write_down(store, say(store), bundle="tiny")
    again = read_totals(store.state_dir)
    assert metrics_of(store, again)["edge_asr_transcripts_total", "tiny"] == 2
    keep_totals(store.state_dir, again)  # too soon
    assert read_totals(store.state_dir) == totals
    monkeypatch.setattr("edge_asr.bridges.counted.KEEP_S", 0.0)
    keep_totals(store.state_dir, again)
    assert read_totals(store.state_dir) == again


def test_a_file_that_cannot_be_written_is_told_in_a_sentence(program, store, tmp_path):
    say(store)
    result = program.run("metrics", "--textfile", tmp_path / "missing" / "edge-asr.prom")
    assert result.returncode == 1
    assert result.stderr.startswith("edge-asr: ")
    assert "Traceback" not in result.stderr


def test_every_query_of_the_dashboard_asks_for_a_metric_that_there_is(store):
    listen(store, 100)
    write_down(store, say(store))
    store.alarms.raise_alarm(AlarmCode.MIC_GONE, "mic", "unplugged", moment=clock.now())
    with store.recognizing():
        names = {name for name, *_ in metrics_of(store)}
    names.add("edge_asr_temperature_celsius")  # not every machine has a sensor
    queries = re.findall(r'"expr": "((?:[^"\\]|\\.)*)"', DASHBOARD.read_text(encoding="utf-8"))
    assert len(queries) >= 12
    for query in queries:
        asked = set(re.findall(r"edge_asr_\w+", query))
        assert asked, query
        assert asked <= names, query


def test_the_dashboard_is_one_that_grafana_can_import():
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    assert board["uid"] == "edge-asr"
    assert board["schemaVersion"] >= 36
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "${datasource}"
