"""The Wyoming server, asked by the protocol's own client as Home Assistant asks."""

import asyncio
import contextlib
import random
import shutil
import socket
import subprocess
import threading
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioChunk, AudioStart, AudioStop, wav_to_chunks
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong

from edge_asr.audio import open_sound_file, pcm16_from_waveform
from edge_asr.bridges.engine import Engine
from edge_asr.bridges.wyoming_client import Service
from edge_asr.bridges.wyoming_server import MAX_CLIENTS, Server, networks
from edge_asr.config import Config, parse_config
from edge_asr.errors import BundleError, ConfigError, RequestError
from edge_asr.manifest import Capabilities
from edge_asr.records import Recognition, Task
from edge_asr.rewriting import configured
from edge_asr.serve.sockets import opened, opened_unix
from tests.manifests import manifest_of
from tests.store.speech import noise

MANIFEST = manifest_of(
    Capabilities(
        tasks=[Task.TRANSCRIBE], languages=["en", "de"], detects_language=True, keywords=True
    ),
    name="echo",
)


class Loudness:
    """A detector: what is loud is speech."""

    def reset(self):
        pass

    def probabilities(self, waveform):
        frames = waveform.reshape(-1, 512)
        return (np.abs(frames).max(axis=1) > 0.01).astype(np.float32)


class Echo:
    """A recognizer that says how long it heard, and keeps what it was asked."""

    def __init__(self):
        self.bundle = SimpleNamespace(name="echo", manifest=MANIFEST)
        self.requests = []
        self.began = threading.Event()
        self.may_end = threading.Event()
        self.may_end.set()

    def check(self, request):
        if request.task is not Task.TRANSCRIBE:
            raise RequestError("only transcribes")

    def transcribe(self, waveform, request):
        self.requests.append(request)
        self.began.set()
        assert self.may_end.wait(30)
        text = f"{len(waveform) / 16_000:.1f} s"
        return Recognition(text, request.language or "en", None, Task.TRANSCRIBE, 0.1, -0.2)


class Running:
    """A server in a thread."""

    def __init__(self, uri, server, echo, engine):
        self.uri = uri
        self.server = server
        self.echo = echo
        self.engine = engine
        self.told = []


@contextlib.contextmanager
def serving(config=None, allowed=(), opening=None, at=None):
    config = config or Config()
    echo = Echo()
    engine = Engine(opening or (lambda: echo), config.wyoming.release_after_s)
    hearing = ThreadPoolExecutor(2)
    service = Service(
        config=config,
        manifest=MANIFEST,
        engine=engine,
        rewriting=configured(config),
        open_vad=Loudness,
        hearing=hearing,
    )
    listening = at or opened("127.0.0.1", 0)
    name = listening.getsockname()
    uri = f"unix://{name}" if isinstance(name, str) else f"tcp://127.0.0.1:{name[1]}"
    running = Running(uri, None, echo, engine)
    running.server = Server(service, networks(allowed), running.told.append)
    stop, is_ready = threading.Event(), threading.Event()
    failures = []

    def run():
        try:
            asyncio.run(
                running.server.run([listening], stop=stop, ready=is_ready.set, alive=lambda: None)
            )
        except BaseException as error:  # noqa: BLE001 (it fails the test below)
            failures.append(error)
            is_ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert is_ready.wait(20)
        yield running
    finally:
        echo.may_end.set()
        stop.set()
        thread.join(20)
        assert not thread.is_alive()
        hearing.shutdown()
    assert failures == []


@pytest.fixture
def running():
    with serving() as server:
        yield server


def spoken(*seconds, rate=16_000):
    """Return loud stretches of so many seconds with silence around each."""
    silence = np.zeros(int(1.5 * rate), np.float32)
    parts = [silence]
    for each in seconds:
        parts += [noise(int(each * rate)), silence]
    return np.concatenate(parts)


