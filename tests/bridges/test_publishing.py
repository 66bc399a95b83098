"""Publishing to a real broker."""

import contextlib
import json
import queue
import shutil
import subprocess
import threading
import time

import pytest

from edge_asr import clock
from edge_asr.alarming import AlarmBook
from edge_asr.alarms import AlarmCode
from edge_asr.bridges.broker import Broker
from edge_asr.bridges.following import FOLDER, Following
from edge_asr.bridges.messages import Topics
from edge_asr.bridges.publishing import AT_ONCE, Publisher
from edge_asr.config import Config, parse_config
from edge_asr.errors import ConfigError, StoreError
from edge_asr.store import Store
from edge_asr.store.news import Position
from tests.bridges.mosquitto import Line, Listener, Mosquitto, free_port
from tests.store.speech import say, write_down

SAID = "edge-asr/transcript/mic"


@pytest.fixture
def mosquitto(tmp_path):
    started = Mosquitto(tmp_path, "allow_anonymous true")
    started.start()
    yield started
    started.stop()


@pytest.fixture
def listener(mosquitto):
    heard = Listener(mosquitto.port)
    yield heard
    heard.close()


def config_for(port, more=""):
    return parse_config(f"mqtt: {{host: 127.0.0.1, port: {port}{more}}}")


@contextlib.contextmanager
def publishing(state_dir, config):
    """Publish in a thread."""
    stop, failures = threading.Event(), []

    def run():
        try:
            broker = Broker(config.mqtt, None, Topics(config.mqtt.topic).status, lambda _: None)
            with (
                Store.open(state_dir) as writing,
                Store.open(state_dir, readonly=True) as store,
            ):
                book = AlarmBook(writing, "", lambda _: None)
                publisher = Publisher(store, config, broker, book, stop=stop, alive=lambda: None)
                is_ready.set()
                with broker:
                    publisher.run()
        except BaseException as error:
            failures.append(error)
            is_ready.set()
            raise

    is_ready = threading.Event()
    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert is_ready.wait(20)
        yield
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()
        assert failures == []


def test_what_is_said_is_published_as_it_is_written_down(store, mosquitto, listener):
    write_down(store, say(store), "before anybody published")
    with publishing(store.state_dir, config_for(mosquitto.port)):
        write_down(store, say(store), "pump seven")
        told = json.loads(listener.wait_for(SAID))
        assert (told["text"], told["version"], told["provenance"]) == ("pump seven", 1, "model")
        assert told["source"] == "mic"
        write_down(store, say(store, source="press 4/door+#"), "elsewhere")
        listener.wait_for("edge-asr/transcript/press 4%2Fdoor%2B%23")
    assert len(listener.payloads(SAID)) == 1


def acknowledged(store):
    """Return the last transcript that the publisher knows to have arrived."""
    kept = json.loads((store.state_dir / FOLDER / "mqtt.json").read_text())
    return Position.parsed(kept["position"]).transcripts


def test_nothing_is_lost_or_told_twice_while_the_broker_is_away(store, mosquitto, listener):
    with Line(mosquitto.port) as line, publishing(store.state_dir, config_for(line.port)):
        write_down(store, say(store), "0")
        listener.wait_for_texts(SAID, ["0"])
        assert within(20, lambda: acknowledged(store) == 1)
        line.cut()
        for n in range(1, 60):
            write_down(store, say(store), str(n))
        time.sleep(1.0)
        assert listener.texts(SAID) == ["0"]
        line.mend()
        listener.wait_for_texts(SAID, [str(n) for n in range(60)])


