"""``doctor``: what is wrong with this installation, in words."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from edge_asr.cli.checks import examine
from edge_asr.cli.findings import Finding, Verdict
from edge_asr.cli.records_option import document_option, print_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_COLOURS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.PROBLEM: "red"}


@click.command()
@document_option
@click.pass_context
def doctor(ctx: click.Context, output: str) -> None:
    """Say what is wrong with this installation, and what to do about it.

    Changes nothing. Exit status 0 when there is no problem, 1 when there is.

    \b
    Examples:
      edge-asr doctor
      edge-asr --state /var/lib/edge-asr doctor     the service's store
      edge-asr doctor --format jsonl                a finding on each line
    """
    findings = once_each(examine(ctx.obj))
    if output == "json":
        found = list(findings)
        click.echo(
            json.dumps({"ok": is_well(found), "checks": [asdict(f) for f in found]}, indent=2)
        )
    elif output == "jsonl":
        found = list(findings)
        print_jsonl(map(asdict, found))
    else:
        found = [_shown(finding) for finding in findings]
        click.echo(_summary(found))
    ctx.exit(0 if is_well(found) else 1)


def once_each(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Leave out repetitions: a wrong configuration is one problem, not one for each check."""
    told: set[str] = set()
    for finding in findings:
        if finding.sentence not in told:
            told.add(finding.sentence)
            yield finding


def is_well(findings: Iterable[Finding]) -> bool:
    """Say whether there is no problem."""
    return all(finding.verdict is not Verdict.PROBLEM for finding in findings)


def _shown(finding: Finding) -> Finding:
    """Print a finding as soon as it is there, and return it."""
    verdict = click.style(f"{finding.verdict:<8}", fg=_COLOURS[finding.verdict])
    click.echo(f"{verdict} {finding.name:<13} {finding.sentence}")
    if finding.remedy:
        click.echo(f"{'':<22} -> {finding.remedy}")
    return finding


def _summary(findings: list[Finding]) -> str:
    verdicts = [finding.verdict for finding in findings]
    counts = {kind: verdicts.count(kind) for kind in (Verdict.PROBLEM, Verdict.WARNING)}
    told = [f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in counts.items() if n]
    return f"\n{', '.join(told)}." if told else "\nAll is well."