async def send(client, waveform, *, rate=16_000, n_samples=1_024):
    """Send sound as Home Assistant does: 16-bit mono, in pieces."""
    await client.write_event(AudioStart(rate=rate, width=2, channels=1).event())
    pcm = pcm16_from_waveform(waveform)
    for start in range(0, len(pcm), 2 * n_samples):
        chunk = AudioChunk(rate=rate, width=2, channels=1, audio=pcm[start : start + 2 * n_samples])
        await client.write_event(chunk.event())
    await client.write_event(AudioStop().event())


async def read_all(client, last=TranscriptStop):
    """Read events until the last of an answer."""
    events = []
    while True:
        event = await asyncio.wait_for(client.read_event(), 30)
        assert event is not None, f"the connection ended after {events}"
        events.append(event)
        if last.is_type(event.type) or Error.is_type(event.type):
            return events


def ask(uri, waveform, asked=None):
    """Ask for the text of some sound."""

    async def asking():
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event((asked or Transcribe()).event())
            await send(client, waveform)
            return await read_all(client)

    return asyncio.run(asking())


def texts_of(events):
    chunks = [
        TranscriptChunk.from_event(event).text
        for event in events
        if TranscriptChunk.is_type(event.type)
    ]
    whole = [
        Transcript.from_event(event).text for event in events if Transcript.is_type(event.type)
    ]
    return chunks, whole


def error_of(events):
    return Error.from_event(events[-1]).text


def test_it_says_what_it_is(running):
    async def asking():
        async with AsyncClient.from_uri(running.uri) as client:
            await client.write_event(Describe().event())
            info = Info.from_event(await client.read_event())
            await client.write_event(Ping(text="x").event())
            assert Pong.from_event(await client.read_event()).text == "x"
            return info

    info = asyncio.run(asking())
    program = info.asr[0]
    assert program.name == "edge-asr"
    assert program.supports_transcript_streaming
    assert program.models[0].name == "echo"
    assert program.models[0].languages == ["en", "de"]
    assert program.models[0].installed
    assert not running.engine.is_loaded  # nobody has asked for text yet


def test_an_answer_is_what_the_protocol_says(running):
    events = ask(running.uri, spoken(1.0, 2.0), Transcribe(language="de"))
    kinds = [event.type for event in events]
    assert kinds == [
        "transcript-start",
        "transcript-chunk",
        "transcript-chunk",
        "transcript",
        "transcript-stop",
    ]
    chunks, (whole,) = texts_of(events)
    assert "".join(chunks) == whole
    assert whole.count(" s") == 2
    assert TranscriptStart.from_event(events[0]).language == "de"
    assert Transcript.from_event(events[-2]).language == "de"


def test_text_comes_while_somebody_still_speaks(running):
    async def asking():
        async with AsyncClient.from_uri(running.uri) as client:
            await client.write_event(Transcribe().event())
            await client.write_event(AudioStart(rate=16_000, width=2, channels=1).event())
            pcm = pcm16_from_waveform(spoken(1.0))
            chunk = AudioChunk(rate=16_000, width=2, channels=1, audio=pcm)
            await client.write_event(chunk.event())
            early = await read_all(client, last=TranscriptChunk)
            await client.write_event(AudioStop().event())
            return early, await read_all(client)

    early, late = asyncio.run(asking())
    assert [event.type for event in early] == ["transcript-start", "transcript-chunk"]
    assert [event.type for event in late] == ["transcript", "transcript-stop"]


def test_silence_is_an_empty_text_and_asks_no_model(running):
    events = ask(running.uri, np.zeros(32_000, np.float32))
    assert [event.type for event in events] == ["transcript-start", "transcript", "transcript-stop"]
    assert texts_of(events) == ([], [""])
    assert running.echo.requests == []


