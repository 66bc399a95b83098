"""Greedy search in several utterances at once.

A step of a decoder reads all of its weights, for one utterance or for eight: together they take a
fraction of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from edge_asr.recognizers.decoding import GreedySearch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_asr.recognizers import Recognizer
    from edge_asr.recognizers.decoding import Choice, Decoded
    from edge_asr.records import Recognition, Request, Waveform


@runtime_checkable
class RecognizesTogether(Protocol):
    """A recognizer that is faster with several utterances than with one after another."""

    def transcribe_all(self, waveforms: Sequence[Waveform], request: Request) -> list[Recognition]:
        """Recognize utterances; see :func:`transcribe_all`."""


class Begun(NamedTuple):
    """An utterance whose prompt was fed."""

    first: Choice
    """What was answered to it."""
    max_tokens: int
    """Give up after so many."""


class Turns(Protocol):
    """Utterances that take turns in the rows of a decoder."""

    def begin(self, row: int) -> Begun | None:
        """Feed the next utterance's prompt to a row; None: there is none left."""

    def end(self, row: int, decoded: Decoded) -> None:
        """Take what was found in a row's utterance."""


class Rows(Protocol):
    """A decoder with several utterances, each in a row of its own."""

    def step(self, token_ids: Mapping[int, int]) -> dict[int, Choice]:
        """Go on.

        Args:
            token_ids: the next token of each row that goes on. A row that is left out has ended,
                and nothing begins in it.

        Returns:
            For each of these rows, the likeliest token after it.
        """


def transcribe_all(
    recognizer: Recognizer, waveforms: Sequence[Waveform], request: Request
) -> list[Recognition]:
    """Recognize several utterances that nobody waits for one by one.

    Args:
        recognizer: of any family; one that gains nothing by it hears them one after another.
        waveforms: of about the same length, at best; their order is that of what is returned.
        request: what to do with each.

    Raises:
        RequestError: the bundle cannot do what is asked.
    """
    if isinstance(recognizer, RecognizesTogether):
        return recognizer.transcribe_all(waveforms, request)
    return [recognizer.transcribe(waveform, request) for waveform in waveforms]


def greedy_together(rows: Rows, n_rows: int, turns: Turns, *, end_token: int) -> None:
    """Search in each utterance for what greedy search finds in it alone.

    Args:
        rows: the decoder.
        n_rows: utterances that it takes at once.
        turns: gives them, and takes what is found.
        end_token: ends a text.
    """
    searches: dict[int, GreedySearch] = {}
    going: dict[int, int] = {}

    def begin(row: int) -> None:
        while (begun := turns.begin(row)) is not None:
            searches[row] = GreedySearch(end_token=end_token, max_tokens=begun.max_tokens)
            take(row, begun.first)
            if row in going:
                return

    def take(row: int, choice: Choice) -> None:
        token = searches[row].take(choice)
        if token is None:
            going.pop(row, None)
            turns.end(row, searches[row].decoded())
        else:
            going[row] = token

    for row in range(n_rows):
        begin(row)
    while going:
        for row, choice in rows.step(going).items():
            take(row, choice)
            if row not in going:
                begin(row)
