"""The report: one HTML file that needs no network, for a browser, light or dark."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from edge_asr.evaluation import plots
from edge_asr.evaluation.report_clips import invented_clips, worst_clips

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge_asr.evaluation.calibration import Calibration
    from edge_asr.evaluation.intervals import Interval
    from edge_asr.evaluation.measuring import Scored
    from edge_asr.evaluation.results import Run
    from edge_asr.evaluation.summary import Row, Share, Summary

_MOST_DRAWN = 14
"""Groups in a plot: the largest; the table has all."""
_NONE = "&ndash;"
_HERE = Path(__file__).parent
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; media-src data:"
)
"""The page may load nothing: what it shows is in it."""


def as_html(run: Run, scored: Sequence[Scored], summaries: Sequence[Summary]) -> str:
    """Return the report of a run."""
    sections = [
        ("systems", "Systems", _systems(run, summaries)),
        *_rates("languages", "By language", summaries, [each.languages for each in summaries]),
        *_rates("tags", "By tag", summaries, [each.tags for each in summaries]),
        ("confidence", "Confidence", _confidence(summaries)),
        ("time", "Time", _time(scored, summaries)),
        ("invented", "Where nobody speaks", invented_clips(scored)),
        ("worst", "The worst clips", worst_clips(scored)),
    ]
    links = "".join(f'<a href="#{key}">{escape(title)}</a>' for key, title, _ in sections)
    body = "".join(
        f'<section aria-labelledby="{key}"><h2 id="{key}">{escape(title)}</h2>{content}</section>'
        for key, title, content in sections
    )
    style = (_HERE / "report.css").read_text(encoding="utf-8")
    script = (_HERE / "report.js").read_text(encoding="utf-8")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Evaluation of {escape(run.title)}</title><style>{style}</style></head>"
        f"<body><header><h1>How well it understands</h1>{_head(run, scored)}"
        f'<nav aria-label="Sections">{links}</nav></header>'
        f"<main>{body}</main><script>{script}</script></body></html>\n"
    )


def _head(run: Run, scored: Sequence[Scored]) -> str:
    clips = {each.clip.path: each.clip for each in scored}
    minutes = sum(clip.duration_s for clip in clips.values()) / 60
    return (
        f"<p>{escape(run.title)}: {len(clips)} clips, {minutes:.1f} minutes.</p>"
        f'<p class="soft">edge-asr {escape(run.version)}, {escape(run.created_utc)}, '
        f"{escape(run.machine)}</p>"
    )


def _systems(run: Run, summaries: Sequence[Summary]) -> str:
    rows = [_system(number, each) for number, each in enumerate(summaries)]
    what = "".join(
        f"<dt>{legend(number, each.system)}</dt><dd>{escape(run.systems.get(each.system, ''))}</dd>"
        for number, each in enumerate(summaries)
    )
    headings = (
        *("system", "WER %", "above the first", "substituted", "deleted", "inserted"),
        *("invented words / min", "keywords", "language", "marked", "RTF", "latency s"),
    )
    return (
        f'<dl class="named">{what}</dl>{table(headings, rows)}'
        '<p class="soft">WER: word error rate after the usual normalisation, of all languages '
        "written with spaces. In brackets: 95 % confidence, by bootstrap over the clips. "
        "Marked: texts with an error that the system itself marked as doubtful. "
        "RTF: decode time / duration, on this machine. Latency: from the end of an utterance to "
        "its text, median / 95th percentile.</p>"
    )


def _system(number: int, each: Summary) -> list[str]:
    errors = each.total.errors if each.total else None
    counts = [errors.substitutions, errors.deletions, errors.insertions] if errors else []
    speed = each.speed
    return [
        cell(legend(number, each.system)),
        rate_cell(each.total.rate if each.total else None),
        rate_cell(each.above_first, sign="+"),
        *(cell(str(count), count) for count in counts or ()),
        *(cell(_NONE) for _ in range(0 if counts else 3)),
        cell(f"{each.invented.per_minute:.2f}", each.invented.per_minute)
        if each.invented.n_clips
        else cell(_NONE),
        *(_share_cell(share) for share in (each.keywords, each.detected, each.marked)),
        cell(f"{speed.rtf:.3f}", speed.rtf),
        cell(f"{speed.latency_p50_s:.2f} / {speed.latency_p95_s:.2f}", speed.latency_p50_s),
    ]


def legend(number: int, system: str) -> str:
    """Return a system's name with its mark in the plots."""
    mark = plots.shape(number, 7, 7)
    return f'<svg aria-hidden="true" viewBox="0 0 14 14" width="14">{mark}</svg> {escape(system)}'