def test_several_requests_go_over_one_connection(running):
    async def asking():
        async with AsyncClient.from_uri(running.uri) as client:
            answers = []
            for language in ("de", "en", None):
                await client.write_event(Transcribe(language=language).event())
                await send(client, spoken(1.0))
                answers.append(await read_all(client))
            return answers

    answers = asyncio.run(asking())
    assert all(texts_of(events)[1] for events in answers)
    assert [request.language for request in running.echo.requests] == ["de", "en", None]


def test_a_client_that_leaves_out_the_beginning_is_understood(running):
    async def asking():
        async with AsyncClient.from_uri(running.uri) as client:
            pcm = pcm16_from_waveform(spoken(1.0))
            await client.write_event(AudioChunk(16_000, 2, 1, pcm).event())
            await client.write_event(AudioStop().event())
            return await read_all(client)

    assert texts_of(asyncio.run(asking()))[1] != [""]


@pytest.mark.parametrize(
    ("rate", "width", "channels"), [(16_000, 2, 1), (48_000, 2, 2), (44_100, 4, 1), (8_000, 1, 1)]
)
def test_sound_of_any_usual_form_is_heard(running, rate, width, channels):
    n_samples = 2 * rate
    loud = np.sin(2 * np.pi * 440 * np.arange(n_samples) / rate) * 0.5
    silence = np.zeros(rate)
    mono = np.concatenate([silence, loud, silence])
    scaled = np.round(mono * ((1 << (8 * width - 1)) - 1)) + (128 if width == 1 else 0)
    kind = {1: "u1", 2: "<i2", 4: "<i4"}[width]
    pcm = np.repeat(scaled.astype(kind), channels).tobytes()

    async def asking():
        async with AsyncClient.from_uri(running.uri) as client:
            await client.write_event(AudioStart(rate, width, channels).event())
            for start in range(0, len(pcm), 1_001):  # in the middle of frames, too
                piece = pcm[start : start + 1_001]
                await client.write_event(AudioChunk(rate, width, channels, piece).event())
            await client.write_event(AudioStop().event())
            return await read_all(client)

    _, (whole,) = texts_of(asyncio.run(asking()))
    assert 2.0 <= float(whole.split()[0]) <= 3.0


@pytest.mark.parametrize(
    ("rate", "width", "channels"), [(0, 2, 1), (16_000, 3, 1), (16_000, 2, 0), (10**9, 2, 1)]
)
def test_sound_of_no_form_is_told(running, rate, width, channels):
    async def asking():
        async with AsyncClient.from_uri(running.uri) as client:
            await client.write_event(AudioStart(rate, width, channels).event())
            return await read_all(client)

    assert "send PCM" in error_of(asyncio.run(asking()))


def test_a_language_may_have_a_country_and_an_unknown_one_is_told(running):
    ask(running.uri, spoken(1.0), Transcribe(language="de-CH"))
    assert running.echo.requests[0].language == "de"
    assert "does not know 'fr'" in error_of(
        ask(running.uri, spoken(1.0), Transcribe(language="fr"))
    )
    assert "no model 'other'" in error_of(ask(running.uri, spoken(1.0), Transcribe(name="other")))


def test_names_that_the_assistant_knows_are_listened_for():
    config = parse_config("recognition: {keywords: [Kanban]}")
    with serving(config) as running:
        asked = Transcribe(transcript_names=["Küche", "Kanban"], transcript_terms=["Rollo"])
        ask(running.uri, spoken(1.0), asked)
        assert running.echo.requests[0].keywords == ("Kanban", "Küche", "Rollo")


def test_the_corrections_of_the_site_are_made():
    config = parse_config("corrections: [{pattern: s, replacement: Sekunden}]")
    with serving(config) as running:
        _, (whole,) = texts_of(ask(running.uri, spoken(1.0)))
    assert whole.endswith("Sekunden")


def test_too_much_sound_is_told():
    config = parse_config("wyoming: {max_audio_s: 3.0}")
    with serving(config) as running:
        assert "more than 3 s" in error_of(ask(running.uri, spoken(3.0)))


