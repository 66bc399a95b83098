"""The process that reads a microphone, and nothing else. The one door to PyAudio.

A lost microphone makes PortAudio spin, hang or crash instead of raising, and no thread can be
killed. So it has a process of its own, which the parent (:mod:`edge_asr.capture.microphone`) kills
and starts anew. It imports as little as it can, writes what it reads to a pipe, and ends with its
parent.

    python -m edge_asr.capture.portaudio_child list
    python -m edge_asr.capture.portaudio_child read '{"device": "default", ...}'
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from edge_asr.capture import wire
from edge_asr.capture.devices import as_json, input_device, match
from edge_asr.errors import MicrophoneError

if TYPE_CHECKING:
    from edge_asr.capture.devices import InputDevice

READ_S = 0.1
"""Seconds of sound in one read."""
CALM_READ_S = 0.4
"""The same while nobody speaks: each read wakes two processes, which costs more than its sound."""
_COMMON_RATES = (48_000, 44_100, 16_000)
_MOST_REAL_CHANNELS = 8
"""A device that claims more is a virtual one, which makes any number out of what it has."""
_MOST_ORDERS = 4096
_PR_SET_PDEATHSIG = 1
_OVERFLOWED = -9981
"""PortAudio's ``paInputOverflowed``."""


def main() -> None:
    """Do what the arguments say."""
    out = _private_stdout()
    if sys.argv[1] == "list":
        _write(out, _list().encode())
        os._exit(0)
    request = json.loads(sys.argv[2])
    _die_with(request["parent_pid"])
    try:
        _read(request, out)
    except (MicrophoneError, OSError, ImportError) as error:
        _write(out, wire.message(wire.FAILED, _in_words(error).encode()))
    # Not exit(): closing a stream whose device is gone can hang or crash.
    os._exit(1)


def _private_stdout() -> int:
    """Return a descriptor for the pipe; libraries that print then print into nothing.

    PortAudio writes kilobytes of ALSA's messages whenever it starts, and 95 MB/s when a device
    vanishes.
    """
    out = os.dup(1)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    return out


def _die_with(parent_pid: int) -> None:
    # Ctrl-C, systemd's SIGTERM and a terminal's end, which all get, are the parent's business: it
    # ends this process when it has drained it. So is SIGUSR1, which mutes.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before it could be told to
        os._exit(1)


def _write(out: int, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(out, view) :]
    except BrokenPipeError:
        os._exit(1)


def _list() -> str:
    try:
        return as_json(_input_devices(_port_audio()))
    except (OSError, ImportError) as error:
        return json.dumps(_in_words(error))


def _port_audio() -> Any:  # noqa: ANN401 (PyAudio has no types)
    import pyaudio  # noqa: PLC0415 (a missing libportaudio is reported, not a traceback)

    return pyaudio.PyAudio()


def _input_devices(audio: Any) -> list[InputDevice]:  # noqa: ANN401
    try:
        default = audio.get_default_input_device_info()["index"]
    except OSError:  # there is none
        default = None
    infos = [audio.get_device_info_by_index(index) for index in range(audio.get_device_count())]
    return [
        input_device(
            info["index"],
            info,
            host_api=audio.get_host_api_info_by_index(info["hostApi"])["name"],
            is_default=info["index"] == default,
        )
        for info in infos
        if info["maxInputChannels"] > 0
    ]


def _read(request: dict[str, Any], out: int) -> None:
    audio = _port_audio()
    # PortAudio crashes on a number that is no longer valid: match and open within one instance.
    device = match(request["device"], _input_devices(audio))
    stream, sample_rate, n_channels = _open(audio, device, request)
    opened = {"device": device.name, "sample_rate": sample_rate, "n_channels": n_channels}
    _write(out, wire.message(wire.OPENED, json.dumps(opened).encode()))
    os.set_blocking(0, False)
    n_frames = int(sample_rate * READ_S)
    overflowed = False
    while True:
        with suppress(BlockingIOError):  # there is no order
            calmly = os.read(0, _MOST_ORDERS).endswith(wire.CALMLY)
            n_frames = int(sample_rate * (CALM_READ_S if calmly else READ_S))
        try:
            pcm = stream.read(n_frames, exception_on_overflow=True)
        except OSError as error:
            if _OVERFLOWED not in error.args:
                raise
            overflowed = True
            continue
        frames = wire.PcmFrames(time.monotonic_ns(), n_frames, overflowed, pcm)
        _write(out, wire.frames_message(frames))
        overflowed = False


def _open(audio: Any, device: InputDevice, request: dict[str, Any]) -> tuple[Any, int, int]:  # noqa: ANN401
    """Return the open stream, its rate and how many channels it has: the first that works."""
    import pyaudio  # noqa: PLC0415

    rates = dict.fromkeys((request["sample_rate"], device.sample_rate, *_COMMON_RATES))
    error: OSError | None = None
    for n_channels in _channel_counts(device, request["channel"], request["channels"]):
        for sample_rate in filter(None, rates):
            try:
                stream = audio.open(
                    rate=sample_rate,
                    channels=n_channels,
                    format=pyaudio.paInt16,
                    input=True,
                    input_device_index=device.index,
                    frames_per_buffer=int(sample_rate * READ_S),
                )
            except OSError as refused:
                error = error or refused
            else:
                return stream, sample_rate, n_channels
    raise MicrophoneError(
        f"{device.name} cannot be opened ({_in_words(error)}); "
        "another program may be using it, or it may lack permission",
    )


def _channel_counts(device: InputDevice, channel: int | None, channels: int | None) -> list[int]:
    needed = channels or (1 if channel is None else channel + 1)
    if channel is not None and channel >= needed:
        raise MicrophoneError(f"of {channels} channels there is no channel {channel} (from 0)")
    if needed > device.n_channels:
        raise MicrophoneError(
            f"{device.name} has {device.n_channels} channels, so there is no channel {needed - 1} "
            "(they count from 0)",
        )
    if channels:
        return [channels]
    own = [device.n_channels] if device.n_channels <= _MOST_REAL_CHANNELS else []
    # One channel of what a sound server mixes would be the mix of all, not the first.
    least = [needed, max(needed, 2)] if channel is None else [max(needed, 2), needed]
    return list(dict.fromkeys([*own, *least]))


def _in_words(error: Exception | None) -> str:
    """Return an error's words; PyAudio gives them before or after a number."""
    words = [part for part in getattr(error, "args", ()) if isinstance(part, str)]
    return ", ".join(words) or repr(error)


if __name__ == "__main__":
    main()
