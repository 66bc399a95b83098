"""YAML -> settings: what is refused, and in which words."""

import contextlib
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_asr.config import (
    Config,
    MicrophoneSettings,
    config_schema,
    load_config,
    parse_config,
)
from edge_asr.errors import ConfigError
from edge_asr.records import Task
from edge_asr.settings import SECTIONS

WHOLE_FILE = """
microphones:
  - name: gate
    device: usb:0d8c:0014
    channel: 1
    sample_rate: 48000
  - name: line-2
    device: port:1-1.3
vad: {threshold: 0.6, neg_threshold: 0.4, min_silence_duration_ms: 500}
recognition:
  bundle: whisper-tiny.en
  languages: [de, "no"]
  task: translate
  target_language: en
  keywords: [Kanban, Siemens S7]
  threads: 2
"""


def test_a_whole_file_becomes_settings():
    config = parse_config(WHOLE_FILE)
    assert config.microphones == [
        MicrophoneSettings("gate", "usb:0d8c:0014", 1, 48_000),
        MicrophoneSettings("line-2", "port:1-1.3"),
    ]
    assert config.vad.neg_threshold == 0.4
    assert config.vad.speech_pad_ms == 300
    request = config.recognition.request
    assert request.task is Task.TRANSLATE
    assert request.allowed_languages == ("de", "no")
    assert request.keywords == ("Kanban", "Siemens S7")


@pytest.mark.parametrize("text", ["", "\n", "# all commented out\n", "{}", "---\n...\n", "\ufeff"])
def test_an_empty_file_means_the_defaults(text):
    assert parse_config(text) == Config()


def test_a_microphone_is_found_by_its_name_and_a_missing_one_lists_the_others():
    config = parse_config(WHOLE_FILE)
    assert config.microphone("gate").device == "usb:0d8c:0014"
    with pytest.raises(ConfigError, match=r"no microphone 'door' .* there: gate, line-2"):
        config.microphone("door")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "vad:\n  treshold: 0.5\n",
            ("line 2, column 3: unknown key 'treshold' in vad; did you mean 'threshold'?"),
        ),
        (
            "recogniton: {}",
            ("line 1, column 1: unknown key 'recogniton'; did you mean 'recognition'?"),
        ),
        (
            "microphones:\n- name: a\n- devise: x",
            ("line 3, column 3: unknown key 'devise' in microphones[1]; did you mean 'device'?"),
        ),
        ("xyzzy: 1", "line 1, column 1: unknown key 'xyzzy'"),
        ("vad:\n  threshold: 2\n", "line 2, column 14: vad.threshold: expected a number <= 1.0"),
        (
            "vad:\n  threshold: high",
            ("line 2, column 14: vad.threshold: expected a number, got text"),
        ),
        ("vad:", "line 1, column 5: vad: expected a section, got nothing"),
        ("microphones: []", "line 1, column 14: microphones: expected a list of length >= 1"),
        (
            "microphones: [{name: Gate 7}]",
            (
                "line 1, column 22: microphones[0].name: expected 1 to 32 lower-case letters, "
                "digits and hyphens"
            ),
        ),
        (
            "microphones: [{device: USB Audio}]",
            (
                "line 1, column 24: microphones[0].device: expected default, card:ID, "
                "usb:VENDOR:PRODUCT[:SERIAL], port:USB-PORT or name:PATTERN"
            ),
        ),
        (
            "recognition: {language: Deutsch}",
            "line 1, column 25: recognition.language: expected a language code such as en",
        ),
        ("microphones: [{}, {}]", "two microphones are called 'mic'; give each its own name"),
        (
            "recognition:\n  task: sing",
            (
                "line 2, column 9: recognition.task: 'sing' is no choice; "
                "edge-asr config schema lists what is"
            ),
        ),
        (
            "vad: {threshold: 0.3, neg_threshold: 0.4}",
            "vad.neg_threshold must not be above vad.threshold",
        ),
        ("- a\n- b", "expected a section, got a list"),
        ("just words", "expected a section, got text"),
    ],
)
def test_a_mistake_is_named_with_its_place(text, message):
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("code", ["no", "on", "yes", "off"])
def test_norway_is_a_country(code):
    assert parse_config(f"recognition: {{keywords: [{code}]}}").recognition.keywords == [code]


def test_norwegian_is_a_language():
    assert parse_config("recognition: {language: no}").recognition.language == "no"


