"""Which microphone is which, by an identity that outlives a reboot and a replug.

PortAudio numbers its devices anew each time, and the kernel numbers sound cards in the order they
appear. What stays is what ``/proc/asound`` and ``/sys`` know: the card's id, the USB vendor,
product and serial number, and the USB port.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_asr.errors import MicrophoneError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHILD_MODULE = "edge_asr.capture.portaudio_child"
_LIST_TIMEOUT_S = 10.0
_HARDWARE = re.compile(r"(?P<title>.*) \(hw:(?P<card>[0-9]+),(?P<pcm>[0-9]+)\)")
"""How PortAudio names ALSA's hardware: ``USB Audio Device: - (hw:1,0)``."""
_FORMS = "default, card:ID, usb:VENDOR:PRODUCT[:SERIAL], port:USB-PORT or name:PATTERN"


@dataclass(frozen=True, slots=True)
class InputDevice:
    """A microphone, as PortAudio and the kernel know it."""

    index: int
    """PortAudio's number, which only counts within the process that asked for it."""
    name: str
    """PortAudio's name; for hardware, it holds the kernel's card number."""
    host_api: str
    n_channels: int
    """Virtual devices claim 32 or more, and mean: as many as you like."""
    sample_rate: int
    """Its own, hertz."""
    is_default: bool
    pcm: int = 0
    """Which of its card's devices it is; nearly always 0."""
    card: str | None = None
    """ALSA's id of the card."""
    usb: str | None = None
    """USB ``VENDOR:PRODUCT``, four hexadecimal digits each."""
    usb_serial: str | None = None
    usb_port: str | None = None
    """Where it is plugged in: bus and ports, e.g. ``1-1.2``."""

    @property
    def title(self) -> str:
        """The name without numbers that change."""
        match = _HARDWARE.fullmatch(self.name)
        return match["title"] if match else self.name

    def identities(self) -> list[str]:
        """Return what may stand for it in the configuration, the most specific first."""
        names = []
        if self.usb and self.usb_serial:
            names.append(f"usb:{self.usb}:{self.usb_serial}")
        if self.usb:
            names.append(f"usb:{self.usb}")
        if self.usb_port:
            names.append(f"port:{self.usb_port}")
        if self.card:
            names.append(f"card:{self.card}" + (f",{self.pcm}" if self.pcm else ""))
        names.append(f"name:{escape(self.title)}" + ("*" if self.title != self.name else ""))
        return names


def input_device(
    index: int,
    info: Mapping[str, Any],
    *,
    host_api: str,
    is_default: bool,
    proc: Path = Path("/proc/asound"),
    sys_class: Path = Path("/sys/class/sound"),
) -> InputDevice:
    """Return PortAudio's device ``info``, with what the kernel knows about it."""
    name = info["name"]
    name = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
    match = _HARDWARE.fullmatch(name)
    return InputDevice(
        index=index,
        name=name,
        host_api=host_api,
        n_channels=int(info["maxInputChannels"]),
        sample_rate=round(info["defaultSampleRate"]),
        is_default=is_default,
        **(
            {"pcm": int(match["pcm"]), **_kernel_identity(match["card"], proc, sys_class)}
            if match
            else {}
        ),
    )


def _kernel_identity(number: str, proc: Path, sys_class: Path) -> dict[str, Any]:
    card = sys_class / f"card{number}"
    identity: dict[str, Any] = {"card": _read(proc / f"card{number}" / "id") or _read(card / "id")}
    with suppress(OSError):
        place = (card / "device").resolve(strict=True)
        for folder in (place, *place.parents):
            if (folder / "idVendor").exists():
                identity["usb"] = f"{_read(folder / 'idVendor')}:{_read(folder / 'idProduct')}"
                identity["usb_serial"] = _read(folder / "serial")
                identity["usb_port"] = folder.name
                break
    return identity


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


def check(wanted: str) -> None:
    """Check that a configured device has one of the forms there are.

    Raises:
        MicrophoneError: it has not.
    """
    kind, _, rest = wanted.partition(":")
    if kind == "usb":
        well_formed = re.fullmatch(r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}(:.+)?", rest) is not None
    else:
        well_formed = wanted == "default" or (kind in {"card", "port", "name"} and rest != "")
    if not well_formed:
        raise MicrophoneError(f"microphone device '{wanted}': write {_FORMS}")


def match(wanted: str, devices: Sequence[InputDevice]) -> InputDevice:
    """Return the device that ``wanted`` means.

    Raises:
        MicrophoneError: none or several do; the message lists what is there.
    """
    check(wanted)
    found = [device for device in devices if _means(wanted, device)]
    if not found:
        raise MicrophoneError(f"no microphone '{wanted}'; {_listed(devices)}")
    if (device := _the_one(found)) is None:
        choices = ", ".join(telling_identities(each, devices)[0] for each in found)
        raise MicrophoneError(
            f"'{wanted}' means {len(found)} microphones; be more specific, with one of: {choices}",
        )
    return device


def _the_one(found: Sequence[InputDevice]) -> InputDevice | None:
    """Return the first device of a card, as ALSA's own ``hw:CARD`` does, or the only one."""
    first = min(found, key=lambda device: device.pcm)
    same_card = first.card is not None and all(device.card == first.card for device in found)
    return first if same_card or len(found) == 1 else None


def _means(wanted: str, device: InputDevice) -> bool:
    kind, _, rest = wanted.partition(":")
    match kind:
        case "default":
            return device.is_default
        case "card":
            card, _, pcm = rest.partition(",")
            return device.card == card and (not pcm or pcm == str(device.pcm))
        case "port":
            return device.usb_port == rest
        case "name":
            return fnmatchcase(device.name.lower(), rest.lower())
    usb, serial = rest[:9].lower(), rest[10:]  # VENDOR:PRODUCT, then the rest
    return device.usb == usb and (not serial or device.usb_serial == serial)


def telling_identities(device: InputDevice, devices: Sequence[InputDevice]) -> list[str]:
    """Return what means ``device`` and no other of ``devices``; what changes least comes first."""
    telling = [
        identity
        for identity in device.identities()
        if _the_one([other for other in devices if _means(identity, other)]) == device
    ]
    return telling or [f"name:{escape(device.name)}"]


def _listed(devices: Sequence[InputDevice]) -> str:
    if not devices:
        return "the machine has no microphone that can be opened now"
    return "there: " + ", ".join(telling_identities(device, devices)[0] for device in devices)


def list_microphones() -> list[InputDevice]:
    """Return the microphones that can be opened now. A process of its own asks PortAudio.

    Raises:
        MicrophoneError: the sound system does not answer.
    """
    command = [sys.executable, "-m", CHILD_MODULE, "list"]
    try:
        answer = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIST_TIMEOUT_S,
            check=True,
        ).stdout
        found = json.loads(answer)
    except subprocess.TimeoutExpired as error:
        raise MicrophoneError(
            f"the sound system does not answer within {_LIST_TIMEOUT_S:.0f} s; restart it",
        ) from error
    except (subprocess.CalledProcessError, ValueError) as error:
        raise MicrophoneError(f"the sound system cannot be asked ({error})") from error
    if isinstance(found, str):
        raise MicrophoneError(found)
    return [InputDevice(**fields) for fields in found]


def as_json(devices: Sequence[InputDevice]) -> str:
    """Return ``devices`` as :func:`list_microphones` reads them."""
    return json.dumps([asdict(device) for device in devices])
