"""Fast drafts: a draft that the decoder finds likely enough is taken for the text.

The scheme of Saon et al., 2026 (arXiv 2603.11243): one call of the decoder says how likely each
token of the draft is, and none may be less likely than a threshold, whether it is the likeliest or
not. The end of the text is one of the tokens, so that a draft that breaks off is not taken whole.
Where the paper then decodes anew, the accepted beginning is kept and the rest is decoded exactly.
"""

from __future__ import annotations

import math
from itertools import takewhile
from typing import TYPE_CHECKING

from edge_asr.recognizers.decoding import Choice
from edge_asr.recognizers.speculative import Draft, speculative

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.recognizers.decoding import Decoded
    from edge_asr.recognizers.speculative import RewindingDecoder


def relaxed(
    decoder: RewindingDecoder,
    last_token: int,
    draft: Sequence[int],
    *,
    end_token: int,
    max_tokens: int,
    threshold: float,
) -> tuple[Decoded, bool]:
    """Take as much of a draft as is likely enough, and decode the rest.

    Args:
        decoder: has been fed the prompt but its last token.
        last_token: that one.
        draft: shorter than ``max_tokens``.
        end_token: ends the text.
        max_tokens: give up after so many.
        threshold: the least probability of a token that is taken.

    Returns:
        What was found, and whether it is the draft as a whole.
    """
    asked = [*draft, end_token]
    verified = decoder.verify([last_token, *asked])
    least = math.log(threshold) if threshold else -math.inf
    likely = list(takewhile(lambda logprob: logprob >= least, verified.fed_logprobs))
    n_taken = len(likely)
    decoder.rewind(len(asked) - n_taken)
    decoded = speculative(
        decoder,
        verified.choices[n_taken],
        Draft(draft[n_taken:]),
        end_token=end_token,
        max_tokens=max_tokens,
        given=[Choice(*each) for each in zip(asked, likely, strict=False)],
    )
    return decoded, n_taken == len(asked)
