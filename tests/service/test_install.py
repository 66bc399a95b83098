"""Installing and removing: staged in a directory, and for real in a world of its own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SYSTEMD = ROOT / "systemd"
UNITS = (
    "edge-asr-hands.service",
    "edge-asr-hooks.service",
    "edge-asr-listen@.service",
    "edge-asr-metrics.service",
    "edge-asr-metrics.timer",
    "edge-asr-publish.service",
    "edge-asr-recognize.service",
    "edge-asr-serve.service",
    "edge-asr-serve.socket",
    "edge-asr-wyoming.service",
    "edge-asr-wyoming.socket",
    "edge-asr.target",
)


def offline(wheel):
    """Return an environment in which pip finds the stand-ins beside the wheel, and nothing else."""
    return {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(Path(wheel).parent)}


def script(name, *arguments, wrap=(), **environ):
    """Run a script; the first argument may be a wheel."""
    return subprocess.run(
        [*wrap, "bash", str(SYSTEMD / name), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**offline([*arguments, ""][0]), **{k: str(v) for k, v in environ.items()}},
    )


@pytest.fixture
def bundles(tmp_path):
    return example_bundles(tmp_path)


def example_bundles(parent):
    directory = parent / "bundles"
    for name in ("silero-vad", "whisper-base"):
        (directory / name).mkdir(parents=True)
        (directory / name / "manifest.json").write_text("{}", encoding="ascii")
        (directory / name / "manifest.sha256").write_text(name, encoding="ascii")
    (directory / ".made").touch()
    (directory / "half-exported").mkdir()
    return directory


def example_manual(parent):
    directory = parent / "man"
    directory.mkdir()
    for kind in ("1", "bash", "zsh", "fish"):
        (directory / f"edge-asr.{kind}").write_text(kind, encoding="ascii")
    return directory


@pytest.fixture(scope="module")
def staged_once(tmp_path_factory, wheel):
    """Return a staged root that tests only read."""
    directory = tmp_path_factory.mktemp("staged")
    root = directory / "root"
    result = script(
        "install.sh",
        wheel,
        DESTDIR=root,
        BUNDLES=example_bundles(directory),
        MANUAL=example_manual(directory),
    )
    assert result.returncode == 0, result.stderr
    return root


@pytest.fixture
def staged(tmp_path, staged_once):
    """Return a staged root that a test may change."""
    copy = tmp_path / "root"
    yield shutil.copytree(staged_once, copy, symlinks=True)
    shutil.rmtree(copy)


def test_staging_puts_every_file_where_a_package_has_it(staged_once):
    for unit in UNITS:
        assert (staged_once / "usr/lib/systemd/system" / unit).is_file()
    for file in (
        "usr/lib/udev/rules.d/72-edge-asr.rules",
        "usr/lib/sysusers.d/edge-asr.conf",
        "usr/lib/tmpfiles.d/edge-asr.conf",
        "etc/edge-asr/config.yaml",
        "etc/edge-asr/config.example.yaml",
        "opt/edge-asr/bin/edge-asr",
        "usr/share/man/man1/edge-asr.1",
        "usr/share/bash-completion/completions/edge-asr",
        "usr/share/zsh/site-functions/_edge-asr",
        "usr/share/fish/vendor_completions.d/edge-asr.fish",
    ):
        assert (staged_once / file).is_file(), file
    assert (staged_once / "usr/bin/edge-asr").readlink() == Path("/opt/edge-asr/bin/edge-asr")
    installed = {path.name for path in (staged_once / "var/lib/edge-asr/bundles").iterdir()}
    assert installed == {"silero-vad", "whisper-base"}


def test_no_staged_file_names_the_directory_it_was_staged_in(staged_once):
    for path in staged_once.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert str(staged_once).encode() not in path.read_bytes(), path


def test_the_client_of_a_model_hub_does_not_stay_on_the_device(staged_once):
    packages = staged_once.glob("opt/edge-asr/lib/python3*/site-packages/*-0.1.0.dist-info")
    names = {path.name.removesuffix("-0.1.0.dist-info") for path in packages}
    assert names == {"edge_asr", "tokenizers", "packaging", "uvicorn", "h11"}


def test_systemd_finds_no_fault_in_what_was_staged(staged):
    host_units = Path("/usr/lib/systemd/system")
    if shutil.which("systemd-analyze") is None or not host_units.is_dir():
        pytest.skip("systemd is not installed")
    shutil.copytree(
        host_units,
        staged / "usr/lib/systemd/system",
        symlinks=True,
        dirs_exist_ok=True,
        ignore_dangling_symlinks=True,
    )
    names = ("edge-asr-listen@mic.service", "edge-asr-recognize.service", "edge-asr.target")
    result = subprocess.run(
        ["systemd-analyze", "verify", f"--root={staged}", *names],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert [line for line in result.stderr.splitlines() if "edge-asr" in line] == []
    assert result.returncode == 0, result.stderr


def test_the_users_and_directories_are_what_systemd_makes_of_them(staged):
    if shutil.which("systemd-sysusers") is None or os.geteuid() != 0:
        pytest.skip("needs systemd-sysusers and root")
    for command in (["systemd-sysusers"], ["systemd-tmpfiles", "--create"]):
        subprocess.run(
            [*command, f"--root={staged}", "edge-asr.conf"],
            check=True,
            capture_output=True,
        )
    user = (staged / "etc/passwd").read_text(encoding="ascii")
    assert user.startswith("edge-asr:x:")
    assert user.rstrip().endswith(":/var/lib/edge-asr:/usr/sbin/nologin")
    state = (staged / "var/lib/edge-asr").stat()
    assert state.st_mode & 0o777 == 0o711
    assert str(state.st_uid) == user.split(":")[2]
    assert (staged / "var/lib/edge-asr/bundles").stat().st_uid == 0


def test_installing_again_keeps_the_configuration_and_replaces_changed_bundles(
    staged,
    wheel,
    bundles,
):
    (staged / "etc/edge-asr/config.yaml").write_text("# mine\n", encoding="ascii")
    (staged / "etc/edge-asr/config.example.yaml").write_text("# old\n", encoding="ascii")
    (bundles / "whisper-base" / "manifest.sha256").write_text("new", encoding="ascii")
    untouched = staged / "var/lib/edge-asr/bundles/silero-vad/note"
    untouched.touch()
    result = script("install.sh", wheel, DESTDIR=staged, BUNDLES=bundles)
    assert result.returncode == 0, result.stderr
    assert (staged / "etc/edge-asr/config.yaml").read_text() == "# mine\n"
    assert "microphones:" in (staged / "etc/edge-asr/config.example.yaml").read_text()
    replaced = staged / "var/lib/edge-asr/bundles/whisper-base/manifest.sha256"
    assert replaced.read_text() == "new"
    assert untouched.exists()


def test_another_prefix_is_in_the_units_too(tmp_path, wheel, bundles):
    root = tmp_path / "root"
    result = script("install.sh", wheel, DESTDIR=root, PREFIX="/srv/hear", BUNDLES=bundles)
    assert result.returncode == 0, result.stderr
    for unit in UNITS[1:3]:
        text = (root / "usr/lib/systemd/system" / unit).read_text(encoding="utf-8")
        assert "ExecStart=/srv/hear/bin/edge-asr --config /etc/edge-asr/config.yaml" in text
    assert (root / "srv/hear/bin/edge-asr").is_file()


def test_uninstalling_keeps_recordings_models_and_configuration(staged):
    recording = staged / "var/lib/edge-asr/recording"
    recording.touch()
    result = script("uninstall.sh", DESTDIR=staged)
    assert result.returncode == 0, result.stderr
    left = {str(path.relative_to(staged)) for path in staged.rglob("*") if path.is_file()}
    assert left == {
        "etc/edge-asr/config.yaml",
        "etc/edge-asr/config.example.yaml",
        "var/lib/edge-asr/recording",
        *(
            f"var/lib/edge-asr/bundles/{name}/manifest.{kind}"
            for name in ("silero-vad", "whisper-base")
            for kind in ("json", "sha256")
        ),
    }
    assert not (staged / "usr/bin/edge-asr").is_symlink()


def test_purging_leaves_nothing(staged):
    assert script("uninstall.sh", "--purge", DESTDIR=staged).returncode == 0
    assert [path for path in staged.rglob("*") if not path.is_dir()] == []


def test_uninstalling_where_nothing_is_installed_is_no_error(tmp_path):
    result = script("uninstall.sh", DESTDIR=tmp_path)
    assert result.returncode == 0, result.stderr


def test_uninstalling_removes_no_directory_that_is_not_ours(tmp_path):
    mine = tmp_path / "opt/edge-asr/thesis.txt"
    mine.parent.mkdir(parents=True)
    mine.touch()
    assert script("uninstall.sh", DESTDIR=tmp_path).returncode == 0
    assert mine.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no wheel ''; build one with: make dist"),
        (("missing.whl",), "no wheel 'missing.whl'"),
        (("--start",), "unknown option --start"),
    ],
)
def test_a_wrong_call_is_one_sentence(tmp_path, arguments, message):
    result = script("install.sh", *arguments, DESTDIR=tmp_path)
    assert result.returncode == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_staging_does_not_enable(tmp_path, wheel):
    result = script("install.sh", "--enable", wheel, DESTDIR=tmp_path / "root")
    assert result.returncode == 1
    assert "--enable needs a running system" in result.stderr
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("call", [("install.sh", SYSTEMD / "install.sh"), ("uninstall.sh",)])
def test_only_root_changes_the_running_system(call):
    if shutil.which("setpriv") is None or os.geteuid() != 0:
        pytest.skip("needs setpriv and root")
    nobody = ("setpriv", "--reuid", "65534", "--clear-groups")
    if subprocess.run([*nobody, "test", "-r", SYSTEMD / call[0]], check=False).returncode:
        pytest.skip("the checkout cannot be read by other users")
    result = script(*call, wrap=nobody)
    assert result.returncode == 1
    assert "must run as root" in result.stderr


WORLD_OF_ITS_OWN = """
set -eu -o pipefail
mount -t tmpfs tmpfs "$1"
for place in etc opt usr/local var/lib; do
  mkdir -p "$1/$place/upper" "$1/$place/work"
  mount -t overlay overlay \
    -o "lowerdir=/$place,upperdir=$1/$place/upper,workdir=$1/$place/work" "/$place"
