"""What hostile input is made of: something whole, and a few changes of its bytes.

Each test takes a small number of examples; EDGE_ASR_FUZZ=1000 takes as many (``make fuzz``).
"""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

N_EXAMPLES = int(os.environ.get("EDGE_ASR_FUZZ", "25"))
HOSTILE = settings(
    max_examples=N_EXAMPLES,
    deadline=None,
    print_blob=True,
    derandomize="EDGE_ASR_FUZZ" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
EXTREMES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF]
"""Numbers that sizes and counts are made of."""


@st.composite
def changes(draw):
    """Draw one change: how, where (a fraction of the length), and with what."""
    how = draw(st.sampled_from(["flip", "extreme", "noise", "zeros", "cut", "insert", "repeat"]))
    # Most of what decides is at the beginning.
    where = draw(st.floats(0, 1) | st.floats(0, 0.02))
    return how, where, draw(st.binary(min_size=1, max_size=64)), draw(st.sampled_from(EXTREMES))


def changed(whole, made):
    """Return bytes with changes made to them."""
    content = bytearray(whole)
    for how, where, noise, extreme in made:
        at = min(int(where * len(content)), max(0, len(content) - 1))
        match how:
            case "flip" if content:
                content[at] ^= 1 << noise[0] % 8
            case "extreme":
                order = "big" if noise[0] % 2 else "little"
                width = 8 if extreme > 0xFFFFFFFF else 4
                content[at : at + width] = extreme.to_bytes(width, order)
            case "noise":
                content[at : at + len(noise)] = noise
            case "zeros":
                size = 1 << noise[0] % 13
                content[at : at + size] = bytes(min(size, len(content) - at))
            case "cut":
                del content[at:]
            case "insert":
                content[at:at] = noise
            case "repeat":
                content[at:at] = content[at : at + 16 * noise[0]]
    return bytes(content)


def mutations_of(whole):
    """Return a strategy: something whole, changed in one to eight ways."""
    return st.lists(changes(), min_size=1, max_size=8).map(lambda made: changed(whole, made))


def is_one_sentence(error, path=""):
    """Check that a refusal is a sentence, and not a page, and says which file it is about."""
    text = str(error)
    assert text
    assert "\n" not in text
    assert len(text) < 1_000
    assert "Traceback" not in text
    assert str(path) in text
