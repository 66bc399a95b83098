"""``listen`` and ``recognize``: the two loops, each a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_asr.cli.asked import numerals_option
from edge_asr.cli.saying import say
from edge_asr.cli.signals import begin_anew, hold_usr1, on_usr1, stop_event
from edge_asr.errors import EdgeAsrError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from contextlib import ExitStack

    from edge_asr.capture import Source
    from edge_asr.cli.context import Context
    from edge_asr.partials import Partials
    from edge_asr.recognizers import Recognizer
    from edge_asr.store import Store
    from edge_asr.store.recovery import Recovery
    from edge_asr.store.rejected import RejectedSounds

output_option = click.option(
    "--format",
    "output",
    type=click.Choice(["text", "jsonl"]),
    default="text",
    help="How to tell what happens: words on stderr, or JSON lines on stdout.",
)
partials_option = click.option(
    "--partials/--no-partials",
    "wants_partials",
    default=None,
    help="Tell what is being said while it is said, if the bundle can. Only as JSON lines.",
)
child_option = click.option("--until-stdin-closes", "is_child", is_flag=True, hidden=True)


@click.command()
@click.option("--microphone", metavar="NAME", help="Which configured microphone; else the first.")
@click.option(
    "--wav",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Hear a sound file instead, at the pace it was spoken; ends with it.",
)
@click.option("--fast", is_flag=True, help="With --wav: as fast as it can be read.")
@output_option
@child_option
@click.pass_obj
def listen(
    context: Context,
    microphone: str | None,
    wav: Path | None,
    fast: bool,  # noqa: FBT001
    output: str,
    is_child: bool,  # noqa: FBT001
) -> None:
    """Write what a microphone hears into the store, utterance by utterance.

    Nothing is transcribed here; edge-asr recognize does that, in its own time. SIGUSR1 mutes it, or
    unmutes it, like edge-asr mute.

    \b
    Examples:
      edge-asr listen                         the first configured microphone
      edge-asr listen --microphone press-4    another one
      edge-asr listen --wav shift.flac --fast a recording, as if it had been heard
    """
    from edge_asr.alarming import AlarmBook
    from edge_asr.backlog import RecognizerWatch
    from edge_asr.capture.liveness import Liveness
    from edge_asr.capture.muting import Muting
    from edge_asr.capture.vad import open_vad
    from edge_asr.cli.events import printer
    from edge_asr.cli.opening import opened_when_there_is_room
    from edge_asr.cli.status import noted
    from edge_asr.listen import Listener
    from edge_asr.mute_switch import MuteSwitch
    from edge_asr.store.feed import Feed

    if fast and wav is None:
        raise click.UsageError("--fast goes with --wav")
    hold_usr1()
    notifier = context.notifier()
    stop = stop_event(also_when_stdin_closes=is_child)
    vad = open_vad(context.open_vad_bundle())
    source = _source(context, microphone, wav, fast=fast, stop=stop)
    show = noted(printer(output, source.name, Feed(context.state_dir)), notifier, source.name)

    def claim(store: Store, stack: ExitStack) -> Recovery:
        stack.enter_context(store.listening(source.name))
        return store.utterances.recover()

    with (
        opened_when_there_is_room(context, notifier, stop, show, claim, waits=not fast) as (
            store,
            repair,
        ),
        _rejected(context, waits=fast) as rejected,
    ):
        for utterance in repair.recovered:
            show(utterance)
        for problem in repair.problems:
            say(f"edge-asr: {problem.path}: {problem.why}")
        watch = RecognizerWatch(
            store, context.config.backlog.stopped_after_s, AlarmBook(store, "", show)
        )
        switch = MuteSwitch(store.mutes, source.name, lambda why: say(f"edge-asr: {why}"))
        on_usr1(switch.toggle)

        def look_around() -> None:
            switch.log()
            watch.look()

        listener = Listener(
            store,
            vad,
            context.config.vad,
            source_name=source.name,
            observe=show,
            liveness=None if fast else Liveness(context.config.liveness),
            live=not fast,
            look_around=look_around,
            keep=rejected.keep if context.config.vad.keep_rejected_h else None,
            attend=lambda closely: source.attend(closely=closely),
        )
        notifier.ready(f"listening to {source.name}")
        with source:
            listener.listen(
                source if fast else Muting(source, switch.is_muted), alive=notifier.alive
            )
        switch.log()
        notifier.stopping()


def _rejected(context: Context, *, waits: bool) -> RejectedSounds:
    from edge_asr.store.rejected import Limits, RejectedSounds

    vad, retention = context.config.vad, context.config.retention
    limits = Limits(vad.keep_rejected_h, vad.keep_rejected_mb << 20, retention.min_free_mb << 20)
    return RejectedSounds(context.state_dir, limits, waits=waits)


def _source(
    context: Context,
    microphone: str | None,
    wav: Path | None,
    *,
    fast: bool,
    stop: threading.Event,
) -> Source:
    if wav is not None:
        from edge_asr.capture.wavfile import WavFile

        return WavFile(wav, stop, realtime=not fast)
    from edge_asr.capture.microphone import Microphone

    config = context.config
    settings = config.microphone(microphone) if microphone else config.microphones[0]
    return Microphone(settings, stop)


@click.command()
@click.option("--until-idle", is_flag=True, help="Exit when nothing is pending.")
@partials_option
@numerals_option
@output_option
@child_option
@click.pass_obj
def recognize(
    context: Context,
    until_idle: bool,  # noqa: FBT001
    wants_partials: bool | None,  # noqa: FBT001
    numerals: bool | None,  # noqa: FBT001
    output: str,
    is_child: bool,  # noqa: FBT001
) -> None:
    """Transcribe what is in the store, oldest first, and wait for more.

    \b
    Examples:
      edge-asr recognize                              go on until stopped
      edge-asr --bundle whisper-base recognize --until-idle
      edge-asr recognize --numerals                   "twenty-three" is written as "23", too
    """
    from edge_asr.cli.events import printer
    from edge_asr.cli.keeping import Keeper
    from edge_asr.cli.opening import opened_when_there_is_room
    from edge_asr.cli.second_pass import open_second_pass
    from edge_asr.cli.status import LoadTeller
    from edge_asr.cli.stepping import open_stepping
    from edge_asr.correcting import Correcting
    from edge_asr.recognize import recognize as run_loop
    from edge_asr.recycling import Recycling
    from edge_asr.rewriting import configured
    from edge_asr.sessions import progress_told
    from edge_asr.store.feed import Feed

    rewriting = configured(context.config, numerals=numerals)
    notifier = context.notifier()
    stop = stop_event(also_when_stdin_closes=is_child)
    feed, is_read = Feed(context.state_dir), output == "jsonl"
    show = printer(output, feed=feed)

    def claim(store: Store, stack: ExitStack) -> None:
        stack.enter_context(store.recognizing())

    with (
        opened_when_there_is_room(context, notifier, stop, show, claim, waits=not until_idle) as (
            store,
            _,
        ),
        progress_told(notifier.alive),
    ):
        notifier.extend_timeout(60.0)
        tell = LoadTeller(output, notifier).tell
        recognizer, watch, policy = open_stepping(context, store, show, tell)
        notifier.ready(f"recognizing with {recognizer.bundle.name}")
        correcting = Correcting(store, rewriting, show)
        correcting.settle()
        keeper = Keeper(context, store)
        settings = context.config.recognition
        recycling = Recycling(settings.recycle_after_h, settings.recycle_above_mb)

        def alive() -> None:
            notifier.alive()
            watch.look()
            keeper.step()

        n_failed = run_loop(
            store,
            recognizer,
            context.config.recognition.request,
            observe=correcting.observe,
            alive=alive,
            stop=stop,
            until_idle=until_idle,
            partials=_partials(
                context, store, recognizer, wants_partials, lambda: is_read or feed.has_onlookers
            ),
            second_pass=open_second_pass(context, store, lambda: policy.second_pass_allowed),
            is_worn_out=recycling.is_due,
        )
        goes_on = not (stop.is_set() or until_idle)
        if not goes_on:
            notifier.stopping()
        watch.end()
        keeper.finish()
    if goes_on:
        begin_anew()
    if until_idle and n_failed:
        raise EdgeAsrError(
            f"{n_failed} utterances could not be transcribed; see the messages above"
        )


def _partials(
    context: Context,
    store: Store,
    recognizer: Recognizer,
    wanted: bool | None,  # noqa: FBT001 (as the option gives it)
    are_seen: Callable[[], bool],
) -> Partials | None:
    """Return what tells of what is being said; where nobody sees it, it would only cost heat."""
    from edge_asr.partials import Partials

    settings = context.config.recognition
    if not (settings.partials == "auto" if wanted is None else wanted):
        return None
    return Partials(store, recognizer, settings.request, are_wanted=are_seen)
