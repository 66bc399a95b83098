"""What ``doctor`` asks about the present: microphones, backlog, alarms, clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.alarms import AlarmCode
from edge_asr.cli.findings import Finding, ok, problem, warning
from edge_asr.errors import MicrophoneError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_asr.cli.context import Context

_REMEDIES = {
    AlarmCode.MIC_GONE: "Plug it in, or correct the configuration; edge-asr devices lists them.",
    AlarmCode.MIC_SILENT: "Look for a mute switch, or replace it; edge-asr levels shows its level.",
    AlarmCode.MIC_STUCK: "Unplug it and plug it in again, or replace it.",
    AlarmCode.MIC_CLIPPING: "Turn its gain down; edge-asr levels shows its level.",
    AlarmCode.MIC_DEAF: "Speak to it with edge-asr levels; replace it if nothing moves.",
    AlarmCode.MIC_RATE: "Set sample_rate in the configuration, or replace it.",
    AlarmCode.MIC_INVALID: "Replace the device or the file that gives them.",
    AlarmCode.DISK_REFUSES: "Make room, or use a larger disk; what was heard waits in memory.",
    AlarmCode.LOG_DAMAGED: "Look at the disk, then run edge-asr log repair, which clears this.",
    AlarmCode.BROKER_AWAY: "See that the broker runs and knows us; what waits is kept.",
    AlarmCode.HOOK_FAILS: "Try the hook's command by hand; its journal says what went wrong.",
    AlarmCode.RECOGNIZER_STOPPED: "See that edge-asr recognize runs; its journal says why not.",
    AlarmCode.RECOGNIZER_BEHIND: "Use a smaller bundle, or name one as backlog.fallback_bundle.",
}
_CATCHES_UP = "It is taken back when the backlog is half of its threshold."
_HANGS_AFTER_S = 90.0
"""A listener leaves a heartbeat every 30 s, whatever it hears."""
_BROKEN = {AlarmCode.MIC_GONE, AlarmCode.MIC_SILENT, AlarmCode.MIC_STUCK}
"""Alarms of which each second costs what is said."""


def check_microphones(context: Context) -> Iterator[Finding]:
    """Ask whether each configured microphone is there."""
    from edge_asr.capture.devices import list_microphones, match
    from edge_asr.store.locks import is_listened_to

    remedy = "Plug it in, or correct the configuration; edge-asr devices prints what is there."
    present = None
    for wanted in context.config.microphones:
        yield from _muted(context, wanted.name)
        if is_listened_to(context.state_dir, wanted.name):
            # A microphone in use cannot be opened again, so PortAudio may not list it.
            yield _listened_to(context, wanted.name)
            continue
        try:
            present = list_microphones() if present is None else present
            found = match(wanted.device, present)
            yield ok("microphone", f"{wanted.name} is {found.title} ({found.sample_rate} Hz).")
        except MicrophoneError as error:
            yield problem("microphone", f"{wanted.name}: {error}.", remedy)


def _muted(context: Context, name: str) -> Iterator[Finding]:
    from edge_asr.formats import rfc3339
    from edge_asr.store.mutes import MuteFiles

    since_utc_ns = MuteFiles(context.state_dir).since_utc_ns(name)
    if since_utc_ns is not None:
        sentence = f"{name} is muted since {rfc3339(since_utc_ns)}: nothing of it is recorded."
        yield warning("microphone", sentence, f"When it may be: edge-asr unmute --source {name}")


def check_hands(context: Context) -> Iterator[Finding]:
    """Ask whether the configured key, button and lights can be used at all, and are watched."""
    from edge_asr.cli.hands import ways_to_buttons
    from edge_asr.store.locks import has_hands

    settings = context.config.hands
    ways = ways_to_buttons(settings)
    if not ways and not (settings.light or settings.led or settings.file):
        return
    if has_hands(context.state_dir):
        yield ok("hands", "Keys, buttons and lights are looked after.")
    else:
        sentence = "Keys, buttons and lights are configured, but nobody looks after them."
        remedy = "Start edge-asr hands, or: systemctl enable --now edge-asr-hands.service"
        yield warning("hands", sentence, remedy)


def _listened_to(context: Context, name: str) -> Finding:
    """Say whether what is heard is stored, too."""
    from edge_asr.clock import now
    from edge_asr.store import DATABASE, Store

    behind_s = 0.0
    if (context.state_dir / DATABASE).exists():
        with Store.open(context.state_dir, readonly=True) as store:
            behind_s = store.watches.behind_s(name, now())
    if behind_s <= _HANGS_AFTER_S:
        return ok("microphone", f"{name} is being listened to.")
    sentence = f"{name} is listened to, but nothing was stored for {behind_s:.0f} s: it hangs."
    return problem("microphone", sentence, "Look at the disk, and start edge-asr listen anew.")


def check_log(context: Context) -> Iterator[Finding]:
    """Ask whether the database can be read: all of it, if that takes no more than seconds."""
    from edge_asr.store import DATABASE
    from edge_asr.store.damage import find_damage

    damage = find_damage(context.state_dir / DATABASE)
    if damage is None:
        return
    remedy = "Start edge-asr listen or recognize: it is kept, and what can be read goes on anew."
    yield problem("log", f"The database is damaged: {damage}.", remedy)


def check_backlog(context: Context) -> Iterator[Finding]:
    """Ask how much waits to be transcribed, until when, and whether anybody works on it."""
    from edge_asr.backlog import load_of
    from edge_asr.store import DATABASE, Store
    from edge_asr.store.locks import is_recognizing

    if not (context.state_dir / DATABASE).exists():
        yield ok("backlog", "Nothing was recorded yet.")
        return
    with Store.open(context.state_dir, readonly=True) as store:
        load, n_quarantined = load_of(store), store.transcripts.backlog().n_quarantined
    sentence = f"{load.in_words().capitalize()}."
    if load.n and not is_recognizing(context.state_dir):
        sentence = f"{sentence[:-1]}; nobody transcribes now."
        yield warning("backlog", sentence, "Start edge-asr recognize; it catches up.")
    elif load.backlog_s > context.config.backlog.behind_s:
        yield warning("backlog", sentence, _REMEDIES[AlarmCode.RECOGNIZER_BEHIND])
    else:
        yield ok("backlog", sentence)
    if n_quarantined:
        failed = f"{n_quarantined} utterances failed too often and are not tried again."
        yield warning("backlog", failed, "Their sound is kept: look at it with edge-asr log.")


def check_alarms(context: Context) -> Iterator[Finding]:
    """Ask for the alarms that are active."""
    from edge_asr.formats import rfc3339
    from edge_asr.store import DATABASE, Store

    if not (context.state_dir / DATABASE).exists():
        return
    with Store.open(context.state_dir, readonly=True) as store:
        active = store.alarms.active()
    for alarm in active:
        whose = f"{alarm.source}: " if alarm.source else ""
        since = rfc3339(alarm.raised.utc_ns)
        sentence = f"{whose}{alarm.code} since {since}: {alarm.detail}."
        judge = problem if alarm.code in _BROKEN else warning
        yield judge("alarms", sentence, _REMEDIES.get(alarm.code, _CATCHES_UP))
    if not active:
        yield ok("alarms", "No alarm is active.")


def check_signing(context: Context) -> Iterator[Finding]:
    """Ask whether the log is signed, where somebody wants it to be."""
    from edge_asr.formats import rfc3339
    from edge_asr.store import DATABASE, Store
    from edge_asr.store.signing import has_key, public_key

    if not (context.state_dir / DATABASE).exists():
        return
    with Store.open(context.state_dir, readonly=True) as store:
        n_unsigned, signed_utc_ns = store.integrity.unsigned()
    if not has_key(context.state_dir):
        if signed_utc_ns is not None:
            sentence = f"The key that signed the log until {rfc3339(signed_utc_ns)} is gone."
            yield warning("signing", sentence, "Put it back, or make another: edge-asr log key.")
        return
    public_key(context.state_dir)
    if signed_utc_ns is None:
        sentence = f"There is a key, but none of the {n_unsigned} entries is signed yet."
        yield warning("signing", sentence, "edge-asr recognize signs them: see that it runs.")
    else:
        when = rfc3339(signed_utc_ns)
        yield ok("signing", f"The log was signed {when}; {n_unsigned} entries came after it.")


def check_clock(_context: Context) -> Iterator[Finding]:
    """Ask how far the date can be trusted."""
    from edge_asr.clock import clock_quality
    from edge_asr.records import ClockQuality

    match clock_quality():
        case ClockQuality.SYNCHRONISED:
            yield ok("clock", "The clock is synchronised.")
        case ClockQuality.RTC:
            yield ok("clock", "The clock has a battery, but nothing sets it: it drifts by seconds.")
        case ClockQuality.UNSYNCHRONISED:
            yield warning(
                "clock",
                "Nothing sets the clock: recordings may carry a wrong date.",
                "Add a battery-backed clock, or a time server; order is kept without one.",
            )
