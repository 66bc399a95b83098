"""The clips of a report: the sound to hear, and what each system made of it, word by word."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

from edge_asr.evaluation.differences import as_marked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge_asr.evaluation.clips import Clip
    from edge_asr.evaluation.measuring import Scored

N_WORST = 20
MAX_SOUND_BYTES = 1_500_000
"""A longer file is named, not carried."""
_MIME = {".flac": "audio/flac", ".wav": "audio/wav", ".mp3": "audio/mpeg", ".ogg": "audio/ogg"}

_LEGEND = (
    '<p class="soft"><del>said and not written</del>, <ins>written and not said</ins>; '
    "in pairs where a word stands for another. Words are shown as they are compared.</p>"
)


def worst_clips(scored: Sequence[Scored]) -> str:
    """Return the clips of speech with most errors over all systems, worst first."""
    by_clip = _by_clip(each for each in scored if each.clip.is_speech)
    wrong = [found for found in by_clip if any(each.errors.n_errors for each in found)]
    worst = sorted(wrong, key=lambda found: -max(each.errors.n_errors for each in found))
    shown = "".join(_clip(found) for found in worst[:N_WORST])
    count = f"<p>{len(wrong)} of {len(by_clip)} clips have an error"
    count += f"; the {N_WORST} with most are shown.</p>" if len(wrong) > N_WORST else ".</p>"
    return count + _LEGEND + shown


def invented_clips(scored: Sequence[Scored]) -> str:
    """Return the clips in which nobody speaks and a system wrote something."""
    by_clip = _by_clip(each for each in scored if not each.clip.is_speech)
    if not by_clip:
        return "<p>There were no clips without speech.</p>"
    wrong = [found for found in by_clip if any(each.errors.insertions for each in found)]
    minutes = sum(found[0].clip.duration_s for found in by_clip) / 60
    return (
        f"<p>{len(by_clip)} clips, {minutes:.1f} minutes, with words in {len(wrong)} of them.</p>"
        + "".join(_clip(found) for found in wrong)
    )


def _by_clip(scored: Iterable[Scored]) -> list[list[Scored]]:
    groups: dict[str, list[Scored]] = {}
    for each in scored:
        groups.setdefault(str(each.clip.path), []).append(each)
    return list(groups.values())


def _clip(found: Sequence[Scored]) -> str:
    clip = found[0].clip
    n_most = max(each.errors.n_errors for each in found)
    kind = "character" if found[0].is_by_character else "word"
    tags = "".join(f' <span class="flag">{escape(tag)}</span>' for tag in clip.tags)
    title = (
        f"{escape(clip.clip_id)}: {n_most} {kind}{'' if n_most == 1 else 's'} wrong, "
        f"{escape(clip.language)}, {clip.duration_s:.1f} s"
    )
    said = f"<dt>said</dt><dd>{escape(clip.text)}</dd>" if clip.is_speech else ""
    heard = "".join(_heard(each) for each in found)
    return (
        f"<details><summary>{title}{tags}</summary>{_sound(clip)}<dl>{said}{heard}</dl></details>"
    )


def _heard(each: Scored) -> str:
    flags = "".join(f' <span class="flag">{escape(flag)}</span>' for flag in each.heard.flags)
    errors = each.errors
    counts = f"{errors.substitutions} S, {errors.deletions} D, {errors.insertions} I"
    return (
        f"<dt>{escape(each.system)} ({counts}){flags}</dt>"
        f"<dd>{as_marked(each.comparison.stretches)}</dd>"
    )


def _sound(clip: Clip) -> str:
    """Return a player with the sound in it, where the file is there and not too long."""
    mime = _MIME.get(clip.path.suffix.lower())
    try:
        if mime is None or clip.path.stat().st_size > MAX_SOUND_BYTES:
            return f'<p class="soft">The sound is in {escape(str(clip.path))}.</p>'
        data = base64.b64encode(clip.path.read_bytes()).decode("ascii")
    except OSError:
        return f'<p class="soft">The sound was in {escape(str(clip.path))}.</p>'
    label = escape(f"sound of {clip.clip_id}")
    return (
        f'<audio controls preload="none" aria-label="{label}" src="data:{mime};base64,{data}">'
        "</audio>"
    )
