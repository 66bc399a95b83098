"""``run``: the loops as children of this terminal, with meters and transcripts as they come."""

from __future__ import annotations

import queue
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_asr.capture.devices import list_microphones
from edge_asr.cli.children import Child, Said
from edge_asr.cli.loops import partials_option
from edge_asr.cli.opening import open_store
from edge_asr.cli.signals import hold_usr1, on_usr1, stop_event
from edge_asr.cli.view import LiveView, PlainView
from edge_asr.errors import EdgeAsrError, MicrophoneError

if TYPE_CHECKING:
    import threading

    from edge_asr.cli.context import Context
    from edge_asr.store import Store

    View = LiveView | PlainView

TICK_S = 0.1


@click.command()
@click.option(
    "--wav",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Hear a sound file instead of the microphones, and end with it.",
)
@click.option(
    "--without-microphone",
    "fallback",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Hear this sound file if the machine has no microphone.",
)
@partials_option
@click.pass_obj
def run(
    context: Context,
    wav: Path | None,
    fallback: Path | None,
    wants_partials: bool | None,  # noqa: FBT001
) -> None:
    """Listen and transcribe, in this terminal. Ctrl-C ends it; nothing heard is lost.

    \b
    Examples:
      edge-asr run
      edge-asr run --wav interview.flac
    """
    hold_usr1()
    context.open_vad_bundle()  # a missing bundle is one sentence here, not one for each child
    context.open_speech_bundle()
    if wav is None and fallback is not None and not _has_microphone():
        click.echo(
            f"No microphone on this machine: playing {fallback} as a simulated one.",
            err=True,
        )
        wav = fallback
    with open_store(context, context.notifier()) as store:
        _Run(context, store, wav, stop_event(), wants_partials=wants_partials).run()
    where = f" --state {context.state_dir}" if context.given_state_dir else ""
    click.echo(
        f"Everything is in {context.state_dir}; read it with: edge-asr{where} log tail",
        err=True,
    )


def _has_microphone() -> bool:
    try:
        return bool(list_microphones())
    except MicrophoneError as error:  # the sound system itself is broken
        click.echo(f"edge-asr: {error}", err=True)
        return False


class _Run:
    """One call of ``run``."""

    def __init__(
        self,
        context: Context,
        store: Store,
        wav: Path | None,
        stop: threading.Event,
        *,
        wants_partials: bool | None,
    ) -> None:
        self._store = store
        self._stop = stop
        self._inbox: queue.Queue[Said] = queue.Queue()
        self._view: View = LiveView() if sys.stdout.isatty() else PlainView()
        options = _global_options(context)
        self._recognizer_arguments = [
            *options,
            "recognize",
            "--format=jsonl",
            "--until-stdin-closes",
        ]
        # On a terminal they are shown; in a pipe nobody could take them back.
        if wants_partials is False or not sys.stdout.isatty():
            self._recognizer_arguments.append("--no-partials")
        elif wants_partials:
            self._recognizer_arguments.append("--partials")
        sources = (
            {wav.stem: ["--wav", str(wav)]}
            if wav is not None
            else {mic.name: ["--microphone", mic.name] for mic in context.config.microphones}
        )
        self._listener_arguments = {
            name: [*options, "listen", *source, "--format=jsonl", "--until-stdin-closes"]
            for name, source in sources.items()
        }
        self._children: list[Child] = []

    def run(self) -> None:
        recognizer = self._start("recognize", self._recognizer_arguments)
        listeners = [
            self._start(f"listen {name}", arguments)
            for name, arguments in self._listener_arguments.items()
        ]
        on_usr1(partial(_toggle_mute, listeners))
        try:
            with self._view:
                while not self._stop.is_set() and self._children:
                    self._show_what_was_said()
                    self._reap()
                    if self._children == [recognizer] and not self._store.transcripts.backlog().n:
                        recognizer.ask_to_stop()
        finally:
            # Listeners first: what they close now is transcribed at the next start.
            for child in reversed(self._children):
                child.stop()

    def _start(self, title: str, arguments: list[str]) -> Child:
        child = Child(title, arguments, self._inbox)
        self._children.append(child)
        return child

    def _show_what_was_said(self) -> None:
        try:
            said = self._inbox.get(timeout=TICK_S)
        except queue.Empty:
            return
        if said.event is None:
            self._view.message(said.message)
        else:
            self._view.show(said.event)

    def _reap(self) -> None:
        for child in list(self._children):
            status = child.exit_status
            if status is None or not self._inbox.empty():
                continue
            self._children.remove(child)
            if status:
                raise EdgeAsrError(f"{child.title} ended with status {status}; see above for why")


def _toggle_mute(listeners: list[Child]) -> None:
    for listener in listeners:
        listener.toggle_mute()


def _global_options(context: Context) -> list[str]:
    options = ["--state", str(context.state_dir)]
    if context.config_path is not None:
        options += ["--config", str(context.config_path)]
    if context.bundle_name is not None:
        options += ["--bundle", context.bundle_name]
    return options
