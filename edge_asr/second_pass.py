"""The second pass: another bundle over what was transcribed, whenever there is time for it.

A text model rewrites the transcript as a prompt says; a larger speech model hears the sound again.
Either adds a version and replaces none. What goes wrong is kept with the reason as a flag, and the
version before it goes on standing.
"""

from __future__ import annotations

import gc
import hashlib
import json
import re
import time
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Protocol

from edge_asr.errors import ConfigError
from edge_asr.records import Recognition, Task
from edge_asr.store.passes import Pass

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.bundle import Bundle
    from edge_asr.recognizers import Recognizer
    from edge_asr.recognizers.text import TextModel
    from edge_asr.records import Request, Transcript, Utterance
    from edge_asr.store import Store
    from edge_asr.store.passes import Lacking, PassQueue

TRY_AGAIN_S = 600.0
"""What failed is tried again after so long, when nothing else is left to do. So long there is no
second pass at all after its bundle could not be loaded, or the recognizer died of one: a bundle too
large for the board must not keep the first pass from its work."""
_WRONG = frozenset({"empty", "token_limit", "repetition", "different"})
"""Flags of versions that are kept but not shown. Doubt alone (``low_probability``) hides none."""
_WORD = re.compile(r"\w+")
_FEW_WORDS = 3


@dataclass(frozen=True, slots=True)
class Prompt:
    """How a text model is asked to rewrite a transcript.

    Raises:
        ConfigError: the words have no place for the transcript.
    """

    words: str
    """With ``{text}``, and ``{language}`` and ``{source}`` if they are wanted."""
    system: str = ""
    max_tokens: int = 256
    min_similarity: float = 0.5
    """An answer that is less like the transcript is flagged ``different``. 0: none is."""

    def __post_init__(self) -> None:
        if "{text}" not in self.words:
            raise ConfigError("the prompt of the second pass needs {text}, the transcript's place")

    def about(self, utterance: Utterance, transcript: Transcript) -> str:
        """Return the words for one transcript."""
        known = {
            "text": transcript.recognition.text,
            "language": transcript.recognition.language,
            "source": utterance.source,
        }
        # One pass: what is filled in may have braces of its own.
        return re.sub(r"\{(text|language|source)\}", lambda found: known[found[1]], self.words)

    @property
    def sha256(self) -> str:
        """SHA-256 of all of it: another prompt is another pass."""
        parts = [self.words, self.system, self.max_tokens, self.min_similarity]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class Worker(Protocol):
    """Makes the version of a second pass, with its bundle in memory."""

    def work(self, lacking: Lacking) -> Recognition:
        """Return the version; its flags say what is wrong with it."""


class Polisher:
    """Rewrites transcripts with a text model."""

    def __init__(self, model: TextModel, prompt: Prompt) -> None:
        self._model = model
        self._prompt = prompt

    def work(self, lacking: Lacking) -> Recognition:
        """Return the rewritten transcript.

        Raises:
            RequestError: it is too long for the model.
        """
        heard = lacking.transcript.recognition
        answer = self._model.complete(
            self._prompt.about(lacking.utterance, lacking.transcript),
            system=self._prompt.system,
            max_tokens=self._prompt.max_tokens,
        )
        flags = list(answer.flags)
        if not answer.text:
            flags.append("empty")
        elif similarity(heard.text, answer.text) < self._prompt.min_similarity:
            flags.append("different")
        return Recognition(
            text=answer.text,
            language=heard.language,
            language_probability=None,
            task=Task.POLISH,
            decode_s=answer.decode_s,
            avg_logprob=answer.avg_logprob,
            flags=tuple(flags),
        )


class Refiner:
    """Hears utterances again with another speech model."""

    def __init__(self, recognizer: Recognizer, request: Request, store: Store) -> None:
        self._recognizer = recognizer
        self._request = request
        self._store = store

    def work(self, lacking: Lacking) -> Recognition:
        """Return what the model hears.

        Raises:
            StoreError: the sound is gone, or was changed.
            RequestError: the bundle cannot do what is asked.
        """
        waveform = self._store.utterances.waveform(lacking.utterance)
        heard = self._recognizer.transcribe(waveform, self._request)
        if not heard.text and lacking.transcript.recognition.text:
            return replace(heard, flags=(*heard.flags, "empty"))
        return heard


def similarity(one: str, other: str) -> float:
    """Return how alike two texts are, 0 to 1: by words, or by characters where these are few."""
    ours: list[str] = _WORD.findall(one.casefold())
    theirs: list[str] = _WORD.findall(other.casefold())
    if len(ours) <= _FEW_WORDS:
        return SequenceMatcher(None, "".join(ours), "".join(theirs), autojunk=False).ratio()
    return SequenceMatcher(None, ours, theirs, autojunk=False).ratio()