def _rates(
    key: str, title: str, summaries: Sequence[Summary], found: Sequence[Sequence[Row]]
) -> Iterable[tuple[str, str, str]]:
    """Yield the section of the error rates of groups; none where there are no groups."""
    rows = [{row.group: row for row in each} for each in found]
    groups = list(dict.fromkeys(group for each in rows for group in each))
    if not groups:
        return
    is_of_languages = any(each.detected for row in rows for each in row.values())
    lines, drawn = [], []
    for group in groups:
        known = [(number, each[group]) for number, each in enumerate(rows) if group in each]
        first = known[0][1]
        name = f"{group} (characters)" if first.is_by_character else group
        drawn.append((name, known))
        cells = [rate_cell(each[group].rate if group in each else None) for each in rows]
        if is_of_languages:
            cells += [_share_cell(each[group].detected if group in each else None) for each in rows]
        lines.append(
            [
                cell(escape(name)),
                cell(str(first.n_clips), first.n_clips),
                cell(str(first.errors.n_words), first.errors.n_words),
                *cells,
            ]
        )
    names = [each.system for each in summaries]
    detected = [f"language: {name}" for name in names] if is_of_languages else []
    headings = ("group", "clips", "words", *names, *detected)
    plot = plots.rates(f"Error rates, {title}", drawn[:_MOST_DRAWN])
    caption = "Error rate with its 95 % interval; none below five clips."
    figure = f"<figure>{plot}<figcaption>{caption}</figcaption></figure>"
    yield key, title, figure + table(headings, lines)


def _confidence(summaries: Sequence[Summary]) -> str:
    texts = _reliability("text", summaries, [each.calibration for each in summaries])
    words = _reliability("word", summaries, [each.word_calibration for each in summaries])
    if not texts and not words:
        return "<p>No system says how sure it is.</p>"
    return (
        f"{texts}{words}"
        '<p class="soft">Confidence of a text is exp(mean log-probability of its tokens), of a '
        "word that of its own tokens. Calibration error: mean distance from the share of words "
        "that are right. Exponent: confidence to this power comes nearest; its error is that of "
        "clips that it was not fitted to. Sorts wrong from right: how often what is right is surer "
        "than what has an error; 0.5 is chance. Below the dotted line a system is surer than it "
        "should be.</p>"
    )


def _reliability(
    of_what: str, summaries: Sequence[Summary], calibrations: Sequence[Calibration | None]
) -> str:
    found = [(number, each) for number, each in enumerate(calibrations) if each is not None]
    if not found:
        return ""
    rows = [
        [
            cell(legend(number, summaries[number].system)),
            cell(f"{each.error:.3f}", each.error),
            cell(f"{each.exponent:.2f}", each.exponent),
            cell(f"{each.error_with_exponent:.3f}", each.error_with_exponent),
            cell(_NONE if each.auc is None else f"{each.auc:.3f}", each.auc),
        ]
        for number, each in found
    ]
    title = f"Reliability: confidence of a {of_what} against share of words right"
    headings = (
        *(f"confidence of a {of_what}", "calibration error", "exponent", "error with it"),
        "sorts wrong from right",
    )
    return (
        f'<div class="plots"><figure>{plots.reliability(title, found)}<figcaption>Confidence of a '
        f"{of_what}</figcaption></figure><div>{table(headings, rows)}</div></div>"
    )


def _time(scored: Sequence[Scored], summaries: Sequence[Summary]) -> str:
    found = [
        (
            number,
            [
                (each.clip.duration_s, each.heard.decode_s)
                for each in scored
                if each.system == summary.system
            ],
        )
        for number, summary in enumerate(summaries)
    ]
    figure = plots.durations("Decode time over length of the clip", found)
    return f"<figure>{figure}<figcaption>Each mark is a clip.</figcaption></figure>"


def table(headings: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table that its headings sort; its cells are those of :func:`cell`."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return (
        f'<div class="wide" tabindex="0"><table class="sortable"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def cell(content: str, value: float | None = None) -> str:
    """Return a cell of HTML, and what it is sorted by."""
    sorted_by = "" if value is None else f' data-value="{value:.6g}"'
    return f"<td{sorted_by}>{content}</td>"


def rate_cell(found: Interval | None, sign: str = "") -> str:
    """Return a figure with its interval."""
    if found is None:
        return cell(_NONE)
    text = f"{found.value:{sign}.2f}"
    if found.low is not None and found.high is not None:
        low, high = f"{found.low:{sign}.1f}", f"{found.high:{sign}.1f}"
        text += f' <span class="interval">[{low}, {high}]</span>'
    return cell(text, found.value)


def _share_cell(share: Share | None) -> str:
    if share is None or not share.of:
        return cell(_NONE)
    return cell(f"{share.percent:.0f} % of {share.of}", share.percent)
