"""YAML -> frozen, validated settings. The one door to yaml.

One file, every setting with a working default, unknown keys refused with a suggestion. The file is
small, without anchors and tags, and read by the rules of YAML 1.2 where those of 1.1 surprise:
``no`` is a language, not a false, and ``010`` is ten, not eight.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
import yaml

from edge_asr.capture_settings import MicrophoneSettings, VadSettings
from edge_asr.errors import ConfigError
from edge_asr.settings import IN_WORDS, SECTIONS, Config, RecognitionSettings
from edge_asr.settings_schema import config_schema

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "SECTIONS",
    "Config",
    "MicrophoneSettings",
    "RecognitionSettings",
    "VadSettings",
    "config_schema",
    "load_config",
    "parse_config",
]

_MAX_BYTES = 64 << 10
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""What escapes can smuggle into a string: nothing here is longer than a line, and half a surrogate
pair can neither be printed nor stored."""


def load_config(path: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigError: it cannot be read, or something in it is wrong; the message says where.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
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
    root, tree = _parse_yaml(text)
    try:
        config = msgspec.convert({} if tree is None else tree, type=Config)
    except msgspec.ValidationError as error:
        raise ConfigError(_explained(str(error), root)) from error
    _check(config)
    return config


def _check(config: Config) -> None:
    for what, named in (("microphones", config.microphones), ("hooks", config.hooks)):
        names = [each.name for each in named]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"two {what} are called '{name}'; give each its own name")
    vad = config.vad
    if vad.neg_threshold is not None and vad.neg_threshold > vad.threshold:
        raise ConfigError("vad.neg_threshold must not be above vad.threshold")
    if vad.rejected_threshold > vad.threshold:
        raise ConfigError("vad.rejected_threshold must not be above vad.threshold")


class _Loader(yaml.SafeLoader):
    """Safe YAML without anchors and tags, and with the booleans and numbers of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            _refuse("anchors and aliases are not allowed", event.start_mark)
        if getattr(event, "tag", None) is not None:
            _refuse("tags are not allowed", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                _refuse("a key must be a word", key.start_mark)
            if key.value in seen:
                _refuse(f"'{key.value}' is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_text(self, node: yaml.ScalarNode) -> str:
        if _NO_TEXT.search(node.value):
            _refuse("a control character or half a character", node.start_mark)
        return str(node.value)

    def construct_number(self, node: yaml.ScalarNode) -> float:
        try:
            return (int if node.tag.endswith(":int") else float)(node.value)
        except ValueError:  # Python refuses integers of more than 4300 digits
            _refuse("too long a number", node.start_mark)


def _refuse(problem: str, mark: yaml.Mark) -> NoReturn:
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


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
for _tag, _construct in (
    ("str", _Loader.construct_text),
    ("int", _Loader.construct_number),
    ("float", _Loader.construct_number),
):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _construct)


def _parse_yaml(text: str) -> tuple[yaml.Node | None, Any]:
    """Return the document as nodes, which know their lines, and as plain Python."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        return root, None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(_where(error.problem_mark) + problem) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"not YAML: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise ConfigError("nested too deeply") from error


def _where(mark: yaml.Mark | None) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""


_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.*?)`(?: - at `\$\.?(?P<at>.*)`)?")
_WORDS = {
    "object": "a section",
    "array": "a list",
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
}
"""msgspec's names of types -> ours."""
_WRONG = re.compile(r"(?P<problem>.*) - at `\$\.?(?P<at>.*)`", re.DOTALL)


def _explained(message: str, root: yaml.Node | None) -> str:
    """Return msgspec's message in our own words: the line, and a suggestion for an unknown key."""
    if match := _UNKNOWN.fullmatch(message):
        key, at = match["key"], match["at"] or ""
        close = difflib.get_close_matches(key, _keys_at(at), n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        inside = f" in {at}" if at else ""
        return f"{_where(_mark(root, at, key))}unknown key '{key}'{inside}{hint}"
    if match := _WRONG.fullmatch(message):
        setting = f"{match['at']}: " if match["at"] else ""
        return f"{_where(_mark(root, match['at']))}{setting}{_in_words(match['problem'])}"
    return _in_words(message)


def _in_words(problem: str) -> str:
    def words(match: re.Match[str]) -> str:
        return " or ".join(_WORDS.get(name, name) for name in match[1].split(" | "))

    if match := re.fullmatch("Invalid enum value (.*)", problem, re.DOTALL):
        return f"{match[1]} is no choice; edge-asr config schema lists what is"
    for pattern, meaning in IN_WORDS.items():
        problem = problem.replace(f"`str` matching regex {pattern!r}", meaning)
    return re.sub("`([^`]*)`", words, problem[:1].lower() + problem[1:])


def _mark(root: yaml.Node | None, at: str, key: str | None = None) -> yaml.Mark | None:
    """Return where in the file the value at ``at`` stands, or ``key`` in it; None if unclear."""
    node = root
    for step in re.findall(r"[^.\[\]]+", at):
        if isinstance(node, yaml.MappingNode):
            node = next((value for name, value in node.value if name.value == step), None)
        elif isinstance(node, yaml.SequenceNode) and step.isdecimal():
            node = node.value[int(step)]
        else:
            return None
    if key is not None and isinstance(node, yaml.MappingNode):
        node = next((name for name, _ in node.value if name.value == key), node)
    return node.start_mark if node is not None else None


def _keys_at(at: str) -> list[str]:
    """Return the keys that may stand at ``at``, a path such as ``vad`` or ``microphones[0]``."""
    section = SECTIONS.get(re.sub(r"\[[^]]*\]", "[]", at))
    return list(section.__struct_fields__) if section else []