def test_a_line_that_breaks_again_and_again_loses_nothing(store, mosquitto, listener):
    """Acknowledgements get lost on the way: what was in flight may come twice, nothing more."""
    n_breaks = 4
    with Line(mosquitto.port) as line, publishing(store.state_dir, config_for(line.port)):
        for n in range(200):
            write_down(store, say(store, n_samples=600), str(n))
            if n % (200 // n_breaks) == 25:
                line.cut()
                line.mend()
        listener.wait_for(SAID, lambda payload: json.loads(payload)["text"] == "199", 60)
    told = [int(text) for text in listener.texts(SAID)]
    assert list(dict.fromkeys(told)) == list(range(200))  # the first of each, in order
    assert len(told) <= 200 + n_breaks * AT_ONCE


def test_what_was_said_while_nobody_published_is_published_at_the_next_start(
    store, mosquitto, listener
):
    config = config_for(mosquitto.port)
    with publishing(store.state_dir, config):
        write_down(store, say(store), "a")
        listener.wait_for_texts(SAID, ["a"])
    for n in range(45):
        write_down(store, say(store), f"b{n}")
    with publishing(store.state_dir, config):
        listener.wait_for_texts(SAID, ["a", *(f"b{n}" for n in range(45))])


def test_a_publisher_that_is_killed_loses_nothing(store, mosquitto, listener, program, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(f"mqtt: {{host: 127.0.0.1, port: {mosquitto.port}}}")
    begin = program.start("--config", path, "publish")
    listener.wait_for("edge-asr/status", lambda payload: payload == "online")
    begin.kill()
    begin.communicate()
    # The broker says it for us.
    listener.wait_for("edge-asr/status", lambda payload: payload == "offline")
    for n in range(30):
        write_down(store, say(store), str(n))
    process = program.start("--config", path, "publish")
    listener.wait_for(SAID)
    process.kill()
    process.communicate()
    process = program.start("--config", path, "publish")
    listener.wait_for(SAID, lambda payload: json.loads(payload)["text"] == "29")
    process.terminate()
    _, complaints = process.communicate(timeout=20)
    assert process.returncode == 0, complaints
    told = [int(text) for text in listener.texts(SAID)]
    assert set(told) == set(range(30))
    assert len(told) <= 50  # what was in flight comes twice at most


def test_a_version_that_was_replaced_before_it_was_told_is_not_told(store, mosquitto, listener):
    config = config_for(mosquitto.port)
    with publishing(store.state_dir, config):
        listener.wait_for("edge-asr/status")
    utterance = say(store)
    write_down(store, utterance, "pomp seven")
    write_down(store, utterance, "pump seven")
    with publishing(store.state_dir, config):
        listener.wait_for_texts(SAID, ["pump seven"])
        write_down(store, utterance, "Pump 7.")
        listener.wait_for_texts(SAID, ["pump seven", "Pump 7."])


def test_what_was_redacted_before_it_was_told_is_not_told(store, mosquitto, listener):
    config = config_for(mosquitto.port)
    with publishing(store.state_dir, config):
        listener.wait_for("edge-asr/status")
    regretted = say(store)
    write_down(store, regretted, "a secret word")
    store.integrity.redact(regretted, "not meant for anybody")
    write_down(store, say(store), "pump seven")
    with publishing(store.state_dir, config):
        listener.wait_for_texts(SAID, ["pump seven"])


def test_without_text_no_word_leaves_the_appliance(store, mosquitto, listener):
    with publishing(store.state_dir, config_for(mosquitto.port, ", text: false")):
        write_down(store, say(store), "a secret word")
        told = json.loads(listener.wait_for(SAID))
        assert "text" not in told
        assert "words" not in told
        assert told["duration_s"] == 0.5
        store.alarms.raise_alarm(AlarmCode.MIC_GONE, "mic", "unplugged", moment=clock.now())
        listener.wait_for("edge-asr/alarm")
    assert not [payload for _, payload, _ in listener.heard if "secret" in payload]


def test_alarms_and_the_state_are_told_and_the_state_is_kept(store, mosquitto, listener):
    with publishing(store.state_dir, config_for(mosquitto.port)):
        listener.wait_for("edge-asr/state")
        store.alarms.raise_alarm(AlarmCode.MIC_GONE, "mic", "unplugged", moment=clock.now())
        told = json.loads(listener.wait_for("edge-asr/alarm"))
        assert (told["code"], told["state"], told["source"]) == ("MIC-GONE", "raised", "mic")
        listener.wait_for("edge-asr/state", lambda payload: json.loads(payload)["alarms"])
        store.alarms.clear_alarm(AlarmCode.MIC_GONE, "mic", "back", moment=clock.now())
        listener.wait_for(
            "edge-asr/alarm", lambda payload: json.loads(payload)["state"] == "cleared"
        )
        late = Listener(mosquitto.port)
        assert json.loads(late.wait_for("edge-asr/state"))["microphones"][0]["source"] == "mic"
        assert late.wait_for("edge-asr/status") == "online"
        late.close()
    assert listener.payloads("edge-asr/status")[-1] == "offline"


def test_home_assistant_is_told_of_a_device_whose_topics_and_values_there_are(
    store, mosquitto, listener
):
    with publishing(store.state_dir, config_for(mosquitto.port, ", topic: hall/press-4")):
        write_down(store, say(store), "pump seven")
        said = json.loads(listener.wait_for("hall/press-4/transcript/mic"))
        state = json.loads(listener.wait_for("hall/press-4/state"))
    described = {
        topic: json.loads(payload)
        for topic, payload, _ in listener.heard
        if topic.startswith("homeassistant/")
    }
    assert len(described) == 6
    assert len({each["unique_id"] for each in described.values()}) == 6
    for topic, each in described.items():
        kind, node = topic.split("/")[1:3]
        assert kind in {"sensor", "binary_sensor"}
        assert node == "hall_press-4"
        assert each["availability_topic"] == "hall/press-4/status"
        published = {"hall/press-4/state": state, "hall/press-4/transcript/mic": said}
        assert rendered(each["value_template"], published[each["state_topic"]]) != ""
    of = {topic.split("/")[3]: each for topic, each in described.items()}
    assert rendered(of["transcript_mic"]["value_template"], said) == "pump seven"
    assert rendered(of["problem"]["value_template"], state) == "OFF"
    assert rendered(of["problem"]["value_template"], {"alarms": [{"code": "MIC-GONE"}]}) == "ON"
    assert rendered(of["state_mic"]["value_template"], state) in of["state_mic"]["options"]


def rendered(template, value):
    """Return what Home Assistant, which uses Jinja, makes of a template."""
    jinja2 = pytest.importorskip("jinja2")
    return jinja2.Environment(autoescape=False).from_string(template).render(value_json=value)


def test_home_assistant_is_not_told_where_it_is_not_wanted(store, mosquitto, listener):
    with publishing(store.state_dir, config_for(mosquitto.port, ", discovery_prefix: null")):
        listener.wait_for("edge-asr/state")
    assert not [topic for topic, _, _ in listener.heard if topic.startswith("homeassistant")]


def test_a_broker_that_stays_away_is_an_alarm(store, mosquitto, listener, monkeypatch):
    monkeypatch.setattr("edge_asr.bridges.publishing.AWAY_ALARM_S", 0.5)
    with publishing(store.state_dir, config_for(mosquitto.port)):
        listener.wait_for("edge-asr/status")
        mosquitto.stop()
        assert within(20, lambda: codes(store) == ["BROKER-AWAY"])
        mosquitto.start()
        assert within(40, lambda: codes(store) == [])
    assert len(store.alarms.between()) == 1


def codes(store):
    return [alarm.code.value for alarm in store.alarms.active()]


def within(timeout_s, is_so):
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if is_so():
            return True
        time.sleep(0.05)
    return False


def test_who_does_not_know_the_password_is_told_so(tmp_path, program):
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "board", "right"], check=True)
    guarded = Mosquitto(tmp_path, "allow_anonymous false", f"password_file {passwords}")
    guarded.start()
    listener = Listener(guarded.port, "board", "right")
    secret, path = tmp_path / "secret", tmp_path / "config.yaml"
    secret.touch(mode=0o600)
    path.write_text(
        f"mqtt: {{host: localhost, port: {guarded.port}, username: board, password_file: {secret}}}"
    )
    try:
        for password, said in (("wrong\n", "refuses"), ("right\n", "connected with")):
            secret.write_text(password)
            process = program.start("--config", path, "publish")
            line = ""
            while said not in line:
                line = process.stderr.readline()
                assert line
            if said == "connected with":
                listener.wait_for("edge-asr/status", lambda payload: payload == "online")
            process.terminate()
            process.communicate(timeout=20)
    finally:
        listener.close()
        guarded.stop()


