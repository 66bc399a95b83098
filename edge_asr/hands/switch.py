"""What a hand flips: the mute switches of some microphones, all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.store.locks import is_listened_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.store import Store

_BY = "hand"


class Switch:
    """The mute switches of the microphones that a hand means."""

    def __init__(self, store: Store, sources: Sequence[str]) -> None:
        self._store = store
        self._sources = sources

    @property
    def is_muted(self) -> bool:
        """Whether all of them are muted.

        Raises:
            StoreError: it cannot be found out.
        """
        return all(self._store.mutes.is_muted(source) for source in self._sources)

    @property
    def is_recording(self) -> bool:
        """Whether one of them is listened to, and not muted.

        Raises:
            StoreError: it cannot be found out.
        """
        mutes, state_dir = self._store.mutes, self._store.state_dir
        return any(
            not mutes.is_muted(source) and is_listened_to(state_dir, source)
            for source in self._sources
        )

    def flip(self, *, muted: bool) -> None:
        """Mute all of them, or unmute them. What is so already is no event.

        Raises:
            StoreError: the disk refuses. A mute holds all the same where it could be kept; an end
                of one that cannot be written down is none.
        """
        mutes = self._store.mutes
        changed = [source for source in self._sources if mutes.is_muted(source) != muted]
        if muted:  # first of all of them: the log, on a slow disk, comes after
            for source in changed:
                mutes.keep(source, muted=True)
        for source in changed:
            mutes.record(source, muted=muted, by=_BY)
            if not muted:
                mutes.keep(source, muted=False)
