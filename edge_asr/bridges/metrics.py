"""How the appliance is and was, as Prometheus reads it. The one door to its client library.

Names follow Prometheus' conventions: seconds, bytes, ``_total`` for what only grows. A frame is one
sample of sound at 16 kHz, as everywhere inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import CollectorRegistry

from edge_asr.records import SAMPLE_RATE, GapKind
from edge_asr.serve.condition import condition_of
from edge_asr.store.totals import LATENCY_BOUNDS_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edge_asr.config import Config
    from edge_asr.store import Store
    from edge_asr.store.totals import Sums, Totals

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_STATES = ("hearing", "no_device", "muted", "not_listening")
_PER_S = 1.0 / SAMPLE_RATE


def metrics_text(store: Store, config: Config, totals: Totals) -> bytes:
    """Return all metrics in the text format, version 0.0.4.

    Args:
        store: whose.
        config: which microphones there should be.
        totals: what was counted before; what is new is counted in.

    Raises:
        StoreError: the log cannot be read.
    """
    sums = store.counting.counted(totals)
    condition = condition_of(store, config)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected([*_counters(condition, sums), *_gauges(condition, sums)]))
    return generate_latest(registry)


class _Collected:
    """What a registry collects: metrics that are there already."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics

    def describe(self) -> Iterable[Metric]:
        return ()


def _counters(condition: dict[str, Any], sums: Sums) -> Iterator[Metric]:
    """Yield what only grows. What may happen at a source is there with 0 before it does."""
    sources = _sources(condition, sums)
    gaps = [(source, kind.value) for source in sources for kind in GapKind]
    by_source = [(source,) for source in sources]
    for name, meaning, labels, keys, summed, scale in (
        ("heard_frames", "Samples heard, at 16 kHz.", "source", by_source, "heard", 1),
        (
            "invalid_frames",
            "Samples that were no numbers, and became silence.",
            "source",
            by_source,
            "invalid",
            1,
        ),
        ("gaps", "Stretches without sound, by why.", "source kind", gaps, "gaps", 1),
        ("gap_seconds", "How long they were.", "source kind", gaps, "gap_s", 1),
        ("utterances", "Utterances stored.", "source", by_source, "utterances", 1),
        ("speech_seconds", "How long they are.", "source", by_source, "samples", _PER_S),
        ("transcripts", "Versions of text written.", "bundle", (), "transcripts", 1),
        ("decode_seconds", "Time that took.", "bundle", (), "decode_s", 1),
        (
            "decoded_speech_seconds",
            "How long the speech was that they are of.",
            "bundle",
            (),
            "decoded_samples",
            _PER_S,
        ),
        ("alarms", "Alarms raised.", "code source", (), "alarms", 1),
    ):
        yield _counter(name, meaning, labels.split(), _values(sums, summed, keys, scale))
    yield _latency(sums)


def _counter(
    name: str, meaning: str, labels: Sequence[str], values: dict[tuple[str, ...], float]
) -> Metric:
    family = CounterMetricFamily(f"edge_asr_{name}", meaning, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _values(
    sums: Sums, name: str, keys: Iterable[tuple[str, ...]], scale: float
) -> dict[tuple[str, ...], float]:
    """Return the sums of a name by their labels; with 0 for those of ``keys`` that are missing."""
    values: dict[tuple[str, ...], float] = dict.fromkeys(keys, 0)
    values |= {key[1:]: value * scale for key, value in sums.items() if key[0] == name}
    return dict(sorted(values.items()))


def _latency(sums: Sums) -> Metric:
    bounds = [*(str(bound) for bound in LATENCY_BOUNDS_S), "+Inf"]
    buckets, n = [], 0.0
    for bound in bounds:
        n += sums.get(("latency", bound), 0)
        buckets.append((bound, n))
    family = HistogramMetricFamily(
        "edge_asr_latency_seconds", "From the end of an utterance to its first text."
    )
    family.add_metric([], buckets, sum(sums.get(("latency_s", bound), 0) for bound in bounds))
    return family


def _gauges(condition: dict[str, Any], sums: Sums) -> Iterator[Metric]:
    """Yield how it is at this moment."""
    recognizer, disk = condition["recognizer"], condition["disk"]
    for name, meaning, value in (
        ("backlog_utterances", "Utterances that wait for text.", recognizer["n_waiting"]),
        ("backlog_seconds", "How long they are.", recognizer["backlog_s"]),
        (
            "quarantined_utterances",
            "Utterances that failed too often and are not tried again.",
            recognizer["n_quarantined"],
        ),
        (
            "real_time_factor",
            "Decode time over audio time of the last transcripts.",
            recognizer["rtf"],
        ),
        (
            "recognizer_running",
            "1 while a process transcribes.",
            int(recognizer["state"] == "transcribing"),
        ),
        ("temperature_celsius", "Of the warmest sensor.", condition["temperature_c"]),
        ("disk_free_bytes", "Of the disk with the recordings.", disk["free_bytes"]),
        ("disk_size_bytes", "Of the disk with the recordings.", disk["total_bytes"]),
    ):
        if value is not None:  # what is not known yet is left out, not called 0
            yield GaugeMetricFamily(f"edge_asr_{name}", meaning, value=value)
    yield _microphones(condition)
    yield _active_alarms(condition, sums)
    info = GaugeMetricFamily("edge_asr_info", "Which version runs.", labels=["version"])
    info.add_metric([condition["version"]], 1)
    yield info


def _microphones(condition: dict[str, Any]) -> Metric:
    meaning = "1 for the state that each source is in."
    family = GaugeMetricFamily("edge_asr_source_state", meaning, labels=["source", "state"])
    for microphone in condition["microphones"]:
        for state in _STATES:
            family.add_metric([microphone["source"], state], int(microphone["state"] == state))
    return family


def _active_alarms(condition: dict[str, Any], sums: Sums) -> Metric:
    """Return 1 for each alarm that is active, and 0 for those that were before."""
    active = {(alarm["code"], alarm["source"]) for alarm in condition["alarms"]}
    known = {(key[1], key[2]) for key in sums if key[0] == "alarms"} | active
    family = GaugeMetricFamily(
        "edge_asr_alarm_active", "1 while an alarm is active.", labels=["code", "source"]
    )
    for key in sorted(known):
        family.add_metric(key, int(key in active))
    return family


def _sources(condition: dict[str, Any], sums: Sums) -> list[str]:
    named = {microphone["source"] for microphone in condition["microphones"]}
    return sorted(named | {key[1] for key in sums if key[0] in {"heard", "utterances"}})
