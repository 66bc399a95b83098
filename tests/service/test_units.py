"""The units, the udev rule and the rest of what systemd reads."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge_asr.config import Config, load_config
from edge_asr.settings import SECTIONS

SYSTEMD = Path(__file__).resolve().parents[2] / "systemd"
SERVICES = ["edge-asr-listen@.service", "edge-asr-recognize.service", "edge-asr-serve.service"]
BRIDGES = ["edge-asr-hands.service", "edge-asr-hooks.service", "edge-asr-wyoming.service"]
NETWORKED = "edge-asr-publish.service"
JOBS = ["edge-asr-metrics.service"]
"""Those that a timer starts, and that end by themselves."""
HIGHEST_EXPOSURE = {
    "edge-asr-hands.service": 0.6,
    "edge-asr-hooks.service": 0.2,
    "edge-asr-metrics.service": 0.2,
    "edge-asr-wyoming.service": 0.4,
    NETWORKED: 1.0,
    "edge-asr-listen@.service": 0.6,
    "edge-asr-recognize.service": 0.2,
    "edge-asr-serve.service": 0.4,
}
"""Of ten. A unit without any of this has 9.6."""


class Unit(configparser.RawConfigParser):
    optionxform = staticmethod(str)

    def __init__(self, name):
        super().__init__(strict=False, interpolation=None)
        self.read(SYSTEMD / name, encoding="utf-8")


@pytest.fixture
def analyze():
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")

    def run(*arguments):
        return subprocess.run(
            ["systemd-analyze", "--no-pager", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


@pytest.fixture
def runnable_units(tmp_path):
    """Copy the units, with a program that exists on this machine."""
    kinds = ("service", "socket", "target", "timer")
    for path in [path for kind in kinds for path in SYSTEMD.glob(f"*.{kind}")]:
        text = path.read_text(encoding="utf-8").replace("/opt/edge-asr/bin/edge-asr", "/bin/true")
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    return tmp_path


def test_systemd_finds_no_fault_in_the_units(analyze, runnable_units):
    names = (
        "edge-asr-listen@mic.service",
        "edge-asr-recognize.service",
        "edge-asr-serve.service",
        "edge-asr-serve.socket",
        "edge-asr-metrics.service",
        "edge-asr-metrics.timer",
        "edge-asr-hands.service",
        "edge-asr-hooks.service",
        "edge-asr-wyoming.service",
        "edge-asr-wyoming.socket",
        NETWORKED,
        "edge-asr.target",
    )
    result = analyze("verify", *(runnable_units / name for name in names))
    assert result.stderr == ""
    assert result.returncode == 0


def test_systemd_does_find_the_fault_in_a_faulty_unit(analyze, runnable_units):
    path = runnable_units / "edge-asr-recognize.service"
    path.write_text(path.read_text().replace("WatchdogSec=", "WatchDogSec="))
    assert "'WatchDogSec'" in analyze("verify", path).stderr


@pytest.mark.parametrize("name", [*SERVICES, *BRIDGES, *JOBS, NETWORKED])
def test_a_service_is_hardly_exposed(analyze, name):
    result = analyze("security", "--offline=true", SYSTEMD / name)
    exposure = float(re.search(r"exposure level for \S+: ([0-9.]+)", result.stdout)[1])
    assert exposure <= HIGHEST_EXPOSURE[name]


@pytest.mark.parametrize("name", [*SERVICES, *BRIDGES, *JOBS])
def test_a_service_has_no_network_and_no_privileges(name):
    service = Unit(name)["Service"]
    assert service["PrivateNetwork"] == "yes"
    assert service["RestrictAddressFamilies"] == "AF_UNIX"
    assert service["NoNewPrivileges"] == "yes"
    assert service["CapabilityBoundingSet"] == ""
    assert service["User"] == "edge-asr"
    assert service["ProtectSystem"] == "strict"


@pytest.mark.parametrize("name", [*SERVICES, *BRIDGES, NETWORKED])
def test_a_service_is_started_again_for_ever_and_waits_for_no_network(name):
    unit = Unit(name)
    assert unit["Service"]["Restart"] == "always"
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert unit["Service"]["Type"] == "notify"
    assert "network" not in unit["Unit"]["After"]


@pytest.mark.parametrize("name", [*SERVICES, *BRIDGES, *JOBS, NETWORKED])
def test_all_services_share_the_state_and_neither_changes_the_models(name):
    service = Unit(name)["Service"]
    assert service["StateDirectory"] == "edge-asr"
    assert service["UMask"] == "0077"
    assert service["ReadOnlyPaths"] == "-/var/lib/edge-asr/bundles"


def test_one_unit_reaches_a_network_and_of_it_only_what_it_is_allowed():
    service = Unit(NETWORKED)["Service"]
    assert "PrivateNetwork" not in service
    assert service["IPAddressDeny"] == "any"
    assert service["IPAddressAllow"] == "localhost"
    assert service["NoNewPrivileges"] == "yes"
    assert service["CapabilityBoundingSet"] == ""
    assert service["ProtectSystem"] == "strict"
    others = {path.name for path in SYSTEMD.glob("*.service")} - {NETWORKED}
    assert all(Unit(name)["Service"]["PrivateNetwork"] == "yes" for name in others)


def test_only_the_listener_reaches_the_sound_cards_and_nothing_else():
    listen = Unit("edge-asr-listen@.service")["Service"]
    recognize = Unit("edge-asr-recognize.service")["Service"]
    assert listen["DeviceAllow"] == "char-alsa rw"
    assert listen["DevicePolicy"] == recognize["DevicePolicy"] == "closed"
    assert listen["SupplementaryGroups"] == "audio"
    assert recognize["PrivateDevices"] == "yes"
    assert "SupplementaryGroups" not in recognize


def test_hands_reach_keys_and_gpio_lines_and_no_microphone():
    service = Unit("edge-asr-hands.service")["Service"]
    assert service["DevicePolicy"] == "closed"
    unit = (SYSTEMD / "edge-asr-hands.service").read_text(encoding="utf-8")
    allowed = re.findall("^DeviceAllow=(.*)", unit, re.MULTILINE)
    assert allowed == ["char-input r", "char-gpiochip rw"]
    assert service["SupplementaryGroups"] == "input"


def test_hearing_comes_before_understanding():
    listen = Unit("edge-asr-listen@.service")["Service"]
    recognize = Unit("edge-asr-recognize.service")["Service"]
    serve = Unit("edge-asr-serve.service")["Service"]
    for more in ("CPUWeight", "IOWeight"):
        assert int(listen[more]) > int(recognize[more]) > int(serve[more])
    assert int(listen["Nice"]) < int(recognize["Nice"]) <= int(serve["Nice"])
    adjust = "OOMScoreAdjust"
    assert int(listen[adjust]) < int(recognize[adjust]) < int(serve[adjust])


def test_voice_assistants_of_this_machine_only_may_connect_and_systemd_opens_the_port():
    opened = Unit("edge-asr-wyoming.socket")["Socket"]
    assert opened["ListenStream"] == f"127.0.0.1:{Config().wyoming.port}"
    assert Unit("edge-asr-wyoming.service")["Unit"]["Requires"] == "edge-asr-wyoming.socket"


def test_the_page_is_for_this_machine_only_and_systemd_opens_its_port():
    opened = Unit("edge-asr-serve.socket")["Socket"]
    assert opened["ListenStream"] == "127.0.0.1:8089"
    assert Unit("edge-asr-serve.service")["Unit"]["Requires"] == "edge-asr-serve.socket"


@pytest.mark.parametrize("name", SERVICES[:2])
def test_the_watchdog_gives_the_slowest_step_its_time(name):
    listening = name == "edge-asr-listen@.service"
    watchdog_s = int(Unit(name)["Service"]["WatchdogSec"])
    longest_heard_at_once_s = 30
    assert watchdog_s == (60 if listening else 180)
    assert listening or watchdog_s >= 6 * longest_heard_at_once_s


@pytest.mark.parametrize("name", [*SERVICES, *BRIDGES, *JOBS, NETWORKED])
def test_a_service_calls_a_command_that_exists(name):
    from edge_asr.cli import COMMANDS, edge_asr

    program, *arguments = Unit(name)["Service"]["ExecStart"].split()
    assert program == "/opt/edge-asr/bin/edge-asr"
    context = edge_asr.make_context("edge-asr", [*arguments], resilient_parsing=True)
    assert context.params["config_path"] == Path("/etc/edge-asr/config.yaml")
    command, *rest = arguments[2:]
    assert command in COMMANDS
    options = {name for p in edge_asr.get_command(context, command).params for name in p.opts}
    assert {argument for argument in rest if argument.startswith("--")} <= options


def test_the_service_named_in_the_target_is_the_configured_microphone():
    install = Unit("edge-asr-listen@.service")["Install"]
    assert install["DefaultInstance"] == Config().microphones[0].name
    assert install["WantedBy"] == "edge-asr.target"


def test_the_udev_rule_is_well_formed_and_starts_nothing():
    rules = (SYSTEMD / "72-edge-asr.rules").read_text(encoding="utf-8").splitlines()
    rules = [line for line in rules if line and not line.startswith("#")]
    assert rules
    term = r'[A-Z]+(\{[A-Za-z_/]+\})?(==|!=|=|\+=|:=)"[^"]*"'
    for rule in rules:
        assert re.fullmatch(f"{term}(, {term})*", rule)
        assert "SYSTEMD_WANTS" not in rule
        assert "RUN" not in rule


@pytest.mark.parametrize(
    ("interfaces", "is_audio"),
    [
        (":010100:010200:030000:", True),  # a USB microphone with a volume key
        (":0e0100:0e0200:010100:010200:", True),  # a camera that hears
        (":030101:030102:", False),  # a keyboard
        (":080650:", False),  # a memory stick
        (":ff0101:", False),
    ],
)
def test_the_udev_rule_means_devices_that_hear(interfaces, is_audio):
    from fnmatch import fnmatchcase

    rule = (SYSTEMD / "72-edge-asr.rules").read_text(encoding="utf-8")
    pattern = re.search(r'ENV\{ID_USB_INTERFACES\}=="([^"]+)"', rule)[1]
    assert fnmatchcase(interfaces, pattern) == is_audio


def test_the_example_configuration_is_the_defaults():
    assert load_config(SYSTEMD / "config.example.yaml") == Config()


def test_the_example_configuration_explains_every_setting():
    lines = (SYSTEMD / "config.example.yaml").read_text(encoding="utf-8").splitlines()
    for path, section in SECTIONS.items():
        for name in section.__struct_fields__:
            if getattr(Config(), path.removesuffix("[]"), None) == []:  # shown, but not set
                shown = [line for line in lines if re.match(rf"# .*\b{name}:", line)]
                assert shown, f"{path}.{name} is missing"
                continue
            places = [i for i, line in enumerate(lines) if re.match(rf"[ -]*{name}:", line)]
            assert places, f"{path}.{name} is missing"
            for place in places:
                assert lines[place - 1].lstrip().startswith("#"), f"{name} is not explained"