@pytest.mark.parametrize(
    ("scalar", "meant"),
    [
        ("12:30:00", "12:30:00"),  # 45000 in YAML 1.1
        ("2026-11-24", "2026-11-24"),  # a date there
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_text_that_looks_like_a_number_of_yaml_1_1_stays_text(scalar, meant):
    assert parse_config(f"recognition: {{keywords: [{scalar}]}}").recognition.keywords == [meant]


def test_a_leading_zero_does_not_make_a_number_octal():
    assert parse_config("recognition: {threads: 010}").recognition.threads == 10


def test_a_version_number_is_not_silently_taken_for_text():
    with pytest.raises(ConfigError, match=r"microphones\[0\].device: expected text, got a number"):
        parse_config("microphones: [{device: 1.10}]")


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{chr(97 + i)}: &{chr(97 + i)} [*{chr(96 + i)}, *{chr(96 + i)}]\n" for i in range(1, 26)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "anchors and aliases are not allowed"),
        ("vad: &v {threshold: 0.4}", "line 1, column 6: anchors and aliases are not allowed"),
        ("vad: *v", "anchors and aliases are not allowed"),
        ("a: !!python/object/apply:os.system ['true']", "tags are not allowed"),
        ("vad: {threshold: !!float .nan}", "tags are not allowed"),
        ("a: !!timestamp x", "tags are not allowed"),
        ("a: !!int ''", "tags are not allowed"),
        ("!!set {a, b}", "tags are not allowed"),
        ("[" * 30_000, "nested too deeply"),
        ("{a: " * 10_000, "nested too deeply"),
        ("- " * 30_000, "nested too deeply"),
        ("vad: {threshold: 0.4, threshold: 0.6}", "line 1, column 23: 'threshold' is given twice"),
        ("vad: {}\nvad: {}", "line 2, column 1: 'vad' is given twice"),
        ("? [a, b]\n: c", "a key must be a word"),
        ("1: 2", "a key must be a word"),
        ("a: b\n---\na: b", "expected a single document"),
        (f"recognition: {{threads: {'9' * 5000}}}", "too long a number"),
        ("vad: {threshold: 1e999}", "expected a number <= 1.0"),
        ("a: b\x00", "not YAML"),
        (r'microphones: [{device: "\ud800"}]', "line 1, column 24: a control character"),
        (r'microphones: [{device: "a\0b"}]', "line 1, column 24: a control character"),
        ("a: [b", "line 1"),
        ("a: 'b", "line 1"),
        ("\ta: b", "line 1"),
    ],
)
def test_hostile_text_is_refused(text, message):
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_file_full_of_keys_is_refused_within_seconds():
    text = "{" + ",".join(f"k{i}:" for i in range(9000)) + "}"
    start = time.process_time()
    with pytest.raises(ConfigError):
        parse_config(text)
    assert time.process_time() - start < 10


def test_a_file_is_read_from_disk(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(WHOLE_FILE, encoding="utf-8")
    assert load_config(path) == parse_config(WHOLE_FILE)


def test_an_error_names_the_file(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("vda: {}", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == (
        f"{path}: line 1, column 1: unknown key 'vda'; did you mean 'vad'?"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"#" * (64 << 10) + b"\n", "larger than 64 KiB"),
        (b"vad: {}\n\xff", "not UTF-8 text"),
    ],
)
def test_a_file_too_large_or_not_text_is_refused(tmp_path, content, message):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == f"{path}: {message}"


def test_a_file_of_exactly_64_kib_is_read(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(b"#" * (64 << 10))
    assert load_config(path) == Config()


def test_an_endless_file_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "config.yaml"
    path.symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match="larger than 64 KiB"):
        load_config(path)


def test_a_missing_file_and_a_directory_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="No such file or directory"):
        load_config(tmp_path / "config.yaml")
    with pytest.raises(ConfigError, match="Is a directory"):
        load_config(tmp_path)


def test_every_setting_is_described_in_the_schema():
    schema = config_schema()
    for section in SECTIONS.values():
        definition = schema["$defs"][section.__name__]
        assert definition["additionalProperties"] is False
        for name in section.__struct_fields__:
            assert len(definition["properties"][name]["description"]) > 20, name


WORDS = st.sampled_from(
    [
        *("microphones", "vad", "recognition", "name", "device", "threshold", "task", "languages"),
        *("mic", "no", "0.5", "-1", "1e9", "null", "~", "true", "[", "]", "{", "}", ":", "- ", ","),
        *(
            "? ",
            "&a",
            "*a",
            "!!str",
            "!!set",
            "<<",
            "|",
            ">",
            "'",
            '"',
            "\n",
            "\n  ",
            " ",
            "#",
            "%",
        ),
    ],
)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda child: (
        st.lists(child, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [name for section in SECTIONS.values() for name in section.__struct_fields__],
            )
            | st.text(max_size=5),
            child,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def refused_or_read(text):
    with contextlib.suppress(ConfigError):
        assert isinstance(parse_config(text), Config)


@settings(max_examples=400, deadline=None)
@given(st.lists(WORDS, max_size=25).map("".join) | st.text(max_size=200))
def test_whatever_the_text_it_is_read_or_refused(text):
    refused_or_read(text)


@settings(max_examples=300, deadline=None)
@given(TREES)
def test_whatever_the_tree_it_is_read_or_refused(tree):
    refused_or_read(json.dumps(tree))
