"""Listens to Optimum while it exports: it logs what it should raise."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def collected_complaints() -> Iterator[list[str]]:
    """Keep the tracer's chatter off the terminal, and collect what Optimum complains of."""
    complaints: list[str] = []
    logger = logging.getLogger("optimum")
    before, propagate = list(logger.handlers), logger.propagate
    logger.handlers, logger.propagate = [_Collector(complaints)], False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield complaints
    finally:
        logger.handlers, logger.propagate = before, propagate


class _Collector(logging.Handler):
    """Collects records at level error, and validations that failed."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__()
        self._complaints = complaints

    def emit(self, record: logging.LogRecord) -> None:
        text = " ".join(record.getMessage().split())
        if record.levelno >= logging.ERROR or "with the warning" in text:
            self._complaints.append(text)
