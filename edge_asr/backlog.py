"""The backlog: how much waits for text, when it will be done, and what is left out meanwhile.

Sound is never dropped. When the backlog grows, what costs time and can be spared is left out, in
steps: the second pass, then the larger bundle. Each step is taken above a threshold and taken back
below half of it, so that none flickers, and stands in the log as an alarm with its reason. (The
text of unfinished utterances is computed only while nothing waits at all: edge_asr.partials.)
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_asr.alarms import AlarmChange, AlarmCode
from edge_asr.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from edge_asr.alarming import AlarmBook
    from edge_asr.settings import BacklogSettings
    from edge_asr.store import Store

LOOK_INTERVAL_S = 2.0
"""How often a loop looks at the backlog at most: it costs a query."""
STOPPED_INTERVAL_S = 15.0
_BACK_UP = 0.5
_WHAT = {
    AlarmCode.SECOND_PASS_OFF: "the second pass waits",
    AlarmCode.FALLBACK_BUNDLE: "the fallback bundle transcribes",
    AlarmCode.RECOGNIZER_BEHIND: "speech comes faster than it is transcribed",
}


@dataclass(frozen=True, slots=True)
class Load:
    """What waits to be transcribed."""

    n: int
    backlog_s: float
    """Seconds of speech."""
    rtf: float | None
    """Real-time factor of the last transcripts; None before there are any."""

    @property
    def eta_s(self) -> float | None:
        """In how many seconds all is done, if nobody speaks meanwhile; None: not known yet."""
        if not self.n:
            return 0.0
        return None if self.rtf is None else self.backlog_s * self.rtf

    def in_words(self) -> str:
        """Return a short sentence, without a full stop."""
        if not self.n:
            return "nothing waits to be transcribed"
        eta_s = self.eta_s
        when = "" if eta_s is None else f", done in about {duration_in_words(eta_s)}"
        what, wait = (f"{self.n} utterances", "wait") if self.n > 1 else ("1 utterance", "waits")
        return f"{what} ({duration_in_words(self.backlog_s)}) {wait}{when}"


def duration_in_words(duration_s: float) -> str:
    """Return a length of time, such as ``95 s``, ``12 min`` or ``3.5 h``."""
    minutes = duration_s / 60
    if minutes < 2:  # noqa: PLR2004 (two minutes)
        return f"{duration_s:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"  # noqa: PLR2004


def load_of(store: Store) -> Load:
    """Return what waits in a store."""
    backlog = store.transcripts.backlog()
    return Load(backlog.n, backlog.duration_s, store.recent_rtf())


class BacklogPolicy:
    """Decides what is left out.

    Args:
        settings: from which backlog on.
        book: writes each step down, with its reason.
        steps: the steps that there is something to leave out for.
    """

    def __init__(
        self, settings: BacklogSettings, book: AlarmBook, steps: Collection[AlarmCode]
    ) -> None:
        thresholds = {
            AlarmCode.SECOND_PASS_OFF: settings.second_pass_off_s,
            AlarmCode.FALLBACK_BUNDLE: settings.fallback_s,
            AlarmCode.RECOGNIZER_BEHIND: settings.behind_s,
        }
        wanted = {*steps, AlarmCode.RECOGNIZER_BEHIND}
        self._thresholds = {code: s for code, s in thresholds.items() if code in wanted}
        self._taken: set[AlarmCode] = set()
        self._book = book
        self._codes = tuple(thresholds)
        self.end("started anew")  # what an earlier life left out is not left out any more

    def end(self, why: str) -> None:
        """Take all steps back: nobody transcribes any more, so nothing is left out."""
        self._taken.clear()
        self._book.take(AlarmChange(code, active=False, detail=why) for code in self._codes)

    def consider(self, load: Load) -> None:
        """Take steps, or take them back."""
        for code, threshold_s in self._thresholds.items():
            taken = code in self._taken
            limit_s = threshold_s * _BACK_UP if taken else threshold_s
            if (load.backlog_s > limit_s) == taken:
                continue
            (self._taken.discard if taken else self._taken.add)(code)
            words = load.in_words()
            detail = f"caught up: {words}" if taken else f"{_WHAT[code]}: {words}"
            self._book.take([AlarmChange(code, not taken, detail)])
        self._book.retry()

    @property
    def second_pass_allowed(self) -> bool:
        """Whether there is time for a second pass."""
        return AlarmCode.SECOND_PASS_OFF not in self._taken

    @property
    def fallback_wanted(self) -> bool:
        """Whether the smaller bundle is to transcribe."""
        return AlarmCode.FALLBACK_BUNDLE in self._taken


class BacklogWatch:
    """Looks at the backlog from within the recognizing loop.

    Args:
        store: where it is.
        policy: is asked to consider what was seen.
        observe: is told what was seen.
    """

    def __init__(
        self, store: Store, policy: BacklogPolicy, observe: Callable[[Load], None]
    ) -> None:
        self._store = store
        self._policy = policy
        self._observe = observe
        self._looked_at_s = -LOOK_INTERVAL_S

    def end(self) -> None:
        """Take back what is left out: the loop ends."""
        self._policy.end("the recognizer ended")

    def look(self) -> None:
        """Look, unless that was a moment ago."""
        now_s = time.monotonic()
        if now_s - self._looked_at_s < LOOK_INTERVAL_S:
            return
        self._looked_at_s = now_s
        try:
            load = load_of(self._store)
        except StoreError:  # whatever it is, the loop meets it where it matters
            return
        self._policy.consider(load)
        self._observe(load)


class RecognizerWatch:
    """Notices, from within the listening loop, that utterances wait and nothing comes of them.

    Args:
        store: where they are.
        stopped_after_s: for how long that may be.
        book: writes the alarm down.
    """

    def __init__(self, store: Store, stopped_after_s: float, book: AlarmBook) -> None:
        self._store = store
        self._stopped_after_s = stopped_after_s
        self._book = book
        self._looked_at_s = time.monotonic()
        self._progress: tuple[int, int] | None = None
        self._progress_at_s = time.monotonic()

    def look(self) -> None:
        """Look, unless that was a moment ago."""
        now_s = time.monotonic()
        if now_s - self._looked_at_s < min(STOPPED_INTERVAL_S, self._stopped_after_s):
            return
        self._looked_at_s = now_s
        backlog = self._store.transcripts.backlog()
        progress = (self._store.log.position(), backlog.n_quarantined)
        if not backlog.n or progress != self._progress:
            self._progress, self._progress_at_s = progress, now_s
        stopped = now_s - self._progress_at_s >= self._stopped_after_s
        detail = (
            f"{backlog.n} utterances wait, and for {duration_in_words(self._stopped_after_s)} "
            f"nothing was transcribed"
        )
        if stopped or not backlog.n or now_s == self._progress_at_s:
            self._book.take([AlarmChange(AlarmCode.RECOGNIZER_STOPPED, stopped, detail)])
