"""What Home Assistant is told of the appliance, so that it shows it as a device.

Source: its page on MQTT discovery. Each entity has a message of its own, which every version since
2022 reads, and which the broker keeps.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edge_asr import __version__
from edge_asr.bridges.messages import OFFLINE, ONLINE, Message

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_asr.bridges.messages import Topics

_STATES = ["hearing", "no_device", "muted", "not_listening"]
_MAX_STATE = 255
"""Characters that a state in Home Assistant may have; the attributes have all."""

Entity = dict[str, Any]


class Device:
    """The appliance as a device.

    Args:
        prefix: where Home Assistant looks.
        topics: where the appliance publishes.
        with_text: whether it publishes what was said.
    """

    def __init__(self, prefix: str, topics: Topics, *, with_text: bool) -> None:
        self._prefix = prefix
        self._topics = topics
        self._with_text = with_text
        self._id = topics.root.replace("/", "_")

    def messages(self, sources: Sequence[str]) -> Iterator[Message]:
        """Yield a message for each entity: those of the appliance, and those of each source."""
        for kind, name, entity in self._entities(sources):
            described = {
                "unique_id": f"{self._id}_{name}",
                "availability_topic": self._topics.status,
                "payload_available": ONLINE,
                "payload_not_available": OFFLINE,
                "device": {
                    "identifiers": [self._id],
                    "name": self._topics.root,
                    "manufacturer": "edge-asr",
                    "model": "Offline speech recorder",
                    "sw_version": __version__,
                },
                **entity,
            }
            topic = f"{self._prefix}/{kind}/{self._id}/{name}/config"
            yield Message(topic, json.dumps(described), is_kept=True)

    def _entities(self, sources: Sequence[str]) -> Iterator[tuple[str, str, Entity]]:
        yield (
            "binary_sensor",
            "problem",
            {
                "name": "Problem",
                "device_class": "problem",
                **self._of_state("'ON' if value_json.alarms else 'OFF'"),
                "json_attributes_topic": self._topics.state,
                "json_attributes_template": "{{ {'alarms': value_json.alarms} | tojson }}",
            },
        )
        yield (
            "sensor",
            "backlog",
            {
                "name": "Waiting speech",
                **self._measured("value_json.recognizer.backlog_s", "s", "duration"),
            },
        )
        yield (
            "sensor",
            "temperature",
            {
                "name": "Temperature",
                **self._measured("value_json.temperature_c", "°C", "temperature"),
            },
        )
        yield (
            "sensor",
            "disk_free",
            {
                "name": "Disk free",
                **self._measured(
                    "(value_json.disk.free_bytes / 1e9) | round(1)", "GB", "data_size"
                ),
            },
        )
        for source in sources:
            name = "".join(c if c.isascii() and c.isalnum() else "_" for c in source)
            yield "sensor", f"state_{name}", self._state_of(source)
            yield "sensor", f"transcript_{name}", self._transcript_of(source)

    def _state_of(self, source: str) -> Entity:
        of_source = f"selectattr('source', 'eq', {json.dumps(source)})"
        return {
            "name": f"{source} microphone",
            "device_class": "enum",
            "options": _STATES,
            "icon": "mdi:microphone",
            **self._of_state(f"(value_json.microphones | {of_source} | first).state"),
        }

    def _transcript_of(self, source: str) -> Entity:
        topic = self._topics.transcript(source)
        entity = {
            "state_topic": topic,
            "json_attributes_topic": topic,
            "icon": "mdi:text-recognition",
        }
        if self._with_text:
            template = f"{{{{ value_json.text[:{_MAX_STATE}] }}}}"
            return {"name": f"{source} last said", "value_template": template, **entity}
        template = "{{ value_json.start_utc }}"
        name = f"{source} last spoke"
        return {"name": name, "value_template": template, "device_class": "timestamp", **entity}

    def _measured(self, expression: str, unit: str, device_class: str) -> Entity:
        return {
            **self._of_state(expression),
            "unit_of_measurement": unit,
            "device_class": device_class,
            "state_class": "measurement",
            "entity_category": "diagnostic",
        }

    def _of_state(self, expression: str) -> Entity:
        return {
            "state_topic": self._topics.state,
            "value_template": f"{{{{ {expression} }}}}",
        }
