"""The times of words whose text was changed after they were heard."""

from __future__ import annotations

import difflib

from edge_asr.records import Word


def words_moved(text: str, heard: tuple[Word, ...]) -> tuple[Word, ...]:
    """Return the words of a corrected text with the times of those that were heard.

    What was kept keeps its time; what was replaced shares the time of what it replaces; what was
    added takes no time of its own.
    """
    written = text.split()
    if not heard or not written:
        return ()
    before, after = [_bare(word.text) for word in heard], [_bare(word) for word in written]
    moved: list[Word] = []
    matcher = difflib.SequenceMatcher(a=before, b=after, autojunk=False)
    for kind, old, old_end, new, new_end in matcher.get_opcodes():
        if kind == "equal":
            pairs = zip(written[new:new_end], heard[old:old_end], strict=True)
            moved += [Word(word, found.start_s, found.end_s) for word, found in pairs]
        elif new_end > new:
            start_s = heard[old].start_s if old < old_end else heard[max(0, old - 1)].end_s
            end_s = heard[old_end - 1].end_s if old < old_end else start_s
            moved += _spread(written[new:new_end], start_s, end_s)
    return tuple(moved)


def _spread(words: list[str], start_s: float, end_s: float) -> list[Word]:
    """Return words evenly over a stretch of time."""
    each_s = (end_s - start_s) / len(words)
    return [
        Word(word, round(start_s + i * each_s, 3), round(start_s + (i + 1) * each_s, 3))
        for i, word in enumerate(words)
    ]


def _bare(word: str) -> str:
    return "".join(character for character in word.casefold() if character.isalnum())
