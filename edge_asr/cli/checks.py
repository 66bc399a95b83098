"""What ``doctor`` looks at. Each check asks one question and changes nothing."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from edge_asr import __version__
from edge_asr.cli.findings import Finding, ok, problem, warning
from edge_asr.cli.log_checks import (
    check_alarms,
    check_backlog,
    check_clock,
    check_hands,
    check_log,
    check_microphones,
    check_signing,
)
from edge_asr.errors import EdgeAsrError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_asr.bundle import Bundle
    from edge_asr.cli.context import Context

DISK_LOW_BYTES = 512 << 20
DISK_FULL_BYTES = 64 << 20
"""An hour of speech takes about 60 MB."""
FEW_INODES = 16
"""An utterance takes three files for a moment; some file systems have no table of them (0)."""
LARGE_BUNDLE_BYTES = 512 << 20
"""From here on, what the runtime copies of a bundle that is not prepared matters on a board."""
_SYSTEMD_TIMEOUT_S = 10.0


def examine(context: Context) -> Iterator[Finding]:
    """Ask every question; yield the answers as they come."""
    for name, (question, remedy) in CHECKS.items():
        try:
            yield from question(context)
        except (EdgeAsrError, ImportError) as error:
            yield problem(name, str(error), remedy)
        except OSError as error:
            yield problem(name, f"{error.filename}: {error.strerror}", remedy)


def check_software(_context: Context) -> Iterator[Finding]:
    """Ask whether the libraries are new enough."""
    from edge_asr.sessions import check_version
    from edge_asr.store.database import check_library

    yield ok("python", f"Python {platform.python_version()}, edge-asr {__version__}.")
    check_version()
    yield ok("onnxruntime", f"ONNX Runtime {version('onnxruntime')}.")
    yield ok("sqlite", f"SQLite {check_library()}.")


def check_configuration(context: Context) -> Iterator[Finding]:
    """Ask whether the configuration is right."""
    names = ", ".join(microphone.name for microphone in context.config.microphones)
    yield ok("configuration", f"The configuration is right; microphones: {names}.")


def check_bundles(context: Context) -> Iterator[Finding]:
    """Ask whether the models are whole, and can do what is configured."""
    vad = context.open_vad_bundle()
    yield ok("bundles", f"{vad.name} is whole; it tells speech from silence.")
    speech = context.open_speech_bundle()
    speech.check(context.config.recognition.request)
    yield ok("bundles", f"{speech.name} is whole, and can do what is configured.")
    yield _preparation(speech)


def _preparation(bundle: Bundle) -> Finding:
    """Say whether a bundle's graphs are prepared; small ones have no need to be."""
    from edge_asr.prepared import preparation_problem

    found = preparation_problem(bundle.directory, bundle.sha256)
    if found is None:
        return ok("prepared", f"{bundle.name} is prepared for this machine.")
    size = sum(entry.size for entry in bundle.manifest.files.values())
    if size < LARGE_BUNDLE_BYTES and "damaged" not in found:
        return ok("prepared", f"{bundle.name} is {found}; it is small enough to do without.")
    remedy = f"Run: edge-asr bundle prepare {bundle.name}"
    return warning("prepared", f"{bundle.name} is used as it is: {found}.", remedy)


def check_fit(context: Context) -> Iterator[Finding]:
    """Ask whether the recognizer fits into memory, and keeps up."""
    from edge_asr.bundle import find_bundle, read_manifest
    from edge_asr.cli.fitting import fit_of, is_prepared
    from edge_asr.fit import Verdict, machine_memory, memory_needed

    directory = find_bundle(context.speech_bundle_name, context.bundle_dirs)
    manifest, digest = read_manifest(directory)
    needed = memory_needed(manifest, is_prepared=is_prepared(directory, digest))
    free = machine_memory().available
    sentence = f"{_mb(free)} of memory are free; {manifest.name} takes about {_mb(needed)}."
    if free >= needed:
        yield ok("memory", sentence)
    else:
        yield warning("memory", sentence, "Stop other programs, or use a smaller bundle.")
    found = fit_of(directory)
    sentence = f"{manifest.name}: {found.sentence}."
    if found.verdict is Verdict.HOPELESS:
        yield problem("pace", sentence, "Use a smaller bundle: edge-asr bundle fit has them all.")
    elif found.verdict is Verdict.LATER:
        yield warning("pace", sentence, "A smaller bundle keeps up: see edge-asr bundle fit.")
    else:
        yield ok("pace", sentence)


