"""The settings of the bridges to other systems; :mod:`edge_asr.settings` has all others."""

from __future__ import annotations

from typing import Annotated

import msgspec

TOPIC = r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$"
Topic = Annotated[str, msgspec.Meta(pattern=TOPIC, max_length=200)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


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
