"""Results as JSON: every clip's text and every figure, to be read again beside later ones."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edge_asr.errors import EvaluationError
from edge_asr.evaluation.clips import Clip  # noqa: TC001 (msgspec reads it)
from edge_asr.evaluation.measuring import Scored, score
from edge_asr.evaluation.systems import Heard  # noqa: TC001

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.evaluation.calibration import Calibration
    from edge_asr.evaluation.intervals import Interval
    from edge_asr.evaluation.summary import Invented, Row, Share, Summary


@dataclass(frozen=True, slots=True)
class Run:
    """What was measured, where and when: the head of a report."""

    title: str
    created_utc: str
    """RFC 3339."""
    version: str
    """Of edge-asr."""
    machine: str
    systems: dict[str, str]
    """Name -> what it is."""


class _One(msgspec.Struct, frozen=True):
    system: str
    clip: Clip
    heard: Heard


class _File(msgspec.Struct, frozen=True):
    run: Run
    clips: list[_One]


def as_json(run: Run, scored: Sequence[Scored], summaries: Sequence[Summary]) -> str:
    """Return everything as one JSON object."""
    clips = [_clip(each) for each in scored]
    found = {"run": asdict(run), "systems": [_fields(each) for each in summaries], "clips": clips}
    return msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n"


def as_jsonl(scored: Sequence[Scored]) -> str:
    """Return one JSON object a line: a clip, what was heard in it, and the errors."""
    return "".join(f"{msgspec.json.encode(_clip(each)).decode()}\n" for each in scored)


def _clip(each: Scored) -> dict[str, Any]:
    return {
        "system": each.system,
        "clip": asdict(each.clip) | {"path": str(each.clip.path)},
        "heard": asdict(each.heard),
        "errors": asdict(each.errors),
    }


def read_results(path: Path) -> tuple[Run, list[Scored]]:
    """Read the results that :func:`as_json` wrote. Texts are compared anew.

    Raises:
        EvaluationError: the file cannot be read.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_File, dec_hook=_path)
    except OSError as error:
        raise EvaluationError(f"{path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise EvaluationError(
            f"{path}: not what edge-asr evaluate --json wrote ({error})"
        ) from error
    return found.run, [score(each.system, each.clip, each.heard) for each in found.clips]


def _path(kind: type, value: object) -> Any:  # noqa: ANN401 (msgspec's own)
    if kind is Path:
        return Path(str(value))
    raise NotImplementedError(kind)


def _fields(summary: Summary) -> dict[str, Any]:
    speed, above = summary.speed, summary.above_first
    return {
        "name": summary.system,
        "all": None if summary.total is None else _row(summary.total),
        "languages": {row.group: _row(row) for row in summary.languages},
        "tags": {row.group: _row(row) for row in summary.tags},
        "invented": _invented(summary.invented),
        "keywords": _share(summary.keywords),
        "language_detected": _share(summary.detected),
        "marked_of_wrong": _share(summary.marked),
        "rtf": round(speed.rtf, 4),
        "latency_s": {"p50": round(speed.latency_p50_s, 3), "p95": round(speed.latency_p95_s, 3)},
        "calibration": _reliable(summary.calibration),
        "word_calibration": _reliable(summary.word_calibration),
        "wer_above_first": None if above is None else _interval(above),
    }


def _reliable(found: Calibration | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)


def _row(row: Row) -> dict[str, Any]:
    return {
        "unit": "character" if row.is_by_character else "word",
        "n_clips": row.n_clips,
        "error_rate": _interval(row.rate),
        **asdict(row.errors),
        "language_detected": None if row.detected is None else _share(row.detected),
    }


def _interval(found: Interval) -> dict[str, float | None]:
    return {
        name: None if value is None else round(value, 3) for name, value in found._asdict().items()
    }


def _invented(invented: Invented) -> dict[str, Any]:
    return asdict(invented) | {"words_per_minute": round(invented.per_minute, 3)}


def _share(share: Share) -> dict[str, Any]:
    return {"n": share.n, "of": share.of, "percent": round(share.percent, 2)}
