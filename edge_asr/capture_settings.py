"""The settings of what is heard and taken for speech; :mod:`edge_asr.settings` has all others."""

from __future__ import annotations

from typing import Annotated

import msgspec

SOURCE_NAME = r"^[a-z0-9][a-z0-9-]{0,31}$"
DEVICE = r"^(default|(card|port|name):.+|usb:[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}(:.+)?)$"
SourceName = Annotated[str, msgspec.Meta(pattern=SOURCE_NAME)]
Device = Annotated[str, msgspec.Meta(pattern=DEVICE)]
Probability = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=60_000)]


class MicrophoneSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One microphone."""

    name: SourceName = "mic"
    """What the log calls it, and systemd's name for its service: lower-case letters, digits,
    hyphens."""
    device: Device = "default"
    """Which one: ``default``, ``card:ID``, ``usb:VENDOR:PRODUCT[:SERIAL]``, ``port:USB-PORT`` or
    ``name:PATTERN``. ``edge-asr devices`` prints what to put here."""
    channel: Annotated[int, msgspec.Meta(ge=0, le=63)] | None = None
    """Which channel to hear, from 0; null mixes all of them. Several entries may hear a channel
    each of one device."""
    sample_rate: Annotated[int, msgspec.Meta(ge=8000, le=192_000)] | None = None
    """Rate to open it at, hertz; null: its own."""
    channels: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    """How many channels to open it with; null: its own. A sound server claims any number and mixes
    what does not fit: name what the device really has, if that is more than two."""


class VadSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How speech is told from silence. The names are Silero's."""

    bundle: str = "silero-vad"
    """The bundle that tells speech from silence: its name, or the path of its directory."""
    threshold: Probability = 0.5
    """Speech probability from which speech begins."""
    neg_threshold: Probability | None = None
    """Probability below which a pause begins; null: ``threshold`` - 0.15."""
    min_speech_duration_ms: Milliseconds = 250
    """Shorter bursts of speech are dropped."""
    max_speech_duration_s: Annotated[float, msgspec.Meta(ge=2.0, le=240.0)] = 15.0
    """The longest utterance; it is cut at its best pause. In longer windows Whisper skips
    sentences; what a bundle cannot hear at once (Whisper 30 s) is heard in pieces."""
    min_silence_duration_ms: Milliseconds = 700
    """The pause that ends an utterance."""
    speech_pad_ms: Milliseconds = 300
    """Sound kept before and after speech."""
    rejected_threshold: Probability = 0.2
    """Speech probability from which sound that is no utterance is kept apart for a while, to be
    looked at with ``edge-asr log rejected``."""
    keep_rejected_h: Annotated[float, msgspec.Meta(ge=0.0, le=8760.0)] = 24.0
    """Hours for which it is kept; 0: it is not."""
    keep_rejected_mb: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 64
    """Megabytes of it that are kept at most, the oldest goes first."""


class LivenessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a microphone is taken for broken. Each is an alarm, nothing is switched off."""

    silent_after_s: Annotated[float, msgspec.Meta(ge=1.0, le=86_400.0)] = 60.0
    """Seconds of nothing but digital zeros until the alarm MIC-SILENT. A microphone with a noise
    gate gives zeros whenever nobody speaks: set it to hours."""
    stuck_after_s: Annotated[float, msgspec.Meta(ge=1.0, le=86_400.0)] = 10.0
    """Seconds of the same sample, or the same stretch of sound, until the alarm MIC-STUCK."""
    clipping_share: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 0.01
    """Share of samples at full scale, over ten seconds, from which the alarm MIC-CLIPPING is
    raised."""
    deaf_after_h: Annotated[float, msgspec.Meta(ge=0.0, le=720.0)] = 0.0
    """Hours without speech and without any change of level until the alarm MIC-DEAF; 0: never,
    since a place may be quiet for days."""
