"""What a measurement was made on and with: without it, a figure says nothing."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_FEATURES = (
    *("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"),
    *("asimddp", "i8mm", "bf16", "sve", "sme"),
)
"""Instructions that matrix products in small types are made of, on x86 and on ARM."""
_PACKAGES = ("edge-asr", "onnxruntime", "torch", "transformers", "numpy")


def describe_machine() -> list[str]:
    """Return one line each: the date, the processor, its features, its load, versions."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    name = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    has = set(flags[1].split()) if flags else set()
    features = ", ".join(feature for feature in _FEATURES if feature in has)
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    return [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"{name[1] if name else 'unknown processor'}, {cores} cores, {features or 'no features'}",
        f"load average at the start {load:.1f}",
        ", ".join(_versions()),
    ]


def _versions() -> list[str]:
    found = []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return found