def test_a_bundle_that_cannot_be_loaded_is_told():
    def fail():
        raise BundleError("bundle echo is damaged")

    with serving(opening=fail) as running:
        assert error_of(ask(running.uri, spoken(1.0))) == "bundle echo is damaged"


def test_several_clients_are_answered_side_by_side(running):
    answers = []

    def client(seconds):
        answers.append(texts_of(ask(running.uri, spoken(*seconds)))[1])

    threads = [threading.Thread(target=client, args=([1.0] * n,)) for n in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(whole.count(" s") for (whole,) in answers) == [1, 2, 3, 4]


def test_a_client_that_leaves_is_forgotten_and_the_next_one_answered(running):
    running.echo.may_end.clear()

    async def leave():
        async with AsyncClient.from_uri(running.uri) as client:
            await send(client, spoken(1.0))
            assert await asyncio.to_thread(running.echo.began.wait, 20)

    asyncio.run(leave())
    running.echo.may_end.set()
    assert texts_of(ask(running.uri, spoken(1.0)))[1]


def test_a_model_that_nobody_asks_is_let_go():
    with serving() as running:
        running.engine._release_after_s = 0.2
        ask(running.uri, spoken(1.0))
        deadline_s = time.monotonic() + 20
        while running.engine.is_loaded and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert not running.engine.is_loaded
        assert texts_of(ask(running.uri, spoken(1.0)))[1]


def raw(running):
    host, port = running.uri.removeprefix("tcp://").split(":")
    return socket.create_connection((host, int(port)), 20)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"[]\n",
        b'{"type": 1}\n',
        b'{"type": "audio-chunk", "payload_length": 99999999999}\n',
        b'{"type": "audio-chunk", "payload_length": "many"}\n',
        b'{"type": "audio-chunk", "data": []}\n',
        b'{"type": "audio-start", "data": {"rate": "fast", "width": 2, "channels": 1}}\n',
        b'{"type": "audio-chunk", "data": {"rate": 16000, "width": 2}}\n',
        (
            b'{"type": "transcribe", "data": {"language": 7, "name": ["x"]}}\n'
            b'{"type": "audio-start", "data": {"rate": 16000, "width": 2, "channels": 1}}\n'
        ),
        b"[" * 60_000 + b"\n",
        b"x" * 200_000,
        b'{"type": "audio-chunk", "payload_length": 100}\nhalf',
    ],
)
def test_whoever_talks_nonsense_is_let_go_and_others_are_answered(running, nonsense):
    with raw(running) as client, contextlib.suppress(OSError):
        client.sendall(nonsense)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65_536):
            pass
    assert texts_of(ask(running.uri, spoken(1.0)))[1]


def assert_others_are_answered(running):
    """Ask until those who were there before are gone, which takes moments."""
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        with contextlib.suppress(AssertionError, OSError):
            assert texts_of(ask(running.uri, spoken(1.0)))[1]
            return
    raise AssertionError("nobody is answered any more")


def test_random_bytes_do_no_harm(running):
    dice = random.Random(7)
    kinds = ["describe", "transcribe", "audio-start", "audio-chunk", "audio-stop", "ping", "?"]
    for _ in range(60):
        with raw(running) as client, contextlib.suppress(OSError):
            for _ in range(dice.randrange(1, 6)):
                kind = dice.choice(kinds)
                data = dice.choice(["{}", "7", '{"rate": 16000, "width": 2, "channels": 1}', "{"])
                length = dice.randrange(0, 40)
                client.sendall(
                    f'{{"type": "{kind}", "data": {data}, "payload_length": {length}}}\n'.encode()
                    + dice.randbytes(dice.randrange(0, 40))
                )
    assert_others_are_answered(running)


def test_a_client_that_says_nothing_is_let_go(running, monkeypatch):
    monkeypatch.setattr("edge_asr.bridges.wyoming_events.SILENCE_S", 0.3)
    with raw(running) as client:
        assert client.recv(1) == b""


