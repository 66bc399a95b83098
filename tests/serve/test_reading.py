"""The log, read over HTTP."""

import dataclasses
import time

import pytest

from edge_asr import clock
from edge_asr.alarms import AlarmCode
from edge_asr.records import Gap, GapKind, Word
from tests.store.speech import recognition, say, write_down


def talk(store, *texts, source="mic"):
    """Say and write down some utterances; return them."""
    said = []
    for text in texts:
        said.append(say(store, source=source))
        write_down(store, said[-1], text)
    return said


def texts(answer):
    assert answer.status == 200, answer.body
    return [each["text"] for each in answer.json["transcripts"]]


def test_transcripts_come_newest_first_and_page_by_page(server, store):
    talk(store, "one", "two", "three", "four", "five")
    first = server.get("/v1/transcripts?limit=2")
    assert texts(first) == ["five", "four"]
    second = server.get(f"/v1/transcripts?limit=2&before={first.json['before']}")
    assert texts(second) == ["three", "two"]
    last = server.get(f"/v1/transcripts?limit=2&before={second.json['before']}")
    assert texts(last) == ["one"]
    assert last.json["before"] is None


def test_words_are_found_and_filters_hold(server, store):
    talk(store, "pump seven leaks", "the pump is fine")
    talk(store, "pump on the line", source="line-2")
    assert texts(server.get("/v1/transcripts?q=pump&source=mic")) == [
        "the pump is fine",
        "pump seven leaks",
    ]
    assert texts(server.get("/v1/transcripts?q=%22pump+seven%22")) == ["pump seven leaks"]
    assert texts(server.get("/v1/transcripts?q=pump&limit=1&before=3")) == ["the pump is fine"]
    assert texts(server.get("/v1/transcripts?language=de")) == []
    assert texts(server.get("/v1/transcripts?until=2001-01-01")) == []
    assert len(texts(server.get("/v1/transcripts?since=2001-01-01T00:00:00%2B02:00"))) == 3


def test_only_what_the_model_doubted_can_be_wanted(server, store):
    sure, unsure = say(store), say(store)
    for utterance, logprob in ((sure, -0.05), (unsure, -1.5)):
        said = dataclasses.replace(recognition(str(logprob)), avg_logprob=logprob)
        store.transcripts.add(
            utterance.utterance_id, said, bundle="tiny", bundle_sha256="ab" * 32, created_utc_ns=1
        )
    assert texts(server.get("/v1/transcripts?max_confidence=0.5")) == ["-1.5"]


@pytest.mark.parametrize(
    ("query", "about"),
    [
        ("sorce=mic", "no parameter 'sorce'"),
        ("limit=0", "limit: is a whole number from 1 to 500"),
        ("limit=5&limit=6", "limit: is given twice"),
        ("since=yesterday", "since: is a time such as"),
        ("max_confidence=nan", "max_confidence: is a number"),
        ("from_sound=yes", "from_sound: is one of true, false"),
        ("ids=1,two", "ids: are up to"),
        ("before=99999999999999999999", "before: is a whole number"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused_in_a_sentence(server, query, about):
    answer = server.get(f"/v1/transcripts?{query}")
    assert answer.status == 400
    assert about in answer.error


def test_an_utterance_is_told_with_versions_and_gaps(server, store):
    (said,) = talk(store, "pump seven leaks")
    store.gaps.add("mic", Gap(GapKind.OVERFLOW, clock.now(), 0.5, "dropped"))
    for name in (said.utterance_id, said.uid):
        found = server.get(f"/v1/utterances/{name}").json
        assert found["uid"] == said.uid
        assert found["versions"][0]["text"] == "pump seven leaks"
        assert found["versions"][0]["provenance"] == "model"
        assert found["gaps"][0]["kind"] == "overflow"
    missing = server.get("/v1/utterances/4711")
    assert (missing.status, missing.error) == (404, "there is no utterance '4711'")


def test_the_sound_is_served_whole_and_in_parts(server, store):
    (said,) = talk(store, "pump")
    path = f"/v1/utterances/{said.utterance_id}/audio"
    whole = server.get(path)
    assert whole.headers["content-type"] == "audio/flac"
    assert whole.body == (store.state_dir / said.audio_path).read_bytes()
    part = server.get(path, Range="bytes=4-9")
    assert (part.status, part.body) == (206, whole.body[4:10])
    (store.state_dir / said.audio_path).unlink()
    gone = server.get(path)
    assert (gone.status, gone.error) == (410, "the sound of utterance 1 was removed")


def test_a_correction_becomes_a_version_that_stands(server, store):
    (said,) = talk(store, "pump seven leaks")
    path = f"/v1/utterances/{said.utterance_id}/versions"
    added = server.ask("POST", path, {"text": "Pump 7 leaks.", "parent_version": 1})
    assert added.status == 201
    assert (added.json["version"], added.json["provenance"]) == (2, "human")
    assert texts(server.get("/v1/transcripts")) == ["Pump 7 leaks."]
    late = server.ask("POST", path, {"text": "Pump 8 leaks.", "parent_version": 1})
    assert late.status == 409
    assert "version 2 stands" in late.error


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"text": ""}, 422),
        ({"text": 7}, 422),
        ({"text": "a", "parent_version": True}, 422),
        ({"text": "a", "parent_version": 0}, 422),
        ({"text": "a", "version": 1}, 422),
        ({"text": "a" * 10_001}, 422),
        ("[" * 60_000, 400),
        ('"text"', 422),
        ("text=a", 400),
        ("x" * 140_000, 413),
    ],
)
def test_what_is_no_correction_is_refused(server, store, body, status):
    talk(store, "pump")
    kind = "application/json"
    answer = server.ask("POST", "/v1/utterances/1/versions", body, Content_Type=kind)
    assert answer.status == status
    assert answer.error
    assert len(store.transcripts.versions(1)) == 1


