"""Granite Speech's prompts: a request -> the tokens around the sound.

The manifest carries the template and the instructions; the bundle's tokenizer makes tokens of
them. There is no language token: what language is spoken, the model hears by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from edge_asr.errors import BundleError, RequestError
from edge_asr.recognizers.keywords import normalized
from edge_asr.records import Task

if TYPE_CHECKING:
    from edge_asr.recognizers.tokenizer import Tokenizer
    from edge_asr.records import Request

MAX_KEYWORD_TOKENS = 160
"""What keywords may take of the 256 positions that an export keeps free for the prompt."""
ENGLISH = "en"
"""The target of a translation for which :class:`edge_asr.records.Request` names none. Granite was
taught to translate from English and into it, and no other pair (its model card)."""
_SEPARATOR = ", "


class Template(msgspec.Struct, frozen=True):
    """Where an instruction goes."""

    template: str
    """With ``{instruction}`` and, once, the audio token."""
    audio_token: str


class Instructions(msgspec.Struct, frozen=True):
    """What the model is told, with ``{keywords}`` and ``{language}`` to be filled in.

    None: the model was not taught that.
    """

    transcribe: str
    transcribe_keywords: str | None = None
    translate: str | None = None
    translate_keywords: str | None = None
    punctuated: str | None = None
    translate_punctuated: str | None = None

    def choose(self, request: Request, *, with_keywords: bool) -> str | None:
        """Return the instruction for a request, or None if the model was taught none."""
        translates = request.task is Task.TRANSLATE
        if with_keywords and request.punctuated:
            return None
        if with_keywords:
            return self.translate_keywords if translates else self.transcribe_keywords
        if request.punctuated:
            return self.translate_punctuated if translates else self.punctuated
        return self.translate if translates else self.transcribe


@dataclass(frozen=True, slots=True)
class Prompt:
    """The tokens around the sound."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    n_keywords_left_out: int


class Prompts:
    """Writes the prompts of one bundle."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: Template,
        instructions: Instructions,
        language_names: dict[str, str],
        *,
        bundle_name: str,
    ) -> None:
        """Check the template.

        Raises:
            BundleError: it cannot be filled in, or has not one audio token.
        """
        self._tokenizer = tokenizer
        self._template = template.template
        self._instructions = instructions
        self._language_names = language_names
        self._bundle_name = bundle_name
        audio_ids = tokenizer.encode(template.audio_token)
        if len(audio_ids) != 1:
            raise BundleError(
                f"bundle {bundle_name}: its tokenizer does not know {template.audio_token}"
            )
        self._audio_id = audio_ids[0]
        self._around(instructions.transcribe)

    def prompt(self, request: Request) -> Prompt:
        """Return the prompt for a request.

        Raises:
            RequestError: the model was not taught what is asked.
        """
        given = normalized(request.keywords)
        instruction = self._instructions.choose(request, with_keywords=bool(given))
        if instruction is None:
            raise RequestError(f"bundle {self._bundle_name} cannot {_asked(request)}")
        taken = self._within_limit(given)
        instruction = _filled(
            instruction,
            self._bundle_name,
            keywords=_SEPARATOR.join(taken),
            language=self._target(request),
        )
        before, after = self._around(instruction)
        return Prompt(before, after, len(given) - len(taken))

    def _target(self, request: Request) -> str:
        """Return the name of the language to translate into."""
        if request.task is not Task.TRANSLATE:
            return ""
        spoken, target = request.language, request.target_language or ENGLISH
        if target not in self._language_names:
            raise RequestError(f"bundle {self._bundle_name} cannot translate into '{target}'")
        if spoken is not None and (spoken == target or ENGLISH not in {spoken, target}):
            raise RequestError(
                f"bundle {self._bundle_name} cannot translate from '{spoken}' into '{target}'; "
                "it translates from English, or into it",
            )
        return self._language_names[target]

    def _within_limit(self, keywords: list[str]) -> list[str]:
        """Return the first keywords that fit."""
        n_taken = len(keywords)
        while len(self._tokenizer.encode(_SEPARATOR.join(keywords[:n_taken]))) > MAX_KEYWORD_TOKENS:
            n_taken -= 1
        return keywords[:n_taken]

    def _around(self, instruction: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        text = _filled(self._template, self._bundle_name, instruction=instruction)
        token_ids = tuple(self._tokenizer.encode(text))
        if token_ids.count(self._audio_id) != 1:
            raise BundleError(f"bundle {self._bundle_name}: its prompt has not one audio token")
        place = token_ids.index(self._audio_id)
        return token_ids[:place], token_ids[place + 1 :]


def _filled(text: str, bundle_name: str, **values: str) -> str:
    try:
        return text.format(**values)
    except (KeyError, IndexError, ValueError) as error:
        raise BundleError(f"bundle {bundle_name}: bad prompt {text!r} in its manifest") from error


def _asked(request: Request) -> str:
    """Return a request in words."""
    words = [str(request.task)]
    if request.keywords:
        words.append("with keywords")
    if request.punctuated:
        words.append("and punctuation" if request.keywords else "with punctuation")
    return " ".join(words)