def check_state_directory(context: Context) -> Iterator[Finding]:
    """Ask whether recordings can be written, and for how long."""
    name, directory = "state", context.state_dir
    there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    refusal = _refusal_of(there)
    if not refusal and not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        remedy = "Give this user the right to write there, or name another one with --state."
        yield problem(name, f"{there} cannot be written.", remedy)
        return
    if refusal:
        remedy = "dmesg says why; a card that turns read-only is failing: copy it, and replace it."
        yield problem(name, f"{there} takes nothing: {refusal}.", remedy)
        return
    yield ok(name, f"{directory} can be written." if there == directory else
             f"{directory} is made when something is recorded.")  # fmt: skip
    if _is_out_of_inodes(there):
        yield problem(
            "disk",
            "The file system has no inode left: no file can be made, however much room there is.",
            "Remove files there; many small ones are the cause.",
        )
    free = shutil.disk_usage(there).free
    sentence, remedy = f"{_mb(free)} are free for recordings.", "Make room, or use a larger disk."
    if free < DISK_FULL_BYTES:
        yield problem("disk", sentence, remedy)
    elif free < DISK_LOW_BYTES:
        yield warning("disk", sentence, remedy)
    else:
        yield ok("disk", sentence)


def _refusal_of(directory: Path) -> str:
    """Return what the disk says to a block in a file without a name, which is never seen."""
    try:
        descriptor = os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, bytes(4096))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        # Not all file systems have files without names; how full it is, is asked for itself.
        return (error.strerror or "") if error.errno in {errno.EROFS, errno.EIO} else ""
    return ""


def _is_out_of_inodes(path: Path) -> bool:
    found = os.statvfs(path)
    return found.f_files > 0 and found.f_favail < FEW_INODES


def check_services(_context: Context) -> Iterator[Finding]:
    """Ask systemd, where it runs, how the services are."""
    systemctl = shutil.which("systemctl")
    if systemctl is None or not Path("/run/systemd/system").is_dir():
        yield ok("services", "systemd does not run here; edge-asr run does without it.")
        return
    answer = subprocess.run(
        [
            systemctl,
            "show",
            "edge-asr-*.service",
            "--property=Id,ActiveState,NRestarts,TriggeredBy",
        ],
        capture_output=True,
        text=True,
        timeout=_SYSTEMD_TIMEOUT_S,
        check=False,
    ).stdout
    yield from services_from(answer)


def services_from(shown: str) -> Iterator[Finding]:
    """Judge what ``systemctl show`` prints: a paragraph for each unit that is loaded."""
    units = [dict(line.split("=", 1) for line in unit.splitlines()) for unit in shown.split("\n\n")]
    for unit in (unit for unit in units if "Id" in unit):
        name, state, restarts = unit["Id"], unit["ActiveState"], int(unit.get("NRestarts") or 0)
        look = f"journalctl -u {name} says why."
        trigger = unit.get("TriggeredBy")
        if trigger and state == "inactive":
            yield ok("services", f"{name} starts when {trigger} says so.")
        elif state != "active":
            yield problem("services", f"{name} is {state}.", look)
        elif restarts:
            yield warning("services", f"{name} runs, but had to start {restarts} times anew.", look)
        else:
            yield ok("services", f"{name} runs.")
    if not any("Id" in unit for unit in units):
        yield ok("services", "No service of edge-asr is started.")


def _mb(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.0f} MB"


CHECKS: dict[str, tuple[Callable[[Context], Iterator[Finding]], str]] = {
    "software": (check_software, "Install edge-asr again, with its dependencies."),
    "configuration": (check_configuration, "Correct the file; edge-asr config schema helps."),
    "bundles": (check_bundles, "Copy or export the bundle again; edge-asr bundle list helps."),
    "memory": (check_fit, "Copy or export the bundle again."),
    "microphone": (check_microphones, "Plug it in; edge-asr devices prints what is there."),
    "hands": (check_hands, "Correct hands in the configuration, or install the extra hands."),
    "state": (check_state_directory, "Name another directory with --state."),
    "log": (check_log, "Look at the disk and at the rights of the state directory."),
    "backlog": (check_backlog, "Keep a copy of the state directory before you repair it."),
    "alarms": (check_alarms, "Keep a copy of the state directory before you repair it."),
    "signing": (check_signing, "Move the key aside and run edge-asr log key."),
    "clock": (check_clock, "Set the clock."),
    "services": (check_services, "See systemctl status 'edge-asr*'."),
}
"""Subject -> the question, and what to do when it cannot even be asked."""
