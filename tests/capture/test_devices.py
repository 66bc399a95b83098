"""Which microphone is which, on machines with sound cards that this one does not have."""

import json

import pytest

from edge_asr.capture.devices import InputDevice, as_json, check, input_device, match
from edge_asr.errors import MicrophoneError


class Machine:
    """A machine's /proc/asound and /sys, with whatever cards a test plugs in."""

    def __init__(self, root):
        self.proc = root / "proc/asound"
        self.sys_class = root / "sys/class/sound"
        self._bus = root / "sys/devices/pci0000:00/usb1"
        self._platform = root / "sys/devices/platform/soc"

    def _card(self, number, card_id, place):
        place.mkdir(parents=True, exist_ok=True)
        (self.sys_class / f"card{number}").mkdir(parents=True)
        (self.sys_class / f"card{number}" / "device").symlink_to(place)
        (self.proc / f"card{number}").mkdir(parents=True)
        (self.proc / f"card{number}" / "id").write_text(f"{card_id}\n")

    def plug_usb(self, number, card_id, *, port="1-1.2", usb="0d8c:0014", serial=None):
        device = self._bus / port.split(".")[0] / port
        self._card(number, card_id, device / f"{port}:1.0")
        vendor, product = usb.split(":")
        (device / "idVendor").write_text(f"{vendor}\n")
        (device / "idProduct").write_text(f"{product}\n")
        if serial:
            (device / "serial").write_text(f"{serial}\n")

    def solder(self, number, card_id):
        self._card(number, card_id, self._platform / card_id)

    def device(self, name, *, index=0, is_default=False, n_channels=1):
        info = {"name": name, "maxInputChannels": n_channels, "defaultSampleRate": 48_000.0}
        return input_device(
            index,
            info,
            host_api="ALSA",
            is_default=is_default,
            proc=self.proc,
            sys_class=self.sys_class,
        )


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_a_usb_microphone_is_known_by_all_that_does_not_change(machine):
    machine.plug_usb(1, "Device", serial="A77")
    device = machine.device("USB PnP Sound Device: Audio (hw:1,0)")
    assert device.identities() == [
        "usb:0d8c:0014:A77",
        "usb:0d8c:0014",
        "port:1-1.2",
        "card:Device",
        "name:USB PnP Sound Device: Audio*",
    ]
    assert device.sample_rate == 48_000


def test_a_codec_on_the_board_is_known_by_its_card(machine):
    machine.solder(0, "sndrpihifiberry")
    device = machine.device("snd_rpi_hifiberry: HiFi (hw:0,0)")
    assert device.card == "sndrpihifiberry"
    assert device.usb is None
    assert device.identities()[0] == "card:sndrpihifiberry"


def test_the_card_id_is_found_where_proc_is_hidden(machine):
    machine.solder(0, "hifi")
    (machine.proc / "card0" / "id").unlink()
    (machine.sys_class / "card0" / "id").write_text("hifi\n")
    assert machine.device("x (hw:0,0)").card == "hifi"


def test_a_virtual_device_is_known_by_its_name(machine):
    assert machine.device("pulse", n_channels=32).identities() == ["name:pulse"]


def test_a_card_that_went_since_it_was_listed_has_no_identity_but_its_name(machine):
    device = machine.device("USB Audio (hw:7,0)")
    assert device.card is None
    assert device.identities() == ["name:USB Audio*"]


def test_every_identity_finds_its_device_again_after_a_reboot_has_changed_the_numbers(tmp_path):
    names = {"Device": "USB PnP (hw:{},0)", "Webcam": "HD Webcam [C270] (hw:{},0)"}
    before, after = Machine(tmp_path / "before"), Machine(tmp_path / "after")
    for machine, numbers in ((before, (1, 2)), (after, (2, 1))):
        machine.plug_usb(numbers[0], "Device", serial="A77")
        machine.plug_usb(numbers[1], "Webcam", port="1-1.3", usb="046d:0825")
    old = [
        before.device(name.format(number), index=number)
        for number, name in zip((1, 2), names.values(), strict=True)
    ]
    new = [
        after.device(name.format(number), index=number)
        for number, name in zip((2, 1), names.values(), strict=True)
    ]
    for device, expected in zip(old, new, strict=True):
        for identity in device.identities():
            assert match(identity, new) == expected


