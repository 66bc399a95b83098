"""From systems over clips to summaries, JSON and the page."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from edge_asr.audio import write_flac
from edge_asr.errors import AudioFileError, EvaluationError
from edge_asr.evaluation.measuring import measure
from edge_asr.evaluation.report import as_html
from edge_asr.evaluation.results import Run, as_json, as_jsonl, read_results
from edge_asr.evaluation.summary import summarize
from tests.evaluation.conftest import clip, heard

RUN = Run("clips <1>", "2026-11-25T04:00:00Z", "0.1.0", "x86_64", {"ours": "a bundle"})


class Parrot:
    """Answers every clip with the same text."""

    def __init__(self, name, text, languages=("en", "de")):
        self.name, self.text, self.languages = name, text, frozenset(languages)

    def hear(self, said):
        if said.path.stem == "broken":
            raise AudioFileError("broken.flac: the file is empty")
        return heard(self.text, avg_logprob=-0.2, latencies_s=(0.5,))


def test_every_system_hears_every_clip_in_its_languages():
    clips = [clip("yes", "a"), clip("ja", "b", "de"), clip("", "c", "none"), clip("oui", "d", "fr")]

    found = measure(clips, [Parrot("one", "yes"), Parrot("two", "yes", ("en",))])

    assert [(each.system, each.clip.path.stem) for each in found] == [
        *(("one", "a"), ("two", "a"), ("one", "b"), ("one", "c"), ("two", "c")),
    ]


def test_a_file_that_cannot_be_read_is_named_and_left_out():
    complaints, done = [], []

    found = measure(
        [clip("yes", "broken"), clip("yes", "a")],
        [Parrot("one", "yes")],
        progress=lambda *at: done.append(at),
        complain=complaints.append,
    )

    assert [each.clip.path.stem for each in found] == ["a"]
    assert complaints == ["broken.flac: the file is empty"]
    assert done == [(0, 2), (1, 2), (2, 2)]


def test_nothing_heard_is_an_error():
    with pytest.raises(EvaluationError, match="languages of the bundle"):
        measure([clip("oui", "d", "fr")], [Parrot("one", "yes")])


@pytest.fixture
def many(scored):
    """Return two systems over speech and silence; the second hears all, the first half."""
    found = []
    for index in range(8):
        said, name = "stop the red pump", f"s{index}"
        told = {"name": name, "tags": ("noisy",) if index < 2 else (), "keywords": ("red pump",)}
        half = "stop the pump" if index % 2 else said
        found.append(scored(said, half, avg_logprob=-0.3, flags=("repetition",), **told))
        found.append(scored(said, said, "theirs", **told))
    for system, text in (("ours", ""), ("theirs", "thank you")):
        found.append(scored("", text, system, name="n", language="none"))
    found.append(scored("今日は", "今日も", name="j", language="ja"))
    return found


def test_a_summary_counts_what_it_says(many):
    ours, theirs = summarize(many)

    assert (ours.system, theirs.system) == ("ours", "theirs")
    assert ours.total.errors.deletions == 4
    assert ours.total.rate.value == pytest.approx(12.5)
    assert {row.group: row.n_clips for row in ours.languages} == {"en": 8, "ja": 1}
    assert [row.is_by_character for row in ours.languages] == [False, True]
    assert [(row.group, row.n_clips) for row in ours.tags] == [("noisy", 2)]
    assert (ours.keywords.n, ours.keywords.of) == (4, 8)
    assert (ours.marked.n, ours.marked.of) == (4, 5)
    assert ours.invented.n_words == 0
    assert (theirs.invented.n_words, theirs.invented.per_minute) == (2, 60.0)
    assert theirs.above_first.value == pytest.approx(-12.5)
    assert ours.above_first is None
    assert ours.speed.rtf == pytest.approx(0.25)


def test_invented_words_that_are_marked_are_counted_apart(scored):
    (found,) = summarize(
        [
            scored("", "thank you", name="a", language="none", flags=("low_probability",)),
            scored("", "you", name="b", language="none"),
        ]
    )

    assert (found.invented.n_words, found.invented.n_unmarked) == (3, 1)


def test_json_is_read_again_as_it_was(many, tmp_path):
    path = tmp_path / "results.json"
    text = as_json(RUN, many, summarize(many))
    path.write_text(text, encoding="utf-8")

    assert read_results(path) == (RUN, many)
    lines = [json.loads(line) for line in as_jsonl(many).splitlines()]
    assert lines == json.loads(text)["clips"]
    systems = json.loads(text)["systems"]
    assert systems[0]["all"]["error_rate"]["value"] == 12.5
    assert systems[0]["languages"]["ja"]["unit"] == "character"


def test_json_of_something_else_is_refused(tmp_path):
    path = tmp_path / "results.json"
    path.write_text('{"run": 1}', encoding="utf-8")

    with pytest.raises(EvaluationError, match="not what edge-asr evaluate --json wrote"):
        read_results(path)


class Page(HTMLParser):
    """Collects what a page has, and complains of tags that do not match."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.text = [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_the_page_is_whole_and_loads_nothing(many):
    page = Page(as_html(RUN, many, summarize(many)))

    loaded = [attrs[key] for _, attrs in page.seen for key in ("src", "href") if key in attrs]
    assert all(place.startswith(("#", "data:")) for place in loaded)
    anchors = {attrs["id"] for _, attrs in page.seen if "id" in attrs}
    assert {place[1:] for place in loaded if place.startswith("#")} <= anchors
    policy = next(
        attrs["content"] for tag, attrs in page.seen if tag == "meta" and "content" in attrs
    )
    assert policy.startswith("default-src 'none'")
    assert "12.50" in page.text
    assert ("del", {}) in page.seen


def test_what_was_said_cannot_become_part_of_the_page(scored):
    page = Page(
        as_html(
            RUN,
            found := [scored("a <script>alert(1)</script>", "<img src=x>", system="<b>")],
            summarize(found),
        )
    )

    assert [tag for tag, _ in page.seen].count("script") == 1
    assert not {"img", "b"} & {tag for tag, _ in page.seen}


def test_the_sound_of_bad_clips_is_in_the_page(tmp_path, scored):
    each = scored("stop the pump", "stop a pump")
    write_flac(tmp_path / "a.flac", np.zeros(1600, np.float32))
    object.__setattr__(each.clip, "path", Path(tmp_path / "a.flac"))

    page = Page(as_html(RUN, [each], summarize([each])))

    (sound,) = [attrs for tag, attrs in page.seen if tag == "audio"]
    assert sound["src"].startswith("data:audio/flac;base64,ZkxhQ")