def test_a_selection_is_exported_in_each_format(server, store):
    talk(store, "one", "two", "three")
    answer = server.get("/v1/export?format=txt&ids=1,3")
    assert answer.body == b"one\nthree\n"
    assert 'filename="edge-asr-' in answer.headers["content-disposition"]
    assert server.get("/v1/export?format=txt&q=t*").body == b"two\nthree\n"
    assert server.get("/v1/export?format=csv&ids=2").body.startswith(b"utterance_id,version,")
    assert b"-->" in server.get("/v1/export?format=srt").body
    assert len(server.get("/v1/export").body.splitlines()) == 3


def test_exports_at_the_same_time_do_not_disturb_each_other(server, store):
    from concurrent.futures import ThreadPoolExecutor

    talk(store, *(f"number {i}" for i in range(250)))
    whole = server.get("/v1/export?format=txt").body
    assert len(whole.splitlines()) == 250
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: server.get("/v1/export?format=txt").body, range(16)))
    assert set(found) == {whole}


def test_the_ledger_of_a_day_adds_up(server, store):
    with store.listening("mic"):
        watch = store.watches.begin("mic", clock.now())
        watch.heard(time.monotonic_ns(), 16_000)
        say(store)
        found = server.get("/v1/ledger").json
        account = found["sources"][0]
        together = sum(span["duration_s"] for span in account["spans"]) + account["outside_s"]
        assert together == pytest.approx(account["duration_s"], abs=0.01)
        assert {"speech"} <= {span["kind"] for span in account["spans"]}
        watch.end()
    assert server.get("/v1/ledger?date=2001-02-30").status == 400
    assert server.get("/v1/ledger?source=nobody").status == 404


def test_alarms_are_told_while_they_are_active_and_later_too(server, store):
    store.alarms.raise_alarm(AlarmCode.MIC_GONE, "mic", "unplugged", moment=clock.now())
    (alarm,) = server.get("/v1/alarms").json["alarms"]
    assert (alarm["code"], alarm["cleared_utc"]) == ("MIC-GONE", None)
    store.alarms.clear_alarm(AlarmCode.MIC_GONE, "mic", "back", moment=clock.now())
    assert server.get("/v1/alarms").json["alarms"] == []
    (alarm,) = server.get("/v1/alarms?all=true").json["alarms"]
    assert alarm["cleared_detail"] == "back"


def test_the_state_says_how_it_is_in_words(server, store):
    say(store)
    state = server.get("/v1/state").json
    assert state["microphones"][0]["state"] == "not_listening"
    assert "does not run" in state["microphones"][0]["words"]
    assert state["recognizer"]["n_waiting"] == 1
    assert state["disk"]["free_bytes"] > 0
    with store.listening("mic"), store.recognizing():
        watch = store.watches.begin("mic", clock.now())
        watch.heard(time.monotonic_ns(), 16_000)
        watch._write_heartbeat(watch._id, watch.progress)
        store.alarms.raise_alarm(AlarmCode.MIC_SILENT, "mic", "only zeros", moment=clock.now())
        deadline_s = time.monotonic() + 10
        while state["microphones"][0]["state"] != "hearing" and time.monotonic() < deadline_s:
            state = server.get("/v1/state").json
        assert state["microphones"][0]["words"] == "Listening. Only zeros."
        assert state["recognizer"]["state"] == "transcribing"
        watch.end()


def test_settings_are_shown_with_what_they_mean(server):
    sections = {each["section"]: each for each in server.get("/v1/settings").json["sections"]}
    settings = {each["name"]: each for each in sections["recognition"]["settings"]}
    assert settings["recognition.bundle"]["value"] == "whisper-base"
    assert "bundle that recognizes" in settings["recognition.bundle"]["description"]
    assert sections["microphones"]["settings"][0]["name"] == "microphones[0].name"
    assert sections["corrections"]["settings"] == []


def test_timed_words_are_part_of_a_version(server, store):
    utterance = say(store)
    timed = dataclasses.replace(recognition("pump"), words=(Word("pump", 0.1, 0.4, 0.75),))
    store.transcripts.add(
        utterance.utterance_id, timed, bundle="ctc", bundle_sha256="ab" * 32, created_utc_ns=1
    )
    (version,) = server.get("/v1/utterances/1").json["versions"]
    assert version["words"] == [{"text": "pump", "start_s": 0.1, "end_s": 0.4, "probability": 0.75}]


def test_health_is_the_log_being_read(server):
    assert server.get("/health").json == {"status": "ok"}


def test_what_is_not_there_is_an_error_in_the_same_form(server):
    assert server.get("/v1/nothing").status == 404
    assert server.get("/v1/nothing").error
    assert server.ask("POST", "/v1/state").status == 405