done
"""
FOR_REAL = """
cd "$2"
bash "$3/install.sh" "$4" | tee /dev/stderr | sed -n '/installing gcc/p'
runuser -u edge-asr -- /usr/local/bin/edge-asr
stat -c '%n %a %U' /var/lib/edge-asr /var/lib/edge-asr/bundles /etc/edge-asr/config.yaml
ls /etc/systemd/system
bash "$3/uninstall.sh" --purge >&2
ls -d /opt/edge-asr /var/lib/edge-asr /etc/edge-asr /usr/local/bin/edge-asr || true
getent passwd edge-asr || echo "no user"
"""


@pytest.mark.usefixtures("bundles")
def test_installing_and_removing_for_real_in_a_mount_namespace(tmp_path, wheel):
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    world = ["unshare", "--mount", "bash", "-c"]
    if os.geteuid() != 0 or shutil.which("systemd-sysusers") is None:
        pytest.skip("needs root and systemd")
    if Path("/opt/edge-asr").exists():
        pytest.skip("edge-asr is installed on this machine")
    probe = subprocess.run(
        [*world, WORLD_OF_ITS_OWN, "bash", overlay],
        capture_output=True,
        check=False,
    )
    if probe.returncode:
        pytest.skip("this machine does not allow overlays")
    # The namespace shares /usr: nothing may install packages there.
    apt = tmp_path / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text("#!/bin/sh\nexit 1\n", encoding="ascii")
    apt.chmod(0o755)
    result = subprocess.run(
        [*world, WORLD_OF_ITS_OWN + FOR_REAL, "bash", overlay, tmp_path, SYSTEMD, wheel],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={
            **offline(wheel),
            "PATH": f"{apt.parent}:{os.environ['PATH']}",
        },
    )
    if "install: installing gcc" in result.stdout:
        pytest.skip("the compiler or headers for PyAudio are not installed")
    assert result.returncode == 0, result.stderr
    said = result.stdout.splitlines()
    assert said[:4] == [
        "the stub runs",
        "/var/lib/edge-asr 711 edge-asr",
        "/var/lib/edge-asr/bundles 755 root",
        "/etc/edge-asr/config.yaml 644 root",
    ]
    assert set(UNITS) <= set(said)
    assert "Next:" in result.stderr
    assert "systemctl enable --now edge-asr.target" in result.stderr
    assert said[-1] == "no user"
    assert not [line for line in said if line.startswith(("/opt/", "/usr/local/"))]
