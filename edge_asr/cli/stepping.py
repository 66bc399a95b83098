"""What transcribes in the recognizing loop, and steps down while much waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.cli.saying import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.alarms import AlarmChange
    from edge_asr.backlog import BacklogPolicy, BacklogWatch, Load
    from edge_asr.cli.context import Context
    from edge_asr.recognizers import Recognizer
    from edge_asr.store import Store


def open_stepping(
    context: Context,
    store: Store,
    show: Callable[[AlarmChange], None],
    tell: Callable[[Load], None],
) -> tuple[Recognizer, BacklogWatch, BacklogPolicy]:
    """Return what transcribes, which steps down while much waits, and what watches that."""
    from edge_asr.alarming import AlarmBook
    from edge_asr.alarms import AlarmCode
    from edge_asr.backlog import BacklogPolicy, BacklogWatch
    from edge_asr.stepping import SteppingRecognizer

    settings = context.config.backlog
    has_fallback = settings.fallback_bundle is not None
    steps = [AlarmCode.FALLBACK_BUNDLE] if has_fallback else []
    if context.config.second_pass.bundle is not None:
        steps.append(AlarmCode.SECOND_PASS_OFF)
    policy = BacklogPolicy(settings, AlarmBook(store, "", show), steps)
    watch = BacklogWatch(store, policy, tell)
    if not has_fallback:
        return context.open_recognizer(), watch, policy
    fallback = context.open_fallback_bundle()
    fallback.check(context.config.recognition.request)
    recognizer = SteppingRecognizer(
        context.open_recognizer,
        lambda: context.open_recognizer(context.open_fallback_bundle()),
        lambda: policy.fallback_wanted,
        lambda complaint: say(f"edge-asr: {complaint}"),
    )
    return recognizer, watch, policy
