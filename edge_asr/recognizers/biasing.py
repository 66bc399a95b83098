"""Keywords that a decoder is nudged towards: a prefix tree over their tokens.

Shallow fusion with a contextual prefix tree (Zhao et al., 2019; Le et al., 2021): what would begin
or go on with a keyword gets a bonus on its logit, so it wins where the model itself nearly chose
it, and nowhere else. The bonus, in nats, is how far behind the likeliest token it may be.

Greedy search cannot take a bonus back once a keyword breaks off, so beginnings get little of it: a
first token only the share of its keyword that it spells. Two rules keep a list from leaking into
text that nobody spoke: where the model would end, no keyword begins; and after a keyword none
begins at once, so that none is repeated in a loop.

The probabilities of what was chosen are the model's own: :func:`likeliest_biased` measures them
before the bonus.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge_asr.recognizers.decoding import Choice, likeliest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from edge_asr.recognizers.decoding import Logits

STRENGTH = 3.0
"""Nats of bonus for what goes on with a keyword."""
_WIDE = frozenset("WF")
"""East Asian widths of scripts that are written without spaces."""


@dataclass(slots=True)
class _Node:
    """A beginning of keywords."""

    bonus: float = 0.0
    """Share of the strength that its token gets, 0 to 1."""
    ends: bool = False
    """Whether a keyword is complete here."""
    children: dict[int, _Node] = field(default_factory=dict)


class KeywordBias:
    """A logit filter that favours keywords.

    It remembers nothing: what it does depends on the logits and the tokens so far alone, so one
    serves any number of texts, and hypotheses of one text, at once.

    Args:
        sequences: token ids of each way to write a keyword, and the share of its letters that
            each of its tokens completes (see :func:`spellings`).
        end_token: ends the text.
        strength: bonus for what goes on with a keyword, nats.
    """

    def __init__(
        self,
        sequences: Iterable[Spelling],
        *,
        end_token: int,
        strength: float = STRENGTH,
    ) -> None:
        self._end_token = end_token
        self._strength = strength
        self._root = _Node()
        self._longest = 0
        for spelling in sequences:
            self._add(spelling)

    def __bool__(self) -> bool:
        return bool(self._root.children)

    def __call__(self, logits: Logits, token_ids: Sequence[int]) -> None:
        """Add the bonus in place.

        Args:
            logits: of the next token, shape ``(vocab_size,)``; what may not come is ``-inf``.
            token_ids: the text so far, without the prompt.
        """
        nodes = list(self._reached(token_ids))
        if int(logits.argmax()) != self._end_token and not any(node.ends for node in nodes):
            nodes.append(self._root)
        bonuses: dict[int, float] = {}
        for node in nodes:
            for token, child in node.children.items():
                bonuses[token] = max(bonuses.get(token, 0.0), child.bonus)
        for token, bonus in bonuses.items():
            logits[token] += self._strength * bonus

    def _add(self, spelling: Spelling) -> None:
        node = self._root
        for token, share in zip(spelling.token_ids, spelling.shares, strict=True):
            child = node.children.setdefault(token, _Node())
            # Only a beginning is held back: whoever has begun is meant to go on.
            child.bonus = max(child.bonus, share if node is self._root else 1.0)
            node = child
        node.ends = True
        self._longest = max(self._longest, len(spelling.token_ids))

    def _reached(self, token_ids: Sequence[int]) -> Iterator[_Node]:
        """Yield where in the tree each end of the text leads, if it leads anywhere."""
        for length in range(1, min(self._longest, len(token_ids)) + 1):
            node: _Node | None = self._root
            for token in token_ids[len(token_ids) - length :]:
                node = node.children.get(token) if node is not None else None
            if node is not None:
                yield node


@dataclass(frozen=True, slots=True)
class Spelling:
    """One way to write a keyword."""

    token_ids: tuple[int, ...]
    shares: tuple[float, ...]
    """For each token: which share of the letters is written with it and those before, 0 to 1."""


def spellings(
    keywords: Iterable[str],
    encode: Callable[[str], Sequence[int]],
    decode: Callable[[Sequence[int]], str],
) -> list[Spelling]:
    """Return the ways in which keywords may stand in a text.

    A keyword stands after a space, as it is given and with a capital letter at its beginning; in
    scripts without spaces it may stand anywhere.

    Args:
        keywords: words, or several with spaces between.
        encode: text -> token ids, without special tokens.
        decode: the reverse.
    """
    found: dict[tuple[int, ...], Spelling] = {}
    for keyword in keywords:
        for text in _forms(" ".join(keyword.split())):
            token_ids = tuple(encode(text))
            lengths = [len(decode(token_ids[: n + 1]).strip()) for n in range(len(token_ids))]
            n_letters = max(lengths, default=0)
            if n_letters:
                shares = tuple(length / n_letters for length in lengths)
                found[token_ids] = Spelling(token_ids, shares)
    return list(found.values())


def _forms(keyword: str) -> Iterator[str]:
    if not keyword:
        return
    for form in dict.fromkeys([keyword, keyword[0].upper() + keyword[1:]]):
        yield f" {form}"
        if unicodedata.east_asian_width(form[0]) in _WIDE:
            yield form


def likeliest_biased(logits: Logits, token_ids: Sequence[int], bias: KeywordBias | None) -> Choice:
    """Return the likeliest token with the bonus, and its probability without.

    Args:
        logits: of the next token, after all that is forbidden; altered in place.
        token_ids: the text so far.
        bias: the keywords; None: there are none.
    """
    if not bias:
        return likeliest(logits)
    plain = likeliest(logits)
    log_total = float(logits[plain.token_id]) - plain.logprob
    before = logits.copy()
    bias(logits, token_ids)
    token = int(logits.argmax())
    return Choice(token, float(before[token]) - log_total)
