"""The recognizing loop: what is pending in the store -> transcripts in the store."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from edge_asr.alarming import AlarmBook
from edge_asr.conversation import Conversations
from edge_asr.heap import give_back
from edge_asr.insisting import Insister
from edge_asr.partials import LOOK_S

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from edge_asr.alarms import AlarmChange
    from edge_asr.partials import Partial, Partials
    from edge_asr.recognizers import Recognizer
    from edge_asr.records import Request, Transcript, Utterance
    from edge_asr.second_pass import Added, PassFailed, SecondPass
    from edge_asr.store import Store

    RecognizeEvent: TypeAlias = "Recognized | Failed | Partial | Added | PassFailed | AlarmChange"

IDLE_WAIT_S = 5.0
"""How long the loop sleeps at most: the doorbell wakes it, this is the net beneath."""


@dataclass(frozen=True, slots=True)
class Recognized:
    """An utterance was transcribed, and its transcript is in the store."""

    utterance: Utterance
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class Failed:
    """An utterance could not be transcribed this time."""

    utterance: Utterance
    error: str


def recognize(
    store: Store,
    recognizer: Recognizer,
    request: Request,
    *,
    observe: Callable[[RecognizeEvent], None],
    alive: Callable[[], None],
    stop: threading.Event,
    until_idle: bool,
    partials: Partials | None = None,
    second_pass: SecondPass | None = None,
    is_worn_out: Callable[[], bool] = lambda: False,
) -> int:
    """Transcribe what is pending, oldest first, and wait for more until ``stop`` is set.

    An utterance that cannot be transcribed is tried again later, three times in all; the others
    go on.

    Args:
        store: where utterances come from and transcripts go.
        recognizer: what transcribes.
        request: what is asked of it.
        observe: is told of everything that happened, after it was committed.
        alive: is called whenever the loop made progress, which includes finding nothing to do.
        stop: ends the loop after the utterance at hand.
        until_idle: return as soon as nothing is pending.
        partials: tells what is being said while nothing is pending; None: nobody wants to know.
        second_pass: takes its turn, an utterance at a time, while nothing is pending.
        is_worn_out: ends the loop, too, but only where nothing waits.

    Returns:
        How many utterances failed, second passes not counted.

    Raises:
        RequestError: the bundle cannot do what is asked.
    """
    recognizer.check(request)
    insist = Insister(
        AlarmBook(store, "", observe),
        "",
        observe,
        gives_up=lambda: stop.is_set() or until_idle,
        meanwhile=alive,
    )
    conversations = Conversations()
    n_failed = 0
    has_worked = False
    tried: set[int] = set()
    while not stop.is_set():
        alive()
        pending = store.transcripts.pending(skip=tried)
        if pending is None:
            if second_pass is not None and (done := insist.write(second_pass.step)) is not None:
                observe(done)
                has_worked = True
                continue
            if until_idle or is_worn_out():
                break
            tried.clear()
            if has_worked:
                give_back()
                has_worked = False
            _wait(store, partials, observe)
            continue
        has_worked = True
        event = _transcribe(store, recognizer, request, pending, insist, conversations)
        if isinstance(event, Failed):
            tried.add(pending.utterance_id)
            n_failed += 1
        if event is not None:
            observe(event)
    return n_failed


def _wait(
    store: Store,
    partials: Partials | None,
    observe: Callable[[RecognizeEvent], None],
) -> None:
    """Wait for the doorbell, and listen to what is being said meanwhile."""
    if partials is None or not partials.are_wanted():
        store.doorbell.wait(IDLE_WAIT_S)
        return
    partial = partials.look()
    if partial is not None:
        observe(partial)
    store.doorbell.wait(LOOK_S)


def _transcribe(
    store: Store,
    recognizer: Recognizer,
    request: Request,
    utterance: Utterance,
    insist: Insister,
    conversations: Conversations,
) -> Recognized | Failed | None:
    """Transcribe one utterance; None when someone else was faster."""
    # A crash that no exception shows (a segfault, the out-of-memory killer) leaves the mark.
    insist.write(partial(store.transcripts.begin_attempt, utterance.utterance_id))
    asked = replace(request, context=conversations.before(utterance))
    try:
        waveform = store.utterances.waveform(utterance)
        recognition = recognizer.transcribe(waveform, asked)
    except Exception as error:  # noqa: BLE001 (whatever it is, the other utterances go on)
        why = str(error) or repr(error)
        insist.write(partial(store.transcripts.record_failure, utterance.utterance_id, why))
        return Failed(utterance, why)
    finally:
        store.transcripts.end_attempt()
    conversations.add(utterance, recognition, waveform)
    transcript = insist.write(
        partial(
            store.transcripts.add_first,
            utterance.utterance_id,
            recognition,
            bundle=recognizer.bundle.name,
            bundle_sha256=recognizer.bundle.sha256,
            created_utc_ns=time.time_ns(),
            request_sha256=request.sha256,
        )
    )
    return None if transcript is None else Recognized(utterance, transcript)