@pytest.fixture
def certificate(tmp_path):
    """Return a certificate for localhost that vouches for itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    made, key = tmp_path / "broker.pem", tmp_path / "broker.key"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    command += f" -addext subjectAltName=DNS:localhost -keyout {key} -out {made}"
    subprocess.run(command.split(), check=True, capture_output=True)
    return made, key


# paho leaves the socket of a handshake that failed to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket")
@pytest.mark.parametrize(
    ("host", "knows_it", "said"),
    [
        ("localhost", True, "connected with localhost"),
        ("localhost", False, "certificate verify failed"),
        ("127.0.0.1", True, "IP address mismatch"),
    ],
)
def test_only_a_broker_with_the_right_certificate_is_told(
    tmp_path, certificate, host, knows_it, said
):
    made, key = certificate
    lines = (f"certfile {made}", f"keyfile {key}", "allow_anonymous true")
    guarded = Mosquitto(tmp_path, *lines)
    guarded.start()
    known = f", ca_file: {made}" if knows_it else ""
    config = parse_config(f"mqtt: {{host: {host}, port: {guarded.port}, tls: true{known}}}")
    told = queue.Queue()
    try:
        with Broker(config.mqtt, None, "edge-asr/status", told.put) as broker:
            assert said in told.get(timeout=20)
            assert broker.is_there == said.startswith("connected")
    finally:
        guarded.stop()


def test_certificates_that_cannot_be_read_are_told(tmp_path):
    config = parse_config(f"mqtt: {{host: localhost, tls: true, ca_file: {tmp_path / 'none'}}}")
    with pytest.raises(ConfigError, match="cannot be read as certificates"):
        Broker(config.mqtt, None, "edge-asr/status", print)


def test_a_broker_that_is_not_there_is_told_with_the_reason():
    told = queue.Queue()
    config = config_for(free_port())
    with Broker(config.mqtt, None, "edge-asr/status", told.put) as broker:
        assert "cannot be reached: Connection refused" in told.get(timeout=20)
        assert not broker.is_there


def test_a_host_that_is_no_name_is_refused():
    with pytest.raises(ConfigError, match="no name of a machine"):
        Broker(parse_config("mqtt: {host: a..b}").mqtt, None, "edge-asr/status", print)


def test_nothing_is_published_unless_a_broker_is_named(program):
    result = program.run("publish")
    assert result.returncode == 78
    assert "set mqtt.host" in result.stderr


def test_a_password_that_everybody_may_read_is_refused(program, tmp_path):
    secret, path = tmp_path / "secret", tmp_path / "config.yaml"
    secret.write_text("right\n")
    secret.chmod(0o644)
    path.write_text(f"mqtt: {{host: localhost, username: board, password_file: {secret}}}")
    result = program.run("--config", path, "publish")
    assert result.returncode == 78
    assert "chmod 640" in result.stderr


@pytest.mark.parametrize("topic", ["", "/x", "x/", "a//b", "a/+", "#", "a b", "é"])
def test_a_topic_that_means_something_else_to_a_broker_is_refused(topic):
    with pytest.raises(ConfigError, match=r"mqtt\.topic"):
        parse_config(f'mqtt: {{topic: "{topic}"}}')


def test_mqtt_is_off_by_default():
    assert Config().mqtt.host is None


def test_a_position_that_cannot_be_read_is_told_and_not_guessed(store):
    path = store.state_dir / FOLDER / "mqtt.json"
    Following(store, "mqtt", 1)
    for damaged in ("", "{", '{"log": "x"}', '{"log": "x", "position": "1.2"}'):
        path.write_text(damaged)
        with pytest.raises(StoreError, match="remove it"):
            Following(store, "mqtt", 1)


def test_another_log_in_the_same_place_is_read_from_its_beginning(store):
    kept = store.state_dir / FOLDER / "mqtt.json"
    for _ in range(3):
        write_down(store, say(store))
    Following(store, "mqtt", 1)
    told = json.loads(kept.read_text())
    kept.write_text(json.dumps({**told, "log": "another"}))
    assert Following(store, "mqtt", 1).position.transcripts == 0
