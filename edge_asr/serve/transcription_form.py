"""What a form asks for: OpenAI's fields and a few of our own, checked; unknown ones are refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_asr.errors import ConfigError
from edge_asr.numerals import Numerals
from edge_asr.records import Task
from edge_asr.serve.problems import BAD_REQUEST, ProblemError

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge_asr.serve.models import Model, Models
    from edge_asr.serve.uploads import Form

FORMATS = ("json", "text", "srt", "vtt", "verbose_json")
GRANULARITIES = ("segment", "word")
_STREAMED = ("json", "text")
_COMMON = (
    *("model", "language", "prompt", "response_format", "temperature", "keywords", "numerals"),
    "stream",
)
FIELDS = {
    Task.TRANSCRIBE: (*_COMMON, "timestamp_granularities", "chunking_strategy"),
    Task.TRANSLATE: (*_COMMON, "target_language"),
}
"""Task -> the fields that its form may have beside the file."""
_LISTS = ("keywords", "timestamp_granularities")
_LANGUAGE = re.compile(r"[a-z]{2,3}", re.ASCII)
_LONGEST_TERM = 4
"""Words of a term in a glossary; what is longer is a sentence."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be done with a file."""

    model: Model
    request: dict[str, Any]
    """What is asked of the recognizer, for the process that transcribes."""
    response_format: str
    granularities: tuple[str, ...]
    numerals: bool | None
    """Whether numbers are written as digits; None: as configured."""
    stream: bool
    ignored: tuple[str, ...]
    """Fields that this model has no use for."""


def wanted(form: Form, task: Task, models: Models) -> Wanted:
    """Return what a form asks for.

    Raises:
        ProblemError: something that is not there, or makes no sense.
    """
    asked = _Fields(form, FIELDS[task])
    model = models.find(asked.text("model") or "default")
    can = model.manifest.capabilities
    keywords = _terms(asked.all("keywords"))
    prompt = asked.text("prompt").strip()
    hints = _glossary(prompt) if can.keywords and not keywords else ()
    asked.number("temperature", 0.0, 1.0)
    asked.choice("chunking_strategy", ("auto",))
    response_format = asked.choice("response_format", FORMATS) or "json"
    granularities = _granularities(asked, response_format, model)
    stream = asked.choice("stream", ("true", "false")) == "true"
    numerals = _numerals(asked)
    if stream and response_format not in _STREAMED:
        sentence = f"response_format: of a stream it is {' or '.join(_STREAMED)}"
        raise ProblemError(BAD_REQUEST, sentence, "response_format")
    request = {
        "task": task.value,
        "language": asked.language("language"),
        "target_language": asked.language("target_language"),
        "keywords": [*keywords, *hints],
        "said_before": prompt if can.context and not hints else "",
    }
    ignored = ("prompt",) if prompt and not (hints or can.context) else ()
    return Wanted(model, request, response_format, granularities, numerals, stream, ignored)


def _numerals(asked: _Fields) -> bool | None:
    value = asked.choice("numerals", ("true", "false"))
    if value == "true":
        try:
            Numerals()
        except ConfigError as error:  # known before the file waits for its turn
            raise ProblemError(BAD_REQUEST, f"numerals: {error}", "numerals") from error
    return value == "true" if value else None


def _granularities(asked: _Fields, response_format: str, model: Model) -> tuple[str, ...]:
    name = "timestamp_granularities"
    given = asked.all(name)
    if not given:
        return ("segment",)
    if not set(given) <= set(GRANULARITIES):
        raise ProblemError(BAD_REQUEST, f"{name}: are {' and '.join(GRANULARITIES)}", name)
    if response_format != "verbose_json":
        sentence = f"{name}: goes with response_format verbose_json"
        raise ProblemError(BAD_REQUEST, sentence, name)
    if "word" in given and not model.manifest.capabilities.timestamps:
        sentence = (
            f"{name}: model {model.manifest.name} does not say when each word was said; ask for "
            "segments, or choose a model that /v1/models says has timestamps"
        )
        raise ProblemError(BAD_REQUEST, sentence, name)
    return tuple(given)


class _Fields:
    """The fields of a form."""

    def __init__(self, form: Form, known: Collection[str]) -> None:
        self._fields = form.fields
        for name, values in self._fields.items():
            if name not in known:
                there = ", ".join(("file", *known))
                raise ProblemError(BAD_REQUEST, f"no field '{name[:64]}'; there: {there}", name)
            if len(values) > 1 and name not in _LISTS:
                raise ProblemError(BAD_REQUEST, f"{name}: is given twice", name)
        if form.path is None:
            raise ProblemError(BAD_REQUEST, "file: is missing; send the sound as a file", "file")

    def all(self, name: str) -> list[str]:
        return [value for value in self._fields.get(name, []) if value]

    def text(self, name: str) -> str:
        return next(iter(self._fields.get(name, [])), "")

    def choice(self, name: str, choices: Collection[str]) -> str:
        value = self.text(name)
        if value and value not in choices:
            raise ProblemError(BAD_REQUEST, f"{name}: is one of {', '.join(choices)}", name)
        return value

    def language(self, name: str) -> str | None:
        value = self.text(name)
        if value and not _LANGUAGE.fullmatch(value):
            raise ProblemError(BAD_REQUEST, f"{name}: is a code such as en or de (ISO 639-1)", name)
        return value or None

    def number(self, name: str, low: float, high: float) -> None:
        value = self.text(name)
        try:
            is_one = not value or low <= float(value) <= high
        except ValueError:
            is_one = False
        if not is_one:
            raise ProblemError(BAD_REQUEST, f"{name}: is a number from {low} to {high}", name)


def _terms(values: list[str]) -> tuple[str, ...]:
    return tuple(term.strip() for value in values for term in value.split(",") if term.strip())


def _glossary(prompt: str) -> tuple[str, ...]:
    """Return the terms of a prompt that lists some, as many do; () where it is prose."""
    terms = _terms([prompt.replace("\n", ",").rstrip(" .")])
    return terms if all(len(term.split()) <= _LONGEST_TERM for term in terms) else ()
