"""A chat template -> the pieces around the words of system and user.

Transformers' templates are programs (Jinja). The device runs none: what a template writes around
two turns is found by rendering it with marks in place of the words. A template that cannot be
expressed so (it depends on the words, or on the day) is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.errors import SourceError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SYSTEM, _USER = "§system§", "§user§"
_PROBES = (
    (_SYSTEM, _USER),
    ("Be brief.", "A first line,\n\na {second} one: 'x' & <y>."),
    ("s" * 500, "u"),
)
_DAYS = ("1 January 2001", "31 December 2002")

Pieces = tuple[str, ...]


def chat_pieces(tokenizer: PreTrainedTokenizerBase) -> dict[str, Pieces | None]:
    """Return what the manifest says of the chat template: see ``Chat`` of the text recognizer.

    Raises:
        SourceError: there is no template, or it cannot be expressed by pieces.
    """
    if not tokenizer.chat_template:
        raise SourceError(
            "the tokenizer has no chat template; take an instruction-tuned model, whose "
            "tokenizer_config.json or chat_template.jinja has one",
        )
    with_system = _pieces(tokenizer, with_system=True)
    without_system = _pieces(tokenizer, with_system=False)
    if with_system is None and without_system is None:
        raise SourceError(
            "the chat template writes more than fixed words around the system's and the user's: "
            "it cannot be used on a device, which runs no templates",
        )
    return {"with_system": with_system, "without_system": without_system}


def _pieces(tokenizer: PreTrainedTokenizerBase, *, with_system: bool) -> Pieces | None:
    """Return the words around; None where the template takes no such turns or has no fixed ones."""
    marked = _render(tokenizer, *_PROBES[0], with_system=with_system)
    if marked is None:
        return None
    marks = [_SYSTEM, _USER] if with_system else [_USER]
    pieces, rest = list[str](), marked
    for mark in marks:
        before, found, rest = rest.partition(mark)
        if not found:
            return None
        pieces.append(before)
    pieces.append(rest)
    if any(mark in piece for piece in pieces for mark in marks):
        return None
    for system, user in _PROBES:
        words = [system, user] if with_system else [user]
        expected = "".join(part for pair in zip(pieces, [*words, ""], strict=True) for part in pair)
        for day in _DAYS:
            if _render(tokenizer, system, user, with_system=with_system, day=day) != expected:
                return None
    return tuple(pieces)


def _render(
    tokenizer: PreTrainedTokenizerBase,
    system: str,
    user: str,
    *,
    with_system: bool,
    day: str = _DAYS[0],
) -> str | None:
    """Return what the template makes of two turns or one; None where it refuses them."""
    from jinja2 import TemplateError

    turns = [{"role": "system", "content": system}] if with_system else []
    turns.append({"role": "user", "content": user})
    try:
        rendered: str = tokenizer.apply_chat_template(
            turns,
            tokenize=False,
            add_generation_prompt=True,
            strftime_now=lambda _format: day,
            date_string=day,
        )
    except TemplateError:
        return None
    return rendered
