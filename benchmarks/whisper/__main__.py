"""``python -m benchmarks.whisper``: Whisper here beside Whisper elsewhere, on the same weights.

Every system runs in a process of its own that stays; they hear the same sound in turn, so that what
else the machine does falls on all alike. Figures are medians. Peers are faster-whisper (int8, beam
1), whisper.cpp (built for this processor, in the format that is fastest on it) and onnx-asr (int8).
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from benchmarks.machine import describe_machine
from benchmarks.whisper.accuracy import measure_accuracy
from benchmarks.whisper.archive import measure_archive
from benchmarks.whisper.bench import WHISPER_CPP, Bench
from benchmarks.whisper.contest import WorkerError
from benchmarks.whisper.ggml import Format
from benchmarks.whisper.growth import measure_growth
from benchmarks.whisper.idle import measure_idle
from benchmarks.whisper.latency import measure_latency
from benchmarks.whisper.memory import measure_memory
from benchmarks.whisper.page import put_between_markers
from benchmarks.whisper.partials import measure_partials
from benchmarks.whisper.peers import describe_peers, fastest_format
from benchmarks.whisper.plot import draw
from benchmarks.whisper.prepared import prepared_copies
from benchmarks.whisper.sounds import save_sound, utterances
from benchmarks.whisper.start import measure_start
from benchmarks.whisper.tables import Measured, ratio_table
from benchmarks.whisper.utterances import LENGTHS_S, measure_utterances
from benchmarks.whisper.weights import prepare_weights
from edge_asr.evaluation.clips import pick_clips, read_clips
from edge_asr.evaluation.systems import read_waveform

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.whisper.plot import Curves

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_GROWTH_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
_HOUR_S = 3600.0
_NEEDS_PUBLISHED = "accuracy"
_PANELS = {"utterances": "Utterances and a full window", "growth": "Files"}
"""Measurements that are drawn."""


class Plan(msgspec.Struct, frozen=True):
    """How much is measured."""

    threads: tuple[int, ...] = (2, 1)
    repeats: int = 7
    lengths_s: tuple[float, ...] = LENGTHS_S
    archive_min: float = 5.0
    archive_repeats: int = 7
    growth_s: tuple[float, ...] = _GROWTH_S
    accuracy_clips: int = 24
    """Of each language, heard by peers too."""
    most_clips: int = 1000
    """Of each language, at all."""
    latency_repeats: int = 30
    partial_repeats: int = 7
    idle_sounds: tuple[str, ...] = ("silence", "factory")
    idle_s: float = 60.0


_QUICK = Plan(
    threads=(1,),
    repeats=1,
    lengths_s=(2.0,),
    archive_min=0.25,
    archive_repeats=1,
    growth_s=(1.0, 2.0),
    accuracy_clips=1,
    most_clips=4,
    latency_repeats=2,
    partial_repeats=1,
    idle_sounds=("silence",),
    idle_s=1.0,
)


def measurements(bench: Bench, largest: str, plan: Plan) -> dict[str, Callable[[], Measured]]:
    """Return what can be measured, by name.

    Args:
        bench: who takes part.
        largest: the bundle for what is measured with one model only.
        plan: how much.
    """
    n_threads = max(plan.threads)
    return {
        "utterances": lambda: measure_utterances(
            bench, threads=plan.threads, lengths_s=plan.lengths_s
        ),
        "latency": lambda: measure_latency(
            bench, largest, n_threads=n_threads, repeats=plan.latency_repeats
        ),
        "partials": lambda: measure_partials(
            bench, largest, n_threads=n_threads, repeats=plan.partial_repeats
        ),
        "memory": lambda: measure_memory(bench, n_threads=n_threads),
        "archive": lambda: measure_archive(
            bench,
            largest,
            n_threads=n_threads,
            minutes=plan.archive_min,
            repeats=plan.archive_repeats,
        ),
        "accuracy": lambda: measure_accuracy(bench, per_language=plan.accuracy_clips),
        "start": lambda: measure_start(bench, largest, n_threads=n_threads, repeats=plan.repeats),
        "idle": lambda: measure_idle(bench, sounds=plan.idle_sounds, seconds=plan.idle_s),
        "growth": lambda: measure_growth(
            bench, largest, n_threads=n_threads, lengths_s=plan.growth_s
        ),
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--speech",
    type=_FOLDER,
    envvar="EDGE_ASR_SPEECH",
    show_envvar=True,
    default=Path("build/sample"),
    show_default=True,
    help="Folder with a manifest.jsonl.",
)
@click.option("--bundles", type=_FOLDER, default=Path("bundles"), show_default=True)
@click.option(
    "--bundle",
    "names",
    multiple=True,
    default=["whisper-tiny.en", "whisper-base"],
    show_default=True,
    help="The last one is measured in every way.",
)
@click.option("--work", type=_FOLDER, default=Path("build/export"), help="The export's folder.")
@click.option(
    "--peers",
    "python",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("build/peers/bin/python"),
    show_default=True,
    help="The Python that the peers are installed in.",
)
@click.option("--peer-models", type=Path, default=Path("build/peer-models"), show_default=True)
@click.option("--only", multiple=True, metavar="NAME", help="Measure only this: utterances, ...")
@click.option("--hour", is_flag=True, help="An archive of an hour, and sound that grows to one.")
@click.option("--quick", is_flag=True, help="See whether it runs; the figures mean nothing.")
@click.option("--repeats", type=click.IntRange(1), help="Rounds of utterances, files and starts.")
@click.option("--threads", "threads", type=click.IntRange(1), multiple=True, help="Of each system.")
@click.option("--page", type=click.Path(exists=True, path_type=Path), help="Put the tables there.")
@click.option("--plot", type=Path, default=Path("build/bench.svg"), show_default=True)
@click.option("--json", "json_file", type=Path, default=Path("build/bench.json"))
def main(
    speech: Path,
    bundles: Path,
    names: tuple[str, ...],
    work: Path,
    python: Path,
    peer_models: Path,
    only: tuple[str, ...],
    hour: bool,  # noqa: FBT001
    quick: bool,  # noqa: FBT001
    repeats: int | None,
    threads: tuple[int, ...],
    page: Path | None,
    plot: Path,
    json_file: Path,
) -> None:
    """Measure, print Markdown, and draw.

    \b
    python -m benchmarks.whisper
    python -m benchmarks.whisper --only utterances --bundle whisper-base --repeats 3
    """
    plan = _plan(hour=hour, quick=quick)
    plan = msgspec.structs.replace(
        plan,
        repeats=repeats or plan.repeats,
        archive_repeats=repeats or plan.archive_repeats,
        threads=threads or plan.threads,
    )
    if not python.exists():
        raise click.UsageError(f"{python} is not there; install the peers with: make peers")
    about = [*describe_machine(), *describe_peers(python)]
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        click.echo("preparing the bundles, and the peers' weights if they are not there", err=True)
        copies = prepared_copies(names, bundles.resolve(), Path(folder))
        prepare = partial(
            prepare_weights,
            bundles=copies,
            work=work.resolve(),
            folder=peer_models.resolve(),
            published=not only or _NEEDS_PUBLISHED in only,
        )
        weights = {name: prepare(name) for name in names}
        bench = Bench(
            pick_clips(read_clips(speech), plan.most_clips),
            weights,
            Format.F16,
            python.absolute(),
            Path(folder),
            plan.repeats,
            lambda text: click.echo(text, err=True),
        )
        bench, times = _in_fastest_format(bench, names[-1], max(plan.threads))
        about.append(f"whisper.cpp, an utterance of 5 s, {names[-1]}: {times}")
        wanted = measurements(bench, names[-1], plan)
        if unknown := set(only) - set(wanted):
            raise click.UsageError(f"no measurement {min(unknown)!r}; there is {', '.join(wanted)}")
        report = _Report(about, page, plot, json_file)
        for name, make in wanted.items():
            if not only or name in only:
                report.measure(name, make)
    click.echo(report.markdown)
    if report.failures:
        raise click.ClickException("; ".join(report.failures))


class _Report:
    """What was found so far: written after each measurement, so that none is lost with the next."""

    def __init__(self, about: list[str], page: Path | None, plot: Path, json_file: Path) -> None:
        self._about = about
        self._page = page
        self._plot = plot
        self._json_file = json_file
        self._found: dict[str, Measured] = {}
        self.failures: list[str] = []

    def measure(self, name: str, make: Callable[[], Measured]) -> None:
        """Make one measurement; where a system fails, say so and go on."""
        started = time.perf_counter()
        try:
            self._found[name] = make()
        except WorkerError as error:
            self.failures.append(f"{name}: {error}")
            click.echo(self.failures[-1], err=True)
            return
        click.echo(f"{name} took {time.perf_counter() - started:.0f} s", err=True)
        written = {"about": self._about, "measured": self._found}
        self._json_file.write_bytes(msgspec.json.encode(written))
        panels: dict[str, Curves] = {
            title: self._found[each].curves
            for each, title in _PANELS.items()
            if each in self._found
        }
        if panels:
            draw(self._plot, panels)
        if self._page is not None:
            put_between_markers(self._page, self.markdown)

    @property
    def markdown(self) -> str:
        """The machine, the ratios, the tables."""
        lines = "\n".join(f"* {line}" for line in self._about)
        ratios = [ratio for each in self._found.values() for ratio in each.ratios]
        tables = [table.markdown for each in self._found.values() for table in each.tables]
        return "\n\n".join([lines, ratio_table(ratios).markdown, *tables])


def _plan(*, hour: bool, quick: bool) -> Plan:
    plan = _QUICK if quick else Plan()
    if hour:
        plan = msgspec.structs.replace(
            plan,
            archive_min=_HOUR_S / 60,
            archive_repeats=1,
            growth_s=(*_GROWTH_S, 900.0, _HOUR_S),
        )
    return plan


def _in_fastest_format(bench: Bench, name: str, n_threads: int) -> tuple[Bench, str]:
    (clip,) = utterances(bench.english, [5.0])
    call = save_sound(bench.folder, "format", read_waveform(clip.path))
    entrants = {}
    for kind in Format:
        entrant = replace(bench, ggml=kind).entrant(WHISPER_CPP, name, n_threads)
        entrants[kind] = replace(entrant, name=f"{WHISPER_CPP} {kind}")
    kind, times = fastest_format(entrants, call)
    return replace(bench, ggml=kind), times


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.whisper")
