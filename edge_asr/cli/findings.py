"""What a check of ``doctor`` finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, but will not for long, or not as well as it could."""
    PROBLEM = "problem"
    """Something will not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found."""

    name: str
    verdict: Verdict
    sentence: str
    remedy: str = ""
    """What to do next; empty when all is well."""


def ok(name: str, sentence: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(name, Verdict.OK, sentence)


def warning(name: str, sentence: str, remedy: str) -> Finding:
    """Return a finding that something could be better."""
    return Finding(name, Verdict.WARNING, sentence, remedy)


def problem(name: str, sentence: str, remedy: str) -> Finding:
    """Return a finding that something does not work."""
    return Finding(name, Verdict.PROBLEM, sentence, remedy)