def polishing(bundle: Bundle, prompt: Prompt) -> Pass:
    """Return the pass of a text bundle with a prompt."""
    return Pass(bundle.name, bundle.sha256, prompt.sha256, reads_text=True)


def refining(bundle: Bundle, request: Request) -> Pass:
    """Return the pass of a speech bundle with a request."""
    return Pass(bundle.name, bundle.sha256, request.sha256, reads_text=False)


@dataclass(frozen=True, slots=True)
class Added:
    """A second pass added a version."""

    utterance: Utterance
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class PassFailed:
    """A second pass of an utterance failed this time."""

    utterance: Utterance
    bundle: str
    error: str


def do_one(
    store: Store, worker: Worker, wanted: Pass, lacking: Lacking, *, show_flagged: bool
) -> Added | PassFailed | None:
    """Make and add one version; None when someone else was faster. It never raises for a model."""
    utterance_id = lacking.utterance.utterance_id
    try:
        recognition = worker.work(lacking)
    except Exception as error:  # noqa: BLE001 (whatever it is, the other utterances go on)
        reason = str(error) or repr(error)
        store.passes.record_failure(utterance_id, wanted, reason)
        return PassFailed(lacking.utterance, wanted.bundle, reason)
    transcript = store.transcripts.add_of_pass(
        utterance_id,
        recognition,
        wanted,
        parent_version=lacking.transcript.version if wanted.reads_text else None,
        is_shown=show_flagged or not _WRONG.intersection(recognition.flags),
        created_utc_ns=time.time_ns(),
    )
    return None if transcript is None else Added(lacking.utterance, transcript)


class SecondPass:
    """The second pass as the recognizing loop runs it: one utterance at a time, between others.

    Its bundle is loaded when there is something to do and let go when there was nothing for a
    while: a board may have no memory to spare.

    Args:
        store: where versions come from and go.
        wanted: the pass.
        open_worker: loads its bundle.
        held: says why there is no time for it now; None: there is.
        show_flagged: also let a version that went wrong stand for its utterance.
        release_after_s: how long the bundle stays in memory without work.
        clock: seconds, as ``time.monotonic``.
    """

    def __init__(
        self,
        store: Store,
        wanted: Pass,
        open_worker: Callable[[], Worker],
        held: Callable[[], str | None],
        *,
        show_flagged: bool = False,
        release_after_s: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._wanted = wanted
        self._open_worker = open_worker
        self._held = held
        self._show_flagged = show_flagged
        self._release_after_s = release_after_s
        self._clock = clock
        self._queue: PassQueue = store.passes.queue(wanted)
        self._worker: Worker | None = None
        self._worked_s = clock()
        self._failed_s: float | None = None
        self._blocked_until_s = clock() + TRY_AGAIN_S if store.passes.was_left else clock()

    def step(self) -> Added | PassFailed | None:
        """Do one utterance, if there is one and time for it; None when there is nothing to tell."""
        waits = self._clock() < self._blocked_until_s or self._held() is not None
        lacking = None if waits else self._queue.take()
        if lacking is None:
            self._rest()
            return None
        # A crash that no exception shows leaves the mark, which is counted for this pass alone.
        self._store.transcripts.begin_attempt(lacking.utterance.utterance_id, self._wanted.key)
        try:
            event = self._do(lacking)
        finally:
            self._store.transcripts.end_attempt()
        self._worked_s = self._clock()
        if isinstance(event, PassFailed):
            self._failed_s = self._worked_s
        return event

    def _do(self, lacking: Lacking) -> Added | PassFailed | None:
        if self._worker is None:
            try:
                self._worker = self._open_worker()
            except Exception as error:  # noqa: BLE001 (the first pass goes on without the second)
                self._blocked_until_s = self._clock() + TRY_AGAIN_S
                self._queue.start_over()  # no utterance counts as failed because a bundle is
                return PassFailed(lacking.utterance, self._wanted.bundle, str(error) or repr(error))
        return do_one(
            self._store, self._worker, self._wanted, lacking, show_flagged=self._show_flagged
        )

    def _rest(self) -> None:
        now_s = self._clock()
        if self._worker is not None and now_s - self._worked_s >= self._release_after_s:
            self._worker = None
            gc.collect()
        if self._failed_s is not None and now_s - self._failed_s >= TRY_AGAIN_S:
            self._failed_s = None
            self._queue.start_over()