def test_two_of_the_same_kind_are_told_apart_by_serial_or_port(machine):
    machine.plug_usb(1, "Device", port="1-1.2", serial="A77")
    machine.plug_usb(2, "Device_1", port="1-1.3")
    first = machine.device("USB PnP (hw:1,0)", index=3)
    second = machine.device("USB PnP (hw:2,0)", index=4)
    with pytest.raises(MicrophoneError) as refused:
        match("usb:0d8c:0014", [first, second])
    assert "'usb:0d8c:0014' means 2 microphones" in str(refused.value)
    assert "usb:0d8c:0014:A77, port:1-1.3" in str(refused.value)
    assert match("usb:0d8c:0014:A77", [first, second]) == first
    assert match("port:1-1.3", [first, second]) == second


def test_usb_numbers_may_be_written_in_capitals_and_serials_may_hold_colons(machine):
    machine.plug_usb(1, "Device", usb="0d8c:001a", serial="00:1B:aa")
    device = machine.device("USB PnP (hw:1,0)")
    assert match("usb:0D8C:001A:00:1B:aa", [device]) == device
    with pytest.raises(MicrophoneError):
        match("usb:0d8c:001a:00:1b:aa", [device])


def test_a_card_with_several_inputs_means_its_first_unless_another_is_named(machine):
    machine.plug_usb(1, "Console")
    second = machine.device("Console: Line (hw:1,1)", index=5)
    first = machine.device("Console: Mic (hw:1,0)", index=6)
    assert match("card:Console", [second, first]) == first
    assert match("usb:0d8c:0014", [second, first]) == first
    assert match("card:Console,1", [second, first]) == second


def test_the_default_is_what_the_sound_system_calls_so(machine):
    devices = [machine.device("pulse"), machine.device("default", is_default=True)]
    assert match("default", devices).name == "default"


def test_a_name_is_a_pattern(machine):
    devices = [machine.device("vmic", index=0), machine.device("pulse", index=1)]
    assert match("name:V*", devices).name == "vmic"
    with pytest.raises(MicrophoneError, match="means 2 microphones"):
        match("name:*", devices)


def test_a_microphone_that_is_not_there_is_answered_with_those_that_are(machine):
    machine.plug_usb(1, "Device", serial="A77")
    devices = [machine.device("USB PnP (hw:1,0)"), machine.device("pulse")]
    with pytest.raises(MicrophoneError) as refused:
        match("card:Webcam", devices)
    assert str(refused.value) == (
        "no microphone 'card:Webcam'; there: usb:0d8c:0014:A77, name:pulse"
    )


def test_a_machine_without_microphones_says_so():
    with pytest.raises(MicrophoneError, match="the machine has no microphone"):
        match("default", [])


@pytest.mark.parametrize(
    "wanted",
    ["", "0", "-1", "hw:1,0", "card:", "usb:1234", "usb:12345:1", "usb:0d8c:0014x", "mic:1"],
)
def test_what_could_never_mean_a_microphone_is_refused(wanted):
    with pytest.raises(MicrophoneError, match="write default, card:ID"):
        check(wanted)


def test_a_name_that_is_no_text_is_still_listed(machine):
    assert machine.device(b"Mikrof\xf6n").name == "Mikrof\ufffdn"


def test_devices_cross_the_process_border_unchanged(machine):
    machine.plug_usb(1, "Device", serial="A77")
    device = machine.device("USB PnP (hw:1,0)", is_default=True)
    assert [InputDevice(**fields) for fields in json.loads(as_json([device]))] == [device]