def test_too_many_clients_are_refused(running):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(raw(running)) for _ in range(MAX_CLIENTS)]
        deadline_s = time.monotonic() + 20
        while not running.told and time.monotonic() < deadline_s:
            with raw(running):
                time.sleep(0.05)
        assert "one more was refused" in running.told[0]
        assert len(clients) == MAX_CLIENTS
    assert_others_are_answered(running)


def test_another_machine_may_only_connect_if_it_is_allowed():
    with serving(allowed=["192.168.1.0/24", "2001:db8::5"]) as running:
        refusal = running.server._refusal
        assert refusal(("192.168.1.77", 1)) is None
        assert refusal(("::ffff:192.168.1.77", 1, 0, 0)) is None
        assert refusal(("2001:db8::5", 1, 0, 0)) is None
        assert refusal(("127.0.0.1", 1)) is None
        assert refusal("") is None
        assert "may not connect" in refusal(("192.168.2.77", 1))
        assert "may not connect" in refusal(("fe80::1%eth0", 1, 0, 2))


def test_a_unix_socket_serves_as_well(tmp_path):
    with serving(at=opened_unix(tmp_path / "wyoming.sock")) as running:
        assert texts_of(ask(running.uri, spoken(1.0)))[1]


def test_a_network_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"192\.168\.1\.0/24"):
        networks(["kitchen"])


def test_an_open_address_needs_to_know_its_clients(program):
    result = program.run("wyoming", "--host", "0.0.0.0", "--port", "0")  # noqa: S104
    assert result.returncode == 78
    assert "wyoming.allow" in result.stderr


def as_home_assistant_asks(uri, pieces):
    """Ask for a text in the steps of Home Assistant's own client."""

    async def asking():
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(Transcribe(language="en").event())
            for piece in pieces:
                await client.write_event(piece.event())
            while True:
                event = await asyncio.wait_for(client.read_event(), 60)
                assert event is not None
                assert not Error.is_type(event.type), Error.from_event(event).text
                if Transcript.is_type(event.type):
                    return Transcript.from_event(event).text

    return asyncio.run(asking())


@pytest.mark.bundle
def test_a_socket_that_systemd_opened_is_served(program, bundles, tmp_path):  # noqa: ARG001
    activate = shutil.which("systemd-socket-activate")
    if activate is None:
        pytest.skip("systemd-socket-activate is not installed")
    path = tmp_path / "systemd.sock"
    process = subprocess.Popen(
        [activate, "--listen", str(path), *program.command("wyoming")],
        env=program.environ,
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )

    async def asking():
        async with AsyncClient.from_uri(f"unix://{path}") as client:
            await client.write_event(Describe().event())
            return Info.from_event(await client.read_event())

    try:
        while not path.exists():
            time.sleep(0.05)
        assert asyncio.run(asking()).asr[0].models[0].name == "whisper-base"
    finally:
        process.terminate()
        process.communicate(timeout=15)


@pytest.mark.bundle
def test_home_assistant_gets_the_text_of_real_speech(program, bundles, sample, tmp_path):  # noqa: ARG001
    path = tmp_path / "said.wav"
    with open_sound_file(Path(sample) / "demo.flac", 60.0) as sound:
        waveform = np.concatenate([block[:, 0] for block in sound.blocks])
        rate = sound.sample_rate
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm16_from_waveform(waveform))
    process = program.start("--bundle", "whisper-base", "wyoming", "--port", "0")
    line = process.stderr.readline()
    assert "listening at tcp://127.0.0.1:" in line, line
    try:
        with wave.open(str(path), "rb") as file:
            pieces = list(wav_to_chunks(file, 1_024, start_event=True, stop_event=True))
        text = as_home_assistant_asks(line.split()[-1], pieces)
    finally:
        process.terminate()
        _, complaints = process.communicate(timeout=30)
    assert process.returncode == 0, complaints
    assert "conference" in text.lower()
    assert text[:10] not in complaints  # nothing that was said stands in the journal
