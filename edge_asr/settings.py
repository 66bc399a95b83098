"""Everything that can be set, with a working default for each setting.

The literal under a field is its documentation: the JSON Schema and docs/configuration.md carry it.
:mod:`edge_asr.config` reads these from a file.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from edge_asr.bridge_settings import (
    PATH,
    TOPIC,
    HookSettings,
    MqttSettings,
    ServeSettings,
    WyomingSettings,
)
from edge_asr.capture_settings import (
    DEVICE,
    SOURCE_NAME,
    LivenessSettings,
    MicrophoneSettings,
    Probability,
    VadSettings,
)
from edge_asr.errors import ConfigError
from edge_asr.hands_settings import KEY, LED, LINE, HandsSettings
from edge_asr.records import Drafting, Drafts, Request, Task
from edge_asr.rules import Rule

_LANGUAGE_CODE = r"^[a-z]{2,3}$"
IN_WORDS = {
    SOURCE_NAME: "1 to 32 lower-case letters, digits and hyphens",
    DEVICE: "default, card:ID, usb:VENDOR:PRODUCT[:SERIAL], port:USB-PORT or name:PATTERN",
    _LANGUAGE_CODE: "a language code such as en",
    PATH: "a path that begins with a slash, without spaces",
    LINE: "a GPIO line such as gpiochip0:17",
    LED: "the name of an LED below /sys/class/leds",
    KEY: "a key such as KEY_F13 or BTN_0",
    TOPIC: "a topic of letters, digits, hyphens and slashes",
}
"""What a pattern means, for error messages."""

LanguageCode = Annotated[str, msgspec.Meta(pattern=_LANGUAGE_CODE)]
Seconds = Annotated[float, msgspec.Meta(ge=1.0, le=604_800.0)]


class RecognitionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How speech becomes text."""

    bundle: str = "whisper-base"
    """The bundle that recognizes: its name, or the path of its directory."""
    language: LanguageCode | None = None
    """Spoken language (ISO 639-1, such as ``de``); null detects it."""
    languages: tuple[LanguageCode, ...] = ("en", "fr", "de", "es", "pt", "ja")
    """Languages that detection may answer; empty: all that the bundle knows. The fewer, the surer:
    among a hundred, an accent may pass for Welsh. Only used where ``language`` is null."""
    task: Literal["transcribe", "translate"] = "transcribe"
    """``transcribe`` writes down what was said, ``translate`` says it in another language."""
    target_language: LanguageCode | None = None
    """For the task translate; null: English."""
    keywords: list[str] = []
    """Names and terms to listen for, where the bundle can."""
    punctuated: bool = False
    """Ask for punctuation and capital letters, of a bundle that writes them only on request."""
    drafts: Drafts = Drafts.EXACT
    """Of a bundle that makes a draft first (Granite): ``exact`` saves time and leaves the text as
    it is, ``fast`` takes the draft for the text where the model is sure enough of it, ``off`` makes
    no use of it."""
    ctc_entropy_threshold: Annotated[float, msgspec.Meta(ge=0.0, le=10.0)] = 0.7
    """For fast drafts: one that is nowhere less certain, in nats, is the text. 3.0 is faster and
    less accurate."""
    draft_probability_threshold: Probability = 0.2
    """For fast drafts: one whose tokens the language model all finds so likely is the text. 0.1 is
    faster and less accurate."""
    numerals: bool = False
    """Write numbers as digits, "twenty-three" as "23", after recognition and before
    ``corrections``, in Danish, Dutch, English, French, German, Italian, Portuguese and Spanish. The
    text as it was heard stays in the log. Needs the extra ``numerals``."""
    beam: Annotated[int, msgspec.Meta(ge=1, le=16)] = 5
    """How many texts a Whisper follows at once where it doubts the likeliest one. Such an utterance
    takes up to twice as long; 1 leaves it at the likeliest."""
    partials: Literal["auto", "off"] = "auto"
    """``auto`` shows what is being said while it is said, where someone looks on; ``off`` only what
    was said."""
    threads: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    """Processor cores to recognize with. 0: as many as ``edge-asr bundle prepare`` found best, else
    all but one, or both of two."""
    recycle_after_h: Annotated[float, msgspec.Meta(ge=0.0, le=8760.0)] = 24.0
    """Hours after which the recognizer begins anew, once nothing waits, so that memory it lost in
    months is none; 0: never."""
    recycle_above_mb: Annotated[int, msgspec.Meta(ge=0, le=1_048_576)] = 0
    """Megabytes of memory of its own, models mapped from disk not counted, above which it does so,
    too; 0: however many."""

    @property
    def request(self) -> Request:
        """What is asked of the recognizer."""
        return Request(
            task=Task(self.task),
            language=self.language,
            allowed_languages=() if self.language else self.languages,
            target_language=self.target_language,
            keywords=tuple(self.keywords),
            punctuated=self.punctuated,
            drafting=Drafting(
                self.drafts, self.ctc_entropy_threshold, self.draft_probability_threshold
            ),
            beam=self.beam,
        )


class BacklogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out while much waits to be transcribed. Sound is never dropped.

    Each step is taken back when the backlog is half of its threshold.
    """

    second_pass_off_s: Seconds = 120.0
    """Seconds of waiting speech from which the second pass waits."""
    fallback_bundle: str | None = None
    """A smaller bundle for the time of a long backlog; null: there is none. It must be able to do
    what is configured."""
    fallback_s: Seconds = 600.0
    """Seconds of waiting speech from which ``fallback_bundle`` transcribes."""
    behind_s: Seconds = 900.0
    """Seconds of waiting speech from which the alarm RECOGNIZER-BEHIND is raised."""
    stopped_after_s: Seconds = 300.0
    """Seconds for which utterances wait and nothing is transcribed until the alarm
    RECOGNIZER-STOPPED."""


class SecondPassSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another bundle over what was transcribed, when there is time. It only adds versions."""

    bundle: str | None = None
    """The bundle that does it: a text model, which rewrites the transcript, or a larger speech
    model, which hears the sound again. null: there is no second pass."""
    prompt: str = "Add punctuation and capital letters. Answer with the text only: {text}"
    """What a text model is asked, with ``{text}`` and, if wanted, ``{language}`` and
    ``{source}``."""
    prompt_file: str | None = None
    """A file with the prompt, instead of ``prompt``: there it may have several lines."""
    system: str = ""
    """What a text model is told beforehand; empty: what its own template says."""
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 256
    """Where a text model's answer is cut off."""
    min_similarity: Probability = 0.5
    """An answer that is less like the transcript, word by word, is flagged ``different``. Set it to
    0 for prompts that translate or summarize."""
    show_flagged: bool = False
    """Let a version stand for its utterance that is empty, different, cut off or repeats itself.
    Otherwise it is kept, and the transcript before it goes on standing."""
    max_temperature_c: Annotated[float, msgspec.Meta(ge=0.0, le=150.0)] = 75.0
    """From this temperature of the board on the second pass waits, until it is 5 degrees Celsius
    cooler. 0: it never waits for that."""
    release_after_s: Seconds = 300.0
    """Seconds without work after which its bundle is let go from memory."""


class RetentionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When old sound and text go. What is held, or not transcribed, stays."""

    min_free_mb: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 512
    """While less is free on the disk (or less than a tenth of it), the oldest sound goes.
    Megabytes; 0: never."""
    max_sound_mb: Annotated[int, msgspec.Meta(ge=0, le=100_000_000)] = 0
    """While there is more sound, the oldest goes. Megabytes; 0: no limit."""
    max_age_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 0
    """Sound goes when it is older, counted by clocks that cannot jump. 0: no limit."""
    max_text_age_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 0
    """Words go when they are older, and their sound with them. 0: they stay."""


class SigningSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often the log is signed, once ``edge-asr log key`` has made a key. 0: never for that."""

    every_entries: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1000
    """After so many new entries of the chain."""
    every_min: Annotated[int, msgspec.Meta(ge=0, le=525_600)] = 60
    """New entries are signed so many minutes after the last signature."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set."""

    microphones: Annotated[list[MicrophoneSettings], msgspec.Meta(min_length=1, max_length=16)] = (
        msgspec.field(default_factory=lambda: [MicrophoneSettings()])
    )
    """The microphones to listen to, each by a service of its own."""
    vad: VadSettings = VadSettings()
    """How speech is told from silence."""
    liveness: LivenessSettings = LivenessSettings()
    """When a microphone is taken for broken."""
    recognition: RecognitionSettings = RecognitionSettings()
    """How speech becomes text."""
    corrections: list[Rule] = []
    """What is replaced in every text after recognition, in order."""
    backlog: BacklogSettings = BacklogSettings()
    """What is left out while much waits to be transcribed."""
    second_pass: SecondPassSettings = SecondPassSettings()
    """Another bundle over what was transcribed, when there is time."""
    retention: RetentionSettings = RetentionSettings()
    """When old sound goes, to make room."""
    signing: SigningSettings = SigningSettings()
    """How often the log is signed."""
    serve: ServeSettings = ServeSettings()
    """The page and the API."""
    mqtt: MqttSettings = MqttSettings()
    """What is published to an MQTT broker."""
    hooks: list[HookSettings] = []
    """What is told of each transcript, each from a queue of its own."""
    wyoming: WyomingSettings = WyomingSettings()
    """Speech to text for voice assistants."""

    hands: HandsSettings = HandsSettings()
    """Keys and buttons that mute, and lights."""

    def microphone(self, name: str) -> MicrophoneSettings:
        """Return the settings of the microphone called ``name``.

        Raises:
            ConfigError: there is none.
        """
        for microphone in self.microphones:
            if microphone.name == name:
                return microphone
        names = ", ".join(microphone.name for microphone in self.microphones)
        raise ConfigError(f"no microphone '{name}' in the configuration; there: {names}")


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "": Config,
    "microphones[]": MicrophoneSettings,
    "vad": VadSettings,
    "liveness": LivenessSettings,
    "recognition": RecognitionSettings,
    "corrections[]": Rule,
    "backlog": BacklogSettings,
    "second_pass": SecondPassSettings,
    "retention": RetentionSettings,
    "signing": SigningSettings,
    "serve": ServeSettings,
    "mqtt": MqttSettings,
    "hooks[]": HookSettings,
    "wyoming": WyomingSettings,
    "hands": HandsSettings,
}
"""Path of a section in the file -> its settings; ``[]`` stands for one entry of a list."""
