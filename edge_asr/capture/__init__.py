"""From a microphone or a sound file to speech: sources, voice activity, segmenting.

A source delivers chunks, tells how it is, and says so when sound is missing; all sources are alike
to what listens to them. Nothing is imported here: the process that reads the microphone, which
starts anew whenever the microphone returns, imports this package too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from edge_asr.records import AudioChunk, Gap, SourceStatus


class Source(Protocol):
    """Where sound comes from. Open it with ``with``, then iterate; it ends when it is stopped."""

    @property
    def name(self) -> str:
        """What the log calls it."""

    def attend(self, *, closely: bool) -> None:
        """Deliver sound often, or seldom and more of it at once; any thread may call this."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def __iter__(self) -> Iterator[AudioChunk | Gap | SourceStatus]: ...
