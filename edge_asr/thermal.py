"""How warm the board is, as far as its kernel tells.

Source: the kernel's Documentation/ABI/testing/sysfs-class-thermal; ``temp`` is in thousandths of a
degree Celsius. A machine without thermal zones counts as cool.
"""

from __future__ import annotations

from pathlib import Path

ZONES = Path("/sys/class/thermal")
HYSTERESIS_C = 5.0
"""A board that was too warm must be cooler than the limit by so much, or it would flicker."""
_MILLIDEGREES = 1000.0


def hottest_c(zones: Path = ZONES) -> float | None:
    """Return the temperature of the warmest thermal zone in degrees Celsius, or None."""
    found = []
    for file in zones.glob("thermal_zone*/temp"):
        try:
            found.append(int(file.read_text(encoding="ascii")) / _MILLIDEGREES)
        except (OSError, ValueError):
            continue  # a sensor that is off, or answers nonsense
    return max(found, default=None)


class HeatGuard:
    """Says whether the board is too warm for work that can wait.

    Args:
        limit_c: from which temperature on; 0: never.
        zones: where the kernel shows its sensors.
    """

    def __init__(self, limit_c: float, zones: Path = ZONES) -> None:
        self._limit_c = limit_c
        self._zones = zones
        self._is_warm = False

    def is_too_warm(self) -> bool:
        """Look, and say."""
        temperature_c = hottest_c(self._zones) if self._limit_c else None
        if temperature_c is None:
            self._is_warm = False
        elif self._is_warm:
            self._is_warm = temperature_c > self._limit_c - HYSTERESIS_C
        else:
            self._is_warm = temperature_c >= self._limit_c
        return self._is_warm
