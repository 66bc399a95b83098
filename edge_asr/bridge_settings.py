"""The settings of what other systems are told, and ask; :mod:`edge_asr.settings` has all others."""

from __future__ import annotations

from typing import Annotated

import msgspec

from edge_asr.errors import ConfigError

PATH = r"^/[!-~]*$"
TOPIC = r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$"
Topic = Annotated[str, msgspec.Meta(pattern=TOPIC, max_length=200)]
HookName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Seconds = Annotated[float, msgspec.Meta(ge=1.0, le=604_800.0)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class ServeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The page and the API, which ``edge-asr serve`` serves."""

    host: str = "127.0.0.1"
    """The address to listen at: this machine's own, so that only this machine can ask. Any other
    needs ``token_file``."""
    port: Port = 8089
    """The port to listen at; 0: any that is free."""
    unix_socket: str | None = None
    """A path to listen at instead, for the user of the service only."""
    token_file: str | None = None
    """A file whose first line is a token that every client must send; null: none is needed."""
    transcriptions: bool = True
    """Transcribe files that clients send, in a process of its own with a model of its own."""
    max_upload_mb: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 200
    """The largest file that a client may send. Megabytes."""
    max_audio_s: Seconds = 7200.0
    """The longest sound that is transcribed of one file. Seconds."""
    release_after_s: Seconds = 300.0
    """Seconds without a file after which the model is let go from memory."""


class MqttSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is published to an MQTT broker, by ``edge-asr publish``."""

    host: str | None = None
    """Name or address of the broker; null: nothing is published."""
    port: Port = 1883
    """Its port; with ``tls`` usually 8883."""
    tls: bool = False
    """Speak TLS with it, and check its certificate."""
    ca_file: str | None = None
    """Certificates to check it with, in PEM; null: those of the system."""
    username: str | None = None
    """Whom to sign in as; null: nobody."""
    password_file: str | None = None
    """A file whose first line is the password, which nobody else may read."""
    topic: Topic = "edge-asr"
    """What all topics begin with. Boards that share a broker need one each."""
    text: bool = True
    """Publish what was said. false: only when somebody spoke, and how that was recognized."""
    discovery_prefix: Topic | None = "homeassistant"
    """Where Home Assistant looks for devices; null: it is not told of this one."""


class HookSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is told of each transcript, by ``edge-asr hooks``.

    Raises:
        ConfigError: it has neither a command nor a socket, or both.
    """

    name: HookName = "hook"
    """What its queue and messages about it are called: lower-case letters, digits, hyphens. With
    another name it begins anew with what is said from then on."""
    command: list[str] = []
    """A program and its arguments, run once for each transcript, which it gets as JSON at its
    standard input. No shell reads it."""
    unix_socket: str | None = None
    """Instead of a command: the path of a socket, at which an HTTP server gets a POST for each
    transcript."""
    path: Annotated[str, msgspec.Meta(pattern=PATH, max_length=1000)] = "/"
    """Which path of that server."""
    source: str | None = None
    """Only what was said at this microphone; null: at all."""
    timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=3600.0)] = 30.0
    """Seconds after which a try counts as failed, and the command is killed."""
    tries: Annotated[int, msgspec.Meta(ge=1, le=100)] = 8
    """How often it is tried, with pauses of 1, 2, 4 ... 60 seconds, before the alarm HOOK-FAILS is
    raised and the next transcript comes."""

    def __post_init__(self) -> None:
        if bool(self.command) == (self.unix_socket is not None):
            raise ConfigError(f"the hook '{self.name}' needs either a command or a unix_socket")


class WyomingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Speech to text for Home Assistant and other voice assistants, by ``edge-asr wyoming``."""

    host: str = "127.0.0.1"
    """The address to listen at: this machine's own. Any other needs ``allow``."""
    port: Port = 10300
    """The port to listen at; 0: any that is free."""
    unix_socket: str | None = None
    """A path to listen at instead, for the user of the service only."""
    allow: list[str] = []
    """Addresses or networks of other machines that may connect, such as ``192.168.1.10`` or
    ``192.168.1.0/24``: the protocol knows no token."""
    max_audio_s: Seconds = 300.0
    """The longest sound of one request. Seconds."""
    release_after_s: Seconds = 300.0
    """Seconds without a request after which the model is let go from memory."""
