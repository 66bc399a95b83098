"""YAML -> frozen, validated settings. The one door to yaml.

One file, every setting with a working default, unknown keys refused with a suggestion. The file is
small, without anchors, and read by the rules of YAML 1.2 where those of 1.1 surprise: ``no`` is a
language, not a false.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import yaml

from edge_asr.errors import ConfigError
from edge_asr.records import Request, Task

if TYPE_CHECKING:
    from pathlib import Path

_MAX_BYTES = 64 << 10

SourceName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Probability = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=60_000)]


class MicrophoneSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One microphone."""

    name: SourceName = "mic"
    """What the log calls it: lower-case letters, digits, hyphens."""
    device: str = "default"
    """Which one: ``default``, ``card:ID``, ``usb:VENDOR:PRODUCT[:SERIAL]``, ``port:USB-PORT`` or
    ``name:PATTERN``. ``edge-asr devices`` prints what to put here."""
    channel: Annotated[int, msgspec.Meta(ge=0, le=63)] | None = None
    """Which channel to hear, from 0; null mixes all of them."""
    sample_rate: Annotated[int, msgspec.Meta(ge=8000, le=192_000)] | None = None
    """Rate to open it at, hertz; null: its own."""


class VadSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How speech is told from silence. The names are Silero's."""

    bundle: str = "silero-vad"
    threshold: Probability = 0.5
    """Speech probability from which speech begins."""
    neg_threshold: Probability | None = None
    """Probability below which a pause begins; null: ``threshold`` - 0.15."""
    min_speech_duration_ms: Milliseconds = 250
    """Shorter bursts of speech are dropped."""
    max_speech_duration_s: Annotated[float, msgspec.Meta(ge=2.0, le=29.0)] = 28.0
    """The longest utterance; it is cut at its best pause."""
    min_silence_duration_ms: Milliseconds = 700
    """The pause that ends an utterance."""
    speech_pad_ms: Milliseconds = 300
    """Sound kept before and after speech."""


class RecognitionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How speech becomes text."""

    bundle: str = "whisper-base"
    """A bundle's name, or the path of its directory."""
    language: str | None = None
    """Spoken language (ISO 639-1); null detects it."""
    languages: list[str] = []
    """Languages that detection may answer; empty: all that the bundle knows."""
    task: Task = Task.TRANSCRIBE
    target_language: str | None = None
    """For the task translate; null: English."""
    keywords: list[str] = []
    threads: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    """0: all cores but one."""

    @property
    def request(self) -> Request:
        """What is asked of the recognizer."""
        return Request(
            task=self.task,
            language=self.language,
            allowed_languages=tuple(self.languages),
            target_language=self.target_language,
            keywords=tuple(self.keywords),
        )


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set."""

    microphones: Annotated[list[MicrophoneSettings], msgspec.Meta(min_length=1, max_length=16)] = (
        msgspec.field(default_factory=lambda: [MicrophoneSettings()])
    )
    vad: VadSettings = VadSettings()
    recognition: RecognitionSettings = RecognitionSettings()

    def microphone(self, name: str) -> MicrophoneSettings:
        """Return the settings of the microphone called ``name``.

        Raises:
            ConfigError: there is none.
        """
        for microphone in self.microphones:
            if microphone.name == name:
                return microphone
        names = ", ".join(microphone.name for microphone in self.microphones)
        raise ConfigError(f"no microphone '{name}' in the configuration; there: {names}")


def load_config(path: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigError: it cannot be read, or something in it is wrong; the message says what and where.
    """
    try:
        raw = path.read_bytes()[: _MAX_BYTES + 1]
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if len(raw) > _MAX_BYTES:
        raise ConfigError(f"{path}: larger than {_MAX_BYTES >> 10} KiB")
    try:
        return parse_config(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse_config(text: str) -> Config:
    """Check the text of a configuration file.

    Raises:
        ConfigError: something in it is wrong.
    """
    tree = _parse_yaml(text)
    try:
        config = msgspec.convert({} if tree is None else tree, type=Config)
    except msgspec.ValidationError as error:
        raise ConfigError(_explained(str(error))) from error
    _check(config)
    return config


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of a configuration file."""
    return msgspec.json.schema(Config)


def _check(config: Config) -> None:
    names = [microphone.name for microphone in config.microphones]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two microphones are called '{name}'; give each its own name")
    vad = config.vad
    if vad.neg_threshold is not None and vad.neg_threshold > vad.threshold:
        raise ConfigError("vad.neg_threshold must not be above vad.threshold")
    recognition = config.recognition
    if recognition.language and recognition.languages:
        raise ConfigError("recognition: give either language or languages, not both")


class _Loader(yaml.SafeLoader):
    """Safe YAML without anchors, and with the booleans and numbers of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(
                problem="anchors and aliases are not allowed",
                problem_mark=event.start_mark,
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        keys = [key.value for key, _ in node.value]
        for key, value in node.value:
            if keys.count(key.value) > 1:
                raise yaml.MarkedYAMLError(
                    problem=f"'{key.value}' is given twice",
                    problem_mark=value.start_mark,
                )
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", "n~"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(rf"^(?:{_pattern})$"),
        [*_first, *([""] if _tag == "null" else [])],
    )


def _parse_yaml(text: str) -> Any:  # noqa: ANN401
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError(f"{where}{error.problem or error.context or 'not YAML'}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"not YAML: {error}") from error
    except RecursionError as error:
        raise ConfigError("nested too deeply") from error


_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>[^`]*)`( - at `\$\.?(?P<at>.*)`)?")
_WRONG = re.compile(r"(?P<problem>.*) - at `\$\.?(?P<at>.*)`", re.DOTALL)


def _explained(message: str) -> str:
    """Return msgspec's message in our own words, with a suggestion for an unknown key."""
    if match := _UNKNOWN.fullmatch(message):
        key, at = match["key"], match["at"] or ""
        close = difflib.get_close_matches(key, _keys_at(at), n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        inside = f" in {at}" if at else ""
        return f"unknown key '{key}'{inside}{hint}"
    if match := _WRONG.fullmatch(message):
        return f"{match['at']}: {match['problem'].replace('`', '')}"
    return message.replace("`", "")


def _keys_at(at: str) -> list[str]:
    """Return the keys that may stand at ``at``, a path such as ``vad`` or ``microphones[0]``."""
    sections = {
        "": Config,
        "vad": VadSettings,
        "recognition": RecognitionSettings,
        "microphones[]": MicrophoneSettings,
    }
    section = sections.get(re.sub(r"[0-9]+|\.\.\.", "", at))
    return [field.encode_name for field in msgspec.structs.fields(section)] if section else []
