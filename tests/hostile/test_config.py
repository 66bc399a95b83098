"""Whatever a configuration file holds, it is a configuration, or one sentence."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_asr.config import Config, load_config
from edge_asr.errors import ConfigError
from tests.hostile.mutation import HOSTILE, is_one_sentence, mutations_of

EXAMPLE = Path(__file__).resolve().parents[2] / "systemd" / "config.example.yaml"


def loaded_or_refused(path):
    try:
        assert isinstance(load_config(path), Config)
    except ConfigError as error:
        is_one_sentence(error, path)


@HOSTILE
@given(content=mutations_of(EXAMPLE.read_bytes()) | st.binary(max_size=500))
def test_a_changed_file_is_a_configuration_or_one_sentence(tmp_path, content):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    loaded_or_refused(path)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 60_000,
        b"a: " * 20_000,
        b"? " * 30_000,
        b"{" * 30_000 + b"}" * 30_000,
        b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        b"vad: {threshold: " + b"9" * 60_000 + b"}",
        b"vad: {threshold: 1e999999}",
        b"vad: {threshold: .nan}",
        b"!!python/object/apply:os.system ['true']",
        b"microphones: !!python/name:os.system",
        b"!<tag:yaml.org,2002:binary> aGk=",
        b"<<: {vad: 1}",
        b"\x00",
        b"\xff\xfe\x00",
        b"# " + b"x" * (64 << 10),
        b"%YAML 9.9\n---\n",
        b"---\n---\n",
    ],
    ids=lambda content: repr(content[:24]),
)
def test_what_takes_other_readers_down_is_one_sentence(tmp_path, content):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    is_one_sentence(caught.value)


def test_a_file_without_an_end_is_not_read_to_it(tmp_path):
    with pytest.raises(ConfigError, match="larger than"):
        load_config(Path("/dev/zero"))
    with pytest.raises(ConfigError):
        load_config(tmp_path)
