"""The configured second pass: its bundle, its prompt, and when there is time for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_asr.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.bundle import Bundle
    from edge_asr.cli.context import Context
    from edge_asr.second_pass import Prompt, SecondPass, Worker
    from edge_asr.settings import SecondPassSettings
    from edge_asr.store import Store


def open_second_pass(
    context: Context, store: Store, allowed: Callable[[], bool]
) -> SecondPass | None:
    """Return the configured second pass, or None. Its bundle is verified, and loaded when needed.

    Raises:
        BundleError: there is no such bundle, or it is damaged.
        RequestError: it cannot do what is asked.
        ConfigError: it is the bundle that transcribes already, or its prompt is wrong.
    """
    from edge_asr.second_pass import SecondPass, polishing, refining
    from edge_asr.thermal import HeatGuard

    settings = context.config.second_pass
    if settings.bundle is None:
        return None
    bundle = find(context, settings.bundle)
    if is_text(bundle):
        wanted = polishing(bundle, configured_prompt(settings))
    else:
        if bundle.sha256 == context.open_speech_bundle().sha256:
            raise ConfigError(
                f"second_pass.bundle: {bundle.name} transcribes already; name another bundle"
            )
        wanted = refining(bundle, context.config.recognition.request)
    heat = HeatGuard(settings.max_temperature_c)

    def held() -> str | None:
        if not allowed():
            return "much waits to be transcribed"
        return "the board is too warm" if heat.is_too_warm() else None

    return SecondPass(
        store,
        wanted,
        lambda: open_worker(context, store, bundle, configured_prompt(settings)),
        held,
        show_flagged=settings.show_flagged,
        release_after_s=settings.release_after_s,
    )


def find(context: Context, name: str) -> Bundle:
    """Verify and return a bundle."""
    from edge_asr.bundle import find_bundle, open_bundle

    return open_bundle(find_bundle(name, context.bundle_dirs))


def is_text(bundle: Bundle) -> bool:
    """Say whether a bundle is a text model."""
    from edge_asr.recognizers.text import FAMILY

    return bundle.manifest.family == FAMILY


def configured_prompt(settings: SecondPassSettings) -> Prompt:
    """Return the configured prompt.

    Raises:
        ConfigError: its file cannot be read, or it has no place for the transcript.
    """
    from edge_asr.second_pass import Prompt

    words = settings.prompt
    if settings.prompt_file is not None:
        words = read_prompt(Path(settings.prompt_file))
    return Prompt(words, settings.system, settings.max_tokens, settings.min_similarity)


def read_prompt(file: Path) -> str:
    """Return a prompt's words.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: the prompt cannot be read ({error})") from error


def open_worker(context: Context, store: Store, bundle: Bundle, prompt: Prompt) -> Worker:
    """Load a bundle for a second pass."""
    from edge_asr.recognizers.text import TextModel
    from edge_asr.second_pass import Polisher, Refiner

    if is_text(bundle):
        return Polisher(TextModel(bundle, n_threads=context.threads_for(bundle)), prompt)
    recognizer = context.open_recognizer(bundle)
    return Refiner(recognizer, context.config.recognition.request, store)
