"""Files that are sent to be transcribed, with OpenAI's own client where that says more."""

import dataclasses
import http.client
import json
import sys
import threading
import time

import msgspec
import numpy as np
import openai
import pytest

from edge_asr.audio import write_flac
from edge_asr.config import parse_config
from edge_asr.serve import transcribing, uploads

BOUNDARY = "frontier"
SETTINGS = "recognition: {bundle: whisper-tiny.en, threads: 1}"


@pytest.fixture
def asr(serve_here, bundles):
    return serve_here(parse_config(SETTINGS), bundle_dirs=(bundles,))


@pytest.fixture
def client(asr):
    with openai.OpenAI(base_url=f"{asr.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


@pytest.fixture
def clip(sample):
    return sample / "demo.flac"


@pytest.fixture
def silence(tmp_path):
    write_flac(tmp_path / "silence.flac", np.zeros(16_000, np.float32))
    return tmp_path / "silence.flac"


def form(file=b"", name="file", file_name="a.wav", **fields):
    """Return the body of a form."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    if file is not None:
        head = f'Content-Disposition: form-data; name="{name}"; filename="{file_name}"'
        parts.append(f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + file + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def post(server, body, path="/v1/audio/transcriptions"):
    return server.ask("POST", path, body, Content_Type=f"multipart/form-data; boundary={BOUNDARY}")


def kept(server):
    folder = server.state / uploads.FOLDER
    return list(folder.iterdir()) if folder.exists() else []


@pytest.mark.bundle
def test_the_official_client_gets_text(client, clip, asr):
    said = client.audio.transcriptions.create(file=clip, model="whisper-tiny.en")
    assert "conference" in said.text.lower()
    assert said.usage.type == "duration"
    assert kept(asr) == []


@pytest.mark.bundle
def test_and_the_name_that_every_program_knows_is_the_bundle_that_recognizes(client, clip):
    said = client.audio.transcriptions.create(
        file=clip, model="whisper-1", response_format="verbose_json", language="en", temperature=0
    )
    assert (said.language, said.task) == ("english", "transcribe")
    assert said.segments[-1].end <= said.duration
    assert " ".join(segment.text for segment in said.segments) == said.text
    assert all(segment.avg_logprob < 0 for segment in said.segments)
    assert said.words is None


@pytest.mark.bundle
def test_subtitles_are_such_that_players_read_them(client, clip):
    vtt, srt, text = (
        client.audio.transcriptions.create(file=clip, model="whisper-1", response_format=each)
        for each in ("vtt", "srt", "text")
    )
    assert vtt.startswith("WEBVTT\n\n00:00:")
    assert srt.startswith("1\n00:00:")
    assert "conference" in text.lower()
    assert "{" not in text


@pytest.mark.bundle
def test_corrections_are_made_and_numbers_written_as_digits_where_that_is_asked_for(
    serve_here, bundles, clip
):
    rules = "corrections: [{pattern: conference, replacement: twenty-three meetings}]"
    server = serve_here(parse_config(f"{SETTINGS}\n{rules}"), bundle_dirs=(bundles,))
    sound = clip.read_bytes()

    said = post(server, form(sound, file_name="a.flac", response_format="text")).body.decode()
    assert "twenty-three meetings" in said
    assert "conference" not in said.lower()
    asked = post(server, form(sound, file_name="a.flac", numerals="true", stream="true"))
    assert asked.status == 200
    assert "twenty-three meetings" in asked.body.decode()  # the rules come after the numerals


@pytest.mark.bundle
def test_a_stream_tells_each_part_as_it_is_recognized(client, tmp_path, clip):
    import soundfile

    sound, rate = soundfile.read(clip, dtype="float32")
    twice = np.concatenate([sound, np.zeros(2 * rate, np.float32), sound])
    soundfile.write(tmp_path / "twice.wav", twice, rate)
    events = list(
        client.audio.transcriptions.create(
            file=tmp_path / "twice.wav", model="whisper-1", stream=True, response_format="json"
        )
    )
    *deltas, done = events
    assert len(deltas) >= 2
    assert {event.type for event in deltas} == {"transcript.text.delta"}
    assert done.type == "transcript.text.done"
    assert "".join(event.delta for event in deltas) == done.text
    assert done.text.lower().count("conference") >= 2


@pytest.mark.bundle
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_translation_is_into_english(serve_here, bundles, sample):
    config = parse_config("recognition: {bundle: whisper-base, threads: 1}")
    server = serve_here(config, bundle_dirs=(bundles,))
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
        said = client.audio.translations.create(
            file=sample / "es-queue-youarenext.flac",
            model="whisper-base",
            response_format="verbose_json",
        )
    assert said.task == "translate"
    assert any(word in said.text.lower() for word in ("call", "next", "line", "answered"))


@pytest.mark.bundle
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_what_a_model_cannot_do_is_said_in_one_sentence(client, clip):
    with pytest.raises(openai.BadRequestError, match="cannot translate") as refused:
        client.audio.translations.create(file=clip, model="whisper-tiny.en")
    assert refused.value.type == "invalid_request_error"
    with pytest.raises(openai.BadRequestError, match="does not know the language 'de'"):
        client.audio.transcriptions.create(file=clip, model="whisper-tiny.en", language="de")


@pytest.mark.bundle
def test_each_word_has_its_time_where_the_model_knows_it(client, clip):
    said = client.audio.transcriptions.create(
        file=clip,
        model="whisper-1",
        response_format="verbose_json",
        timestamp_granularities=["word"],
    )
    assert "conference" in [word.word.strip(" .,").lower() for word in said.words]
    starts_s = [word.start for word in said.words]
    assert starts_s == sorted(starts_s)
    assert all(0 <= word.start <= word.end <= said.duration for word in said.words)
    assert said.segments is None


def test_and_where_it_does_not_that_is_said(asr, client, silence, monkeypatch):
    model = asr.site.models.find("whisper-1")
    can = msgspec.structs.replace(model.manifest.capabilities, timestamps=False)
    manifest = msgspec.structs.replace(model.manifest, capabilities=can)
    mute = dataclasses.replace(model, manifest=manifest)
    monkeypatch.setattr(asr.site.models, "find", lambda _name: mute)
    with pytest.raises(openai.BadRequestError, match="does not say when each word") as refused:
        client.audio.transcriptions.create(
            file=silence,
            model="whisper-1",
            response_format="verbose_json",
            timestamp_granularities=["word"],
        )
    assert refused.value.param == "timestamp_granularities"


@pytest.mark.bundle
def test_a_prompt_in_prose_is_what_was_said_before(client, clip):
    prompt = "you are now the only one who has been called to this meeting"
    plain = client.audio.transcriptions.create(
        file=clip, model="whisper-tiny.en", response_format="verbose_json"
    )
    answer = client.audio.transcriptions.with_raw_response.create(
        file=clip, model="whisper-tiny.en", response_format="verbose_json", prompt=prompt
    )
    assert "X-Edge-ASR-Ignored" not in answer.headers
    heard = answer.parse()
    assert "conference" in heard.text.lower()
    assert heard.segments[0].avg_logprob != plain.segments[0].avg_logprob


@pytest.mark.bundle
def test_nothing_said_is_no_text_and_no_error(client, silence):
    said = client.audio.transcriptions.create(
        file=silence, model="whisper-1", response_format="verbose_json"
    )
    assert (said.text, said.segments, said.duration) == ("", [], 1.0)
    events = list(client.audio.transcriptions.create(file=silence, model="whisper-1", stream=True))
    assert [event.type for event in events] == ["transcript.text.done"]


def test_models_are_the_speech_bundles_of_this_device(client, bundles):
    assert bundles
    first, *others = client.models.list().data
    assert first.id == "whisper-tiny.en"
    assert "whisper-base" in {model.id for model in others}
    assert "silero-vad" not in {model.id for model in others}
    assert client.models.retrieve("whisper-base").tasks == ["transcribe", "translate"]
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("gpt-4o-transcribe")
    assert refused.value.code == "model_not_found"


@pytest.mark.parametrize("model", ["nothing", "../whisper-base", "silero-vad"])
def test_a_model_that_is_not_there_is_named(client, silence, model):
    with pytest.raises(openai.NotFoundError, match=r"whisper-tiny\.en") as refused:
        client.audio.transcriptions.create(file=silence, model=model)
    assert refused.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("body", "about"),
    [
        (form(None, model="whisper-1"), "file"),
        (form(b"x", name="sound"), "sound"),
        (form(b"x", response_format="docx"), "response_format"),
        (form(b"x", temperature="hot"), "temperature"),
        (form(b"x", temperature="nan"), "temperature"),
        (form(b"x", numerals="perhaps"), "numerals"),
        (form(b"x", language="english"), "language"),
        (form(b"x", stream="true", response_format="srt"), "response_format"),
        (form(b"x", timestamp_granularities="word"), "timestamp_granularities"),
        (form(b"x", target_language="de"), "target_language"),
        (form(b"x", nonsense="1"), "nonsense"),
        (form(b"x").replace(b"--\r\n", b"\r\n"), None),
        (form(b"x")[:-60], None),
        (b"no form", None),
        (form(None, model="m" * 70_000), None),
        (
            form(b"x", file_name="\udcff".encode("utf-8", "surrogateescape").decode("latin-1")),
            "file",
        ),
    ],
)
def test_a_form_that_makes_no_sense_is_refused_and_leaves_nothing(asr, body, about):
    answer = post(asr, body)
    assert answer.status == 400, answer.body
    assert answer.json["error"]["type"] == "invalid_request_error"
    assert answer.json["error"]["param"] == about
    assert kept(asr) == []


@pytest.mark.bundle
def test_numbers_as_digits_are_refused_where_the_extra_is_missing(asr, monkeypatch, silence):
    monkeypatch.setitem(sys.modules, "text_to_num", None)
    answer = post(asr, form(b"x", numerals="true"))
    assert answer.status == 400, answer.body
    assert answer.json["error"]["param"] == "numerals"
    assert "pip install 'edge-asr[numerals]'" in answer.json["error"]["message"]
    assert kept(asr) == []
    assert post(asr, form(silence.read_bytes(), numerals="false")).status == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data", "multipart/form-data; boundary=" + "b" * 300]
)
def test_anything_but_a_form_is_refused(asr, kind):
    answer = asr.ask("POST", "/v1/audio/transcriptions", form(b"x"), Content_Type=kind)
    assert answer.status == 400


def test_what_is_no_sound_is_an_error_that_names_the_file_as_the_client_does(client, bundles):
    assert bundles
    with pytest.raises(openai.BadRequestError, match=r"notes\.txt: not a sound file") as refused:
        client.audio.transcriptions.create(file=("notes.txt", b"hello" * 100), model="whisper-1")
    assert refused.value.param == "file"
    assert "/uploads/" not in str(refused.value)


def test_a_file_that_is_too_large_is_refused_while_it_comes(serve_here, bundles):
    config = parse_config(f"{SETTINGS}\nserve: {{max_upload_mb: 1}}")
    server = serve_here(config, bundle_dirs=(bundles,))
    head = form(b"").removesuffix(f"\r\n--{BOUNDARY}--\r\n".encode())
    endless = (head if i == 0 else b"\0" * 65_536 for i in range(100))
    assert post(server, endless).status == 413
    assert kept(server) == []
    assert post(server, form(b"\0" * 8_000_000)).status == 413  # as its header promises


def test_a_sound_that_is_too_long_is_refused(serve_here, bundles, tmp_path):
    config = parse_config(f"{SETTINGS}\nserve: {{max_audio_s: 5}}")
    server = serve_here(config, bundle_dirs=(bundles,))
    write_flac(tmp_path / "long.flac", np.zeros(16_000 * 6, np.float32))
    answer = post(server, form((tmp_path / "long.flac").read_bytes(), file_name="long.flac"))
    assert (answer.status, answer.json["error"]["param"]) == (400, "file")
    assert answer.error == "long.flac: is longer than 5 s; send it in parts"


def test_files_are_not_taken_where_that_is_switched_off(serve_here, bundles):
    config = parse_config("serve: {transcriptions: false}")
    server = serve_here(config, bundle_dirs=(bundles,))
    assert post(server, form(b"x")).status == 404


def test_a_full_disk_takes_no_files(serve_here, bundles):
    config = parse_config(f"{SETTINGS}\nretention: {{min_free_mb: 1000000}}")
    answer = post(serve_here(config, bundle_dirs=(bundles,)), form(b"x"))
    assert answer.status == 503
    assert "disk is nearly full" in answer.error
    assert int(answer.headers["retry-after"]) > 0


class Slow:
    """A client that sends a file without end, slowly."""

    def __init__(self, server):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self.connection.putrequest("POST", "/v1/audio/transcriptions")
        self.connection.putheader("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
        self.connection.putheader("Content-Length", "1000000")
        self.connection.endheaders(form(b"").removesuffix(f"\r\n--{BOUNDARY}--\r\n".encode()))


def test_slow_files_make_room_for_others(asr, silence, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_AT_ONCE", 3)
    monkeypatch.setattr(uploads, "FAIR_S", 100.0)
    monkeypatch.setattr(uploads, "WAIT_S", 0.3)
    slow = [Slow(asr) for _ in range(3)]
    deadline_s = time.monotonic() + 10
    while len(kept(asr)) < 3 and time.monotonic() < deadline_s:
        time.sleep(0.02)
    refused = post(asr, form(silence.read_bytes()))
    assert refused.status == 503
    assert int(refused.headers["retry-after"]) > 0
    monkeypatch.setattr(uploads, "FAIR_S", 0.0)
    assert post(asr, form(silence.read_bytes())).status == 200
    for each in slow:
        each.connection.close()
    deadline_s = time.monotonic() + 10
    while kept(asr) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert kept(asr) == []


def test_more_files_than_may_wait_are_asked_to_come_again(asr, silence, monkeypatch):
    monkeypatch.setattr(transcribing, "MAX_INSIDE", 2)
    body, statuses = form(silence.read_bytes()), []
    threads = [
        threading.Thread(target=lambda: statuses.append(post(asr, body).status)) for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200, 503}
    assert post(asr, body).status == 200
    assert kept(asr) == []


@pytest.mark.bundle
def test_who_leaves_gives_up_the_turn(asr, tmp_path, clip):
    import soundfile

    sound, rate = soundfile.read(clip, dtype="float32")
    soundfile.write(tmp_path / "long.wav", np.tile(sound, 60), rate)
    connection = http.client.HTTPConnection("127.0.0.1", asr.port, timeout=30)
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    body = form((tmp_path / "long.wav").read_bytes())
    connection.request("POST", "/v1/audio/transcriptions", body, kind)
    deadline_s = time.monotonic() + 30
    while asr.site.transcribing._n_inside == 0 and time.monotonic() < deadline_s:
        time.sleep(0.02)
    connection.close()
    began_s = time.monotonic()
    assert "conference" in post(asr, form(clip.read_bytes())).json["text"].lower()
    assert time.monotonic() - began_s < transcribing.ABANDON_S
    assert kept(asr) == []


def test_when_the_process_that_transcribes_dies_the_server_says_so_and_goes_on(asr, silence):
    body = form(silence.read_bytes())
    assert post(asr, body).status == 200
    child = asr.site.transcribing._child
    child._process.kill()
    answer = post(asr, body)
    assert answer.status == 500
    assert answer.json["error"]["type"] == "server_error"
    assert post(asr, body).status == 200


def test_the_model_is_let_go_when_nobody_sends_files(serve_here, bundles, silence):
    config = parse_config(f"{SETTINGS}\nserve: {{release_after_s: 1}}")
    server = serve_here(config, bundle_dirs=(bundles,))
    assert post(server, form(silence.read_bytes())).status == 200
    assert server.site.transcribing.is_loaded
    process = server.site.transcribing._child._process
    deadline_s = time.monotonic() + 10
    while process.returncode is None and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert process.returncode == 0
    assert not server.site.transcribing.is_loaded
    assert post(server, form(silence.read_bytes())).status == 200


def test_what_a_killed_server_left_is_removed(serve_here, store):
    folder = store.state_dir / uploads.FOLDER
    folder.mkdir()
    (folder / "tmp1").write_bytes(b"somebody's words")
    serve_here()
    assert not folder.exists() or list(folder.iterdir()) == []


def test_who_has_no_token_can_send_nothing(serve_here, bundles):
    from edge_asr.serve.access import Access

    server = serve_here(parse_config(SETTINGS), Access("correct-horse-battery"), (bundles,))
    assert post(server, form(b"x")).status == 401
    assert json.loads(server.get("/v1/models").body)["error"]["message"]
