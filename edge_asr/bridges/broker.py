"""The connection to an MQTT broker. The one door to paho, which reconnects and sends again.

A message of quality 1 is ours until the broker has acknowledged it: while the connection is away
paho keeps it, and sends it again once it is back.
"""

from __future__ import annotations

import contextlib
import ssl
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from edge_asr.bridges.messages import OFFLINE, Message
from edge_asr.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import TracebackType

    from paho.mqtt.client import ConnectFlags, DisconnectFlags
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from edge_asr.bridge_settings import MqttSettings

KEEP_ALIVE_S = 30
LONGEST_PAUSE_S = 30
"""Between two attempts to connect; the first ones come sooner."""
_LOOK_S = 0.1
_LAST_WORDS_S = 2.0


class Broker:
    """A broker, while it is open.

    Args:
        settings: which one.
        password: for it.
        status_topic: where it says that we are gone, if we do not.
        tell: is told in a sentence when the connection comes and goes.

    Raises:
        ConfigError: the host is no name, or the certificates cannot be read.
    """

    def __init__(
        self,
        settings: MqttSettings,
        password: str | None,
        status_topic: str,
        tell: Callable[[str], None],
    ) -> None:
        host = settings.host or ""
        try:
            host.encode("idna")
        except UnicodeError as error:
            raise ConfigError(f"mqtt.host: '{host}' is no name of a machine") from error
        self._address = f"{host}:{settings.port}"
        self._status_topic = status_topic
        self._tell = tell
        self._told = ""
        self._is_new = threading.Event()
        self._has_news = threading.Event()
        self._acknowledged: set[int] = set()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.will_set(status_topic, OFFLINE, qos=1, retain=True)
        self._client.reconnect_delay_set(1, LONGEST_PAUSE_S)
        self._client.username_pw_set(settings.username, password)
        if settings.tls:
            self._use_tls(settings.ca_file)
        self._client.connect_async(host, settings.port, KEEP_ALIVE_S)

    @property
    def is_there(self) -> bool:
        """Whether the connection stands."""
        return self._client.is_connected()

    @property
    def why_not(self) -> str:
        """What was told last of the connection."""
        return self._told or f"no answer from {self._address}"

    def is_new(self) -> bool:
        """Say whether the connection was made since the last call."""
        was_new = self._is_new.is_set()
        self._is_new.clear()
        return was_new

    def deliver(self, messages: Iterable[Message], while_waiting: Callable[[], bool]) -> bool:
        """Send messages in order, and wait until the broker has them, however long it is away.

        Args:
            messages: what is sent.
            while_waiting: is called again and again; False ends the waiting.

        Returns:
            Whether the broker has all of them.
        """
        sent = {
            self._client.publish(each.topic, each.payload, qos=1, retain=each.is_kept).mid
            for each in messages
        }
        while not sent <= self._acknowledged:
            if not while_waiting():
                return False
            self._has_news.wait(_LOOK_S)
            self._has_news.clear()
        self._acknowledged.clear()
        return True

    def __enter__(self) -> Self:
        """Begin to connect; this goes on in a thread."""
        self._client.loop_start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.is_there:
            last = self._client.publish(self._status_topic, OFFLINE, qos=1, retain=True)
            with contextlib.suppress(RuntimeError):  # it was lost just now
                last.wait_for_publish(_LAST_WORDS_S)
        self._client.disconnect()
        self._client.loop_stop()

    def _use_tls(self, ca_file: str | None) -> None:
        try:
            self._client.tls_set(ca_certs=ca_file)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise ConfigError(
                f"mqtt.ca_file: {ca_file} cannot be read as certificates: {error}"
            ) from error

    def _on_connect(
        self,
        _client: Client,
        _data: Any,  # noqa: ANN401
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._say(f"{self._address} refuses: {reason}")
            return
        self._is_new.set()
        self._say(f"connected with {self._address}")

    def _on_connect_fail(self, _client: Client, _data: Any) -> None:  # noqa: ANN401
        # paho does not say why, but calls while it handles the error.
        error = sys.exc_info()[1]
        why = getattr(error, "strerror", None) or error or "no answer"
        self._say(f"{self._address} cannot be reached: {why}")

    def _on_disconnect(
        self,
        _client: Client,
        _data: Any,  # noqa: ANN401
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure and not self._told.startswith(f"{self._address} refuses"):
            self._say(f"the connection with {self._address} is lost: {reason}")

    def _on_publish(
        self,
        _client: Client,
        _data: Any,  # noqa: ANN401
        message_id: int,
        _reason: ReasonCode,
        _properties: Properties,
    ) -> None:
        self._acknowledged.add(message_id)
        self._has_news.set()

    def _say(self, sentence: str) -> None:
        if sentence != self._told:
            self._told = sentence
            self._tell(sentence)


def read_password(path: Path) -> str:
    """Return the password in a file, which is its first line.

    Raises:
        ConfigError: the file cannot be read, or everybody may.
    """
    try:
        mode = path.stat().st_mode
        password = path.read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a file with a password: {error}") from error
    if mode & 0o007:
        raise ConfigError(f"{path}: everybody may read it; chmod 640 {path}")
    return password
