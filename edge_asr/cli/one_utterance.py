"""``log show``: all about one utterance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge_asr import entries as written
from edge_asr.cli.integrity import find_utterance
from edge_asr.cli.ledger import gap_line
from edge_asr.cli.records_option import print_jsonl, records_option
from edge_asr.formats import one_line, rfc3339
from edge_asr.store import Store

if TYPE_CHECKING:
    from edge_asr.cli.context import Context
    from edge_asr.records import Recognition, Transcript, Utterance


@click.command()
@click.argument("utterance", metavar="ID")
@records_option
@click.pass_obj
def show(context: Context, utterance: str, output: str) -> None:
    """Print all about one utterance: its versions, its sound, the gaps around it.

    ID is the number or the name that tail, search and export print.

    \b
    Examples:
      edge-asr log show 1027
      edge-asr log show 1027 --format jsonl
    """
    with Store.open(context.state_dir, readonly=True) as store:
        found = find_utterance(store, utterance)
        if output == "jsonl":
            print_jsonl([written.utterance_fields(store, found)])
            return
        _show_utterance(found, context, store.corrected_utc_ns(found.start))
        for transcript in store.transcripts.versions(found.utterance_id):
            _show_version(transcript)
        reason = store.integrity.redacted_because(found.utterance_id)
        if reason is not None:
            click.echo(f"redacted   {one_line(reason)}")
        failure = store.transcripts.failures.of(found.utterance_id)
        if failure is not None:
            state = "not tried again" if failure.quarantined else "failed"
            click.echo(f"{state} after {failure.tries + failure.kills} tries: {failure.error}")
        for gap in written.gaps_around(store, found):
            click.echo(f"gap        {gap_line(gap)}")


def _show_utterance(utterance: Utterance, context: Context, corrected_ns: int | None) -> None:
    start = utterance.start
    better = [] if corrected_ns is None else [("corrected", f"{rfc3339(corrected_ns)}  (by now)")]
    for title, value in (
        ("utterance", f"{utterance.utterance_id}  {utterance.uid}"),
        ("source", one_line(utterance.source)),
        ("start", f"{rfc3339(start.utc_ns)}  (clock: {start.clock_quality})"),
        *better,
        ("end", f"{rfc3339(written.end_utc_ns(utterance))}  ({utterance.end_reason})"),
        ("duration", f"{utterance.duration_s:.3f} s"),
        ("boot", f"{start.boot_id}, {start.monotonic_ns / 1e9:.3f} s after it"),
        ("audio", context.state_dir / utterance.audio_path),
        ("sha256", utterance.audio_sha256),
    ):
        click.echo(f"{title:<10} {value}")


def _show_version(transcript: Transcript) -> None:
    recognition = transcript.recognition
    doubts = f", {', '.join(recognition.flags)}" if recognition.flags else ""
    parent = f" of version {transcript.parent_version}" if transcript.parent_version else ""
    hidden = "" if transcript.is_shown else ", kept but not shown"
    click.echo(
        f"version {transcript.version}  {transcript.bundle} ({transcript.bundle_sha256[:12]}), "
        f"{recognition.task}{parent} {recognition.language}, {recognition.decode_s:.2f} s, "
        f"{rfc3339(transcript.created_utc_ns)}{doubts}{hidden}",
    )
    click.echo(f"           {one_line(recognition.text) or '(no words)'}")
    if certainty := _certainty(recognition):
        click.echo(f"           {certainty}")
    if recognition.words:
        timed = (f"{one_line(word.text)} {word.start_s:.2f}" for word in recognition.words)
        click.echo(f"           words, from second: {', '.join(timed)}")


def _certainty(recognition: Recognition) -> str:
    """Return how sure the model was, each figure with what it is."""
    facts = {
        "probability of the language": recognition.language_probability,
        "mean log-probability of the text": recognition.avg_logprob,
        "highest CTC entropy (nats)": recognition.ctc_max_entropy,
    }
    return ", ".join(f"{name} {value:.2f}" for name, value in facts.items() if value is not None)
