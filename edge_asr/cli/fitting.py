"""``bundle prepare`` and ``bundle fit``: a bundle made ready for this machine; does it suit?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from edge_asr.bundle import find_bundle, list_bundles, open_bundle, read_manifest
from edge_asr.cli.records_option import print_jsonl, records_option
from edge_asr.errors import BundleDamagedError, BundleError, ConfigError
from edge_asr.fit import SPEECH_FAMILIES, Verdict, judge, machine_memory, memory_needed
from edge_asr.prepared import MeasuredPace, measured_pace, prepared_directory, read_preparation

if TYPE_CHECKING:
    from pathlib import Path

    from edge_asr.bundle import Bundle
    from edge_asr.cli.context import Context
    from edge_asr.config import Config
    from edge_asr.fit import Fit
    from edge_asr.recognizers.pace import Pace


@click.command()
@click.argument("name", metavar="NAME|DIR")
@click.pass_obj
def prepare(context: Context, name: str) -> None:
    """Write a bundle's graphs as this machine runs them, and find out how fast it is here.

    The weights are laid out for this processor once, and mapped from disk from then on, so that
    they need less memory. The result lies beside the bundles, in .prepared, and takes about twice
    the bundle's room. It is used by itself; after an update of the runtime or on another machine it
    is not, until this is run again.

    Then the bundle is timed with a few numbers of threads. The best one is recorded, and used
    wherever the configuration has none.

    \b
    Example:
      edge-asr bundle prepare granite-4.0-1b-speech
    """
    from edge_asr.preparing import prepare_bundle, record_pace
    from edge_asr.sessions import default_threads

    found = open_bundle(find_bundle(name, context.bundle_dirs))
    given = context.config.recognition.threads
    directory = prepare_bundle(
        found,
        n_threads=given or default_threads(),
        say=lambda graph: click.echo(f"prepare  {graph}", err=True),
    )
    size = sum(path.stat().st_size for path in directory.iterdir())
    click.echo(f"prepared {found.name} for this machine: {size / 1e6:.1f} MB in {directory}")
    if (measured := _measure(found, given)) is not None:
        record_pace(found, measured)


def _measure(bundle: Bundle, given: int) -> MeasuredPace | None:
    """Time a bundle and tell the figures; None where it has no pace.

    Args:
        bundle: a verified one.
        given: the number of threads that is set; 0: none is, and the best is looked for.
    """
    from edge_asr.recognizers.pace import best_threads, threads_to_try
    from edge_asr.recognizers.timing import measure_pace
    from edge_asr.sessions import default_threads

    paces: dict[int, Pace] = {}
    for n_threads in [given] if given else threads_to_try(default_threads()):
        if (pace := measure_pace(bundle, n_threads=n_threads)) is None:
            return None
        paces[n_threads] = pace
        click.echo(f"measured {_threads(n_threads)}: {_stages(pace)}")
    n_threads = best_threads(paces)
    pace = paces[n_threads]
    if bundle.manifest.family not in SPEECH_FAMILIES:
        click.echo(f"recognizes best with {_threads(n_threads)}")
        return MeasuredPace(n_threads)
    drafts = (
        "" if pace.rtf_with_drafts is None else f", with good drafts {pace.rtf_with_drafts:.2f}"
    )
    click.echo(f"predicted real-time factor, with {_threads(n_threads)}: {pace.rtf:.2f}{drafts}")
    return MeasuredPace(n_threads, round(pace.rtf, 4))


def _threads(n_threads: int) -> str:
    return "1 thread" if n_threads == 1 else f"{n_threads} threads"


def _stages(pace: Pace) -> str:
    from edge_asr.recognizers.pace import SOUND_S

    parts = [f"prefilled in {pace.prefill_s:.2f} s", f"{1000 * pace.step_s:.0f} ms a token"]
    if pace.encode_s:
        parts.insert(0, f"{SOUND_S:.0f} s of sound encoded in {pace.encode_s:.2f} s")
    if pace.verify_s is not None:
        parts.append(f"{1000 * pace.verify_s:.0f} ms for {pace.verified_tokens} at once")
    return ", ".join(parts)


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME|DIR]...")
@click.option(
    "--measure/--no-measure",
    default=True,
    show_default=True,
    help="Time those that bundle prepare has not; it takes up to minutes for each.",
)
@records_option
@click.pass_obj
def fit(
    context: Context,
    names: tuple[str, ...],
    measure: bool,  # noqa: FBT001
    output: str,
) -> None:
    """Say which speech bundles suit this machine: their pace, and the memory they take.

    Without NAME, all of them. A bundle that was named and is hopeless here is an error: there is
    not enough memory, or four hours of speech would take it more than a day.

    \b
    Examples:
      edge-asr bundle fit
      edge-asr bundle fit --no-measure granite-4.0-1b-speech
      edge-asr bundle fit --format jsonl
    """
    given = [find_bundle(name, context.bundle_dirs) for name in names]
    hopeless = []
    for directory in given or list_bundles(context.bundle_dirs):
        manifest, _ = read_manifest(directory)
        if manifest.family not in SPEECH_FAMILIES:
            if given:
                raise BundleError(
                    f"bundle {manifest.name} is of the family {manifest.family}, "
                    "which does not hear speech"
                )
            continue
        found = fit_of(directory)
        if measure and found.verdict is Verdict.UNKNOWN:
            found = fit_of(directory, rtf=_rtf_now(context, directory))
        if output == "jsonl":
            print_jsonl([{"name": manifest.name, **asdict(found)}])
        else:
            click.echo(f"{manifest.name:<24} {found.verdict:<12} {found.sentence}")
        if found.verdict is Verdict.HOPELESS:
            hopeless.append(f"bundle {manifest.name} is hopeless here: {found.sentence}")
    if given and hopeless:
        raise BundleError(f"{hopeless[0]}; use a smaller one")


def _rtf_now(context: Context, directory: Path) -> float | None:
    from edge_asr.recognizers.timing import measure_pace

    bundle = open_bundle(directory)
    needed = memory_needed(bundle.manifest, is_prepared=is_prepared(directory, bundle.sha256))
    if needed > machine_memory().available:
        return None  # other programs have the memory: it would be a measurement of the disk
    pace = measure_pace(bundle, n_threads=context.threads_for(bundle))
    return None if pace is None else pace.rtf


def fit_of(directory: Path, *, rtf: float | None = None) -> Fit:
    """Judge the bundle in ``directory`` by what is known of it, without running it.

    Args:
        directory: where it is.
        rtf: its real-time factor; None: what ``bundle prepare`` measured.

    Raises:
        BundleError: there is no bundle, or its manifest cannot be trusted.
    """
    manifest, digest = read_manifest(directory)
    recorded = measured_pace(directory, digest)
    if rtf is None and recorded is not None:
        rtf = recorded.rtf
    needed = memory_needed(manifest, is_prepared=is_prepared(directory, digest))
    return judge(needed, machine_memory(), rtf)


def is_prepared(directory: Path, manifest_sha256: str) -> bool:
    """Return whether a bundle was prepared for this machine; its files are not verified."""
    try:
        return read_preparation(prepared_directory(directory, manifest_sha256)) is not None
    except BundleDamagedError:
        return False


def refuse_hopeless(context: Context, config: Config) -> None:
    """Check that the bundle that a configuration recognizes with is not hopeless here.

    A bundle that is not there is no matter of the configuration: it may come later.

    Raises:
        ConfigError: it is hopeless.
    """
    try:
        found = fit_of(find_bundle(config.recognition.bundle, context.bundle_dirs))
    except BundleError:
        return
    if found.verdict is Verdict.HOPELESS:
        raise ConfigError(
            f"recognition.bundle: {config.recognition.bundle} is hopeless on this machine: "
            f"{found.sentence}; use a smaller one",
        )
