"""``python -m benchmarks.evaluate``: this project beside faster-whisper, on the same weights.

Both hear every clip in turn, in one process: what else the machine does falls on both alike.
faster-whisper runs with its defaults (beam 5, temperature fallback), once on whole files and once
with its VAD filter. Where it is not installed (``pip install --group bench``), this project is
evaluated alone.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.ctranslate2 import complete_model
from edge_asr.cli.context import Context
from edge_asr.cli.evaluate import BOTH, CUTS, chosen, opened, progress_bar, show
from edge_asr.evaluation.measuring import measure
from edge_asr.evaluation.systems import Asked, Heard, read_waveform
from edge_asr.sessions import default_threads

if TYPE_CHECKING:
    from edge_asr.evaluation.clips import Clip
    from edge_asr.evaluation.systems import System

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_NAME = "faster-whisper"


@dataclass(frozen=True, slots=True)
class FasterWhisper:
    """faster-whisper with its defaults."""

    name: str
    languages: frozenset[str]
    model: Any
    vad_filter: bool
    detects: bool

    def hear(self, clip: Clip) -> Heard:
        """Transcribe a clip."""
        waveform = read_waveform(clip.path)
        language = clip.language if clip.is_speech and not self.detects else None
        started = time.perf_counter()
        segments, info = self.model.transcribe(
            waveform, language=language, vad_filter=self.vad_filter
        )
        found = list(segments)
        decode_s = time.perf_counter() - started
        n_tokens = sum(len(segment.tokens) for segment in found)
        logprob = sum(segment.avg_logprob * len(segment.tokens) for segment in found)
        return Heard(
            text=" ".join(segment.text.strip() for segment in found),
            language=info.language,
            decode_s=decode_s,
            latencies_s=(decode_s,),
            avg_logprob=logprob / n_tokens if n_tokens else None,
        )


def peers(model: Path, n_threads: int, *, detects: bool) -> dict[System, str]:
    """Return faster-whisper over a CTranslate2 model, and what it is."""
    from faster_whisper import WhisperModel, __version__

    with tempfile.TemporaryDirectory() as name:
        folder = complete_model(model, Path(name))
        loaded = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=n_threads)
    languages = frozenset(loaded.supported_languages)
    described = f"{_NAME} {__version__}, int8, beam 5, its defaults"
    return {
        FasterWhisper(_NAME, languages, loaded, vad_filter=False, detects=detects): (
            f"{described}, whole files"
        ),
        FasterWhisper(f"{_NAME} vad_filter", languages, loaded, vad_filter=True, detects=detects): (
            f"{described}, with its VAD filter"
        ),
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--speech",
    type=click.Path(exists=True, path_type=Path),
    envvar="EDGE_ASR_SPEECH",
    show_envvar=True,
    default=Path("build/sample"),
    show_default=True,
    help="Manifest, or folder with one.",
)
@click.option("--bundle", "bundles", multiple=True, default=["whisper-base"], show_default=True)
@click.option("--cut", type=click.Choice(CUTS), default=BOTH, show_default=True)
@click.option("--ctranslate2", "model", type=_FOLDER, help="The same weights for faster-whisper.")
@click.option("--detect", is_flag=True, help="Detect the language, also where the clip says it.")
@click.option("--limit", type=click.IntRange(1), help="At most so many clips a language.")
@click.option("--json", "json_file", type=_FILE, default=Path("build/evaluation.json"))
@click.option("--html", "html_file", type=_FILE, default=Path("build/evaluation.html"))
def main(
    speech: Path,
    bundles: tuple[str, ...],
    cut: str,
    model: Path | None,
    detect: bool,  # noqa: FBT001
    limit: int | None,
    json_file: Path,
    html_file: Path,
) -> None:
    """Evaluate bundles, beside faster-whisper where it is installed."""
    context = Context(None, None, None, debug=False, environ=os.environ)
    asked = Asked(context.config.recognition.request, detect)
    systems = opened(context, bundles, cut, asked)
    if model is None or find_spec("faster_whisper") is None:
        click.echo(f"without {_NAME}: it needs --ctranslate2 and the group bench", err=True)
    else:
        n_threads = context.config.recognition.threads or default_threads()
        systems |= peers(model, n_threads, detects=detect)
    with progress_bar() as progress:
        scored = measure(
            chosen(speech, limit, (), strict=False),
            list(systems),
            progress=progress,
            complain=lambda text: click.echo(text, err=True),
        )
    what = {system.name: described for system, described in systems.items()}
    show(str(speech), what, scored, json_file=json_file, html_file=html_file, output="table")


if __name__ == "__main__":
    main()
