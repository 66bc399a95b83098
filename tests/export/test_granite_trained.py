"""What quantization, drafts, silence and prompts do to the text of a Granite that has learnt some.

The small model of ``tests/trained_granite.py`` is exported by the project's own command, in float,
int8 and int4. Transformers, running the same weights, is the oracle.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np
import pytest
from click.testing import CliRunner

from edge_asr.audio import write_flac
from edge_asr.bundle import open_bundle
from edge_asr.errors import RequestError
from edge_asr.recognizers.ctc import CtcLabels, read_ctc
from edge_asr.recognizers.granite import GraniteRecognizer
from edge_asr.recognizers.tokenizer import Tokenizer
from edge_asr.records import Drafting, Drafts, Request, Task
from export.__main__ import main
from export.clips import read_clips, read_waveform
from export.granite_gate import generated_sound
from export.granite_original import OriginalGranite, granite_features
from export.granite_parity import GraniteGraphs
from tests.trained_granite import (
    JAPANESE,
    KANA_SPOKEN,
    KEYWORDS,
    LONGEST_S,
    MOST_MISSPELT,
    RECIPE,
    lessons,
    plain,
    trained_granite,
)

pytestmark = [pytest.mark.export, pytest.mark.timeout(1200)]

NAME = RECIPE.stem
SCHEMES = {"float": "none", "int8": "int8", "int4": "int4"}
MOST_TOKENS = 64


@dataclass(frozen=True)
class Trained:
    """What was learnt, and the bundles of it."""

    lessons: list
    checkpoint: Path
    bundles: dict

    def recognizer(self, scheme):
        return GraniteRecognizer(self.bundles[scheme], n_threads=1)

    def graphs(self, scheme):
        bundle = self.bundles[scheme]
        return GraniteGraphs(bundle.directory, bundle.manifest.model, n_threads=1)

    def prompt(self, instruction, scheme="float"):
        """Return the prompt's token ids, the audio token once."""
        template = self.bundles[scheme].manifest.model["prompt"]["template"]
        text = template.format(instruction=instruction)
        return Tokenizer(self.checkpoint / "tokenizer.json").encode(text)


@pytest.fixture(scope="module")
def trained(sample):
    """Return the trained model. Its bundles are kept beside it until the code changes."""
    checkpoint = trained_granite(sample)
    root = checkpoint.with_name("trained-granite-bundles")
    bundles = {}
    for scheme, quantization in SCHEMES.items():
        folders = ["--from", checkpoint, "--work", root / "work", "--out", root / scheme]
        command = [NAME, *folders, "--quantize", quantization]
        result = CliRunner().invoke(main, [*map(str, command)])
        assert result.exit_code == 0, result.output
        bundles[scheme] = open_bundle(root / scheme / NAME, family="granite")
    return Trained(lessons(sample), checkpoint, bundles)


@pytest.fixture(scope="module")
def untaught(sample):
    """Return speech that the model never heard, and sound that is no speech."""
    clips = read_clips(sample, ["en", "de", "es", "fr", "pt"])
    unheard = [read_waveform(clip.path) for clip in clips if clip.duration_s > LONGEST_S]
    return [*unheard[:5], *(generated_sound(duration_s) for duration_s in (0.3, 2.0, 4.0))]


@pytest.fixture(scope="module")
def expected(trained, untaught):
    """Return (sound, prompt, the tokens that Transformers finds), taught and untaught."""
    original = OriginalGranite(trained.checkpoint, n_threads=1)
    sounds = [(each.waveform, each.instruction) for each in trained.lessons]
    sounds += [(waveform, trained.lessons[0].instruction) for waveform in untaught]
    prompted = [(waveform, trained.prompt(instruction)) for waveform, instruction in sounds]
    return [
        (waveform, prompt, original.token_ids(waveform, prompt, MOST_TOKENS))
        for waveform, prompt in prompted
    ]


@pytest.fixture(scope="module", params=list(SCHEMES))
def scheme(request):
    return request.param


def _agreement(found, wanted):
    """Return how many tokens are alike in place, and how many there are; the end counts as one."""
    pairs = zip([*found, None], [*wanted, None], strict=False)
    return sum(one == other for one, other in pairs), max(len(found), len(wanted)) + 1


def test_the_original_has_learnt_its_lessons(trained, expected):
    tokenizer = Tokenizer(trained.checkpoint / "tokenizer.json")

    texts = [tokenizer.decode(tokens) for _, _, tokens in expected[: len(trained.lessons)]]

    assert texts == [each.text for each in trained.lessons]


def test_float_graphs_find_every_token_that_transformers_finds(trained, expected):
    graphs = trained.graphs("float")

    for waveform, prompt, wanted in expected:
        assert graphs.greedy(granite_features(waveform), prompt, MOST_TOKENS) == wanted


@pytest.mark.parametrize(("quantized", "least"), [("int8", 0.98), ("int4", 0.95)])
def test_quantized_graphs_find_nearly_all_tokens(trained, expected, quantized, least):
    graphs = trained.graphs(quantized)

    counted = [
        _agreement(graphs.greedy(granite_features(waveform), prompt, MOST_TOKENS), wanted)
        for waveform, prompt, wanted in expected[: len(trained.lessons)]
    ]

    n_alike, n_tokens = np.sum(counted, axis=0)
    assert n_tokens > 250
    assert n_alike / n_tokens >= least


def test_every_text_survives_whatever_was_asked(trained, scheme):
    recognizer = trained.recognizer(scheme)

    for lesson in trained.lessons:
        assert recognizer.transcribe(lesson.waveform, lesson.request).text == lesson.text


def test_drafts_change_no_text(trained, untaught, scheme):
    recognizer, off = trained.recognizer(scheme), Request(drafting=Drafting(mode=Drafts.OFF))
    sounds = [*(each.waveform for each in trained.lessons), *untaught]

    for waveform in sounds:
        with_draft = recognizer.transcribe(waveform, Request())
        without = recognizer.transcribe(waveform, off)
        assert with_draft.text == without.text
        assert with_draft.avg_logprob == pytest.approx(without.avg_logprob, abs=1e-3)


def test_in_fast_mode_a_draft_that_is_sure_is_the_text(trained):
    recognizer = trained.recognizer("int8")
    fast = Request(drafting=Drafting(mode=Drafts.FAST, ctc_entropy_threshold=3.0))

    for lesson in _transcribed(trained):
        heard = recognizer.transcribe(lesson.waveform, fast)
        assert "ctc_text" in heard.flags
        assert jiwer.cer(lesson.text, heard.text) < 0.1


def test_the_ctc_head_spells_what_was_said(trained, scheme):
    graphs = trained.graphs(scheme)
    model = trained.bundles[scheme].manifest.model
    labels = CtcLabels(**{key: model["ctc"][key] for key in CtcLabels.__struct_fields__})

    wanted = [each.spelt for each in trained.lessons]
    found = [
        read_ctc(graphs.encode(granite_features(each.waveform))[1][0], labels).text
        for each in trained.lessons
    ]

    assert jiwer.cer(wanted, found) <= 2 * MOST_MISSPELT


def test_japanese_is_written_as_it_is_and_drafted_in_katakana(trained):
    lesson = next(each for each in trained.lessons if each.text == JAPANESE)

    heard = trained.recognizer("int8").transcribe(lesson.waveform, Request(language="ja"))

    assert lesson.spelt == KANA_SPOKEN
    assert heard.text == JAPANESE
    assert heard.words == (), "hiragana has no labels, so that no word can be given a time"


def _transcribed(trained):
    """Return the lessons that are transcriptions with words in the CTC head's alphabet."""
    return [each for each in trained.lessons if each.request == Request() and each.text != JAPANESE]


def test_words_lie_in_order_where_the_sound_is(trained, scheme):
    recognizer = trained.recognizer(scheme)

    for lesson in _transcribed(trained):
        words = recognizer.transcribe(lesson.waveform, Request()).words
        assert [word.text for word in words] == lesson.text.split()
        times = [time for word in words for time in (word.start_s, word.end_s)]
        assert times == sorted(times)
        first_s, last_s = _loud_between(lesson.waveform)
        assert first_s - 0.15 < words[0].start_s < first_s + 0.3
        assert last_s - 0.6 < words[-1].end_s < last_s + 0.15


def _loud_between(waveform):
    """Return when the first and the last loud 10 ms of a clip are."""
    loud = np.flatnonzero(_loudness(waveform) > 0.05)
    return loud[0] / 100, (loud[-1] + 1) / 100


def _loudness(waveform):
    """Return the peak of each 10 ms, relative to the loudest."""
    peaks = np.abs(waveform[: len(waveform) // 160 * 160]).reshape(-1, 160).max(axis=1)
    return peaks / peaks.max()


def test_the_words_of_two_sentences_lie_on_both_sides_of_the_pause(trained, sample):
    recognizer = trained.recognizer("int8")
    texts = {each.path.stem: each.text for each in read_clips(sample, ["en", "de", "fr", "pt"])}
    n_seen = 0

    for lesson in _transcribed(trained):
        first, *rest = texts.get(lesson.clip_id, "").split(". ")
        pause = _longest_pause(lesson.waveform)
        if len(rest) != 1 or pause is None:
            continue
        n_seen += 1
        words = recognizer.transcribe(lesson.waveform, Request()).words
        n_first = len(plain(first).split())
        assert all(word.start_s < pause[0] for word in words[:n_first])
        # Right behind a word, this small head puts the next one's first letter, pause or not.
        assert all(word.start_s > pause[1] for word in words[n_first + 1 :])

    assert n_seen >= 4


def _longest_pause(waveform):
    """Return start and end of the longest quiet stretch within a clip, if one stands out."""
    is_loud = _loudness(waveform) > 0.03
    edges = np.flatnonzero(is_loud)
    gaps = np.diff(edges)
    longest, second = np.sort(gaps)[[-1, -2]]
    if longest < 20 or longest < 1.5 * second:
        return None
    start = edges[gaps.argmax()] / 100
    return start, start + longest / 100


@pytest.mark.parametrize("delay_s", [0.5, 1.5])
def test_silence_in_front_of_a_clip_shifts_its_words_by_as_much(trained, delay_s):
    recognizer = trained.recognizer("int8")
    silence = np.zeros(int(delay_s * 16_000), dtype=np.float32)

    for lesson in _transcribed(trained)[::3]:
        words = recognizer.transcribe(lesson.waveform, Request()).words
        later = np.concatenate([silence, lesson.waveform])
        delayed = recognizer.transcribe(later, Request()).words
        assert [word.text for word in delayed] == [word.text for word in words]
        assert delayed[0].start_s - words[0].start_s == pytest.approx(delay_s, abs=0.06)


@pytest.mark.parametrize("loudness", [0.0, 1e-6, 1e-4, 1e-2])
@pytest.mark.parametrize("duration_s", [0.5, 4.0])
def test_where_nobody_speaks_there_is_no_text(trained, scheme, loudness, duration_s):
    noise = np.random.default_rng(8).standard_normal(int(duration_s * 16_000))

    heard = trained.recognizer(scheme).transcribe((loudness * noise).astype(np.float32), Request())

    assert (heard.text, heard.words) == ("", ())
    assert "no_speech" in heard.flags


def test_what_is_asked_decides_what_is_written(trained):
    recognizer = trained.recognizer("int8")
    asked = {}
    for lesson in trained.lessons:
        asked.setdefault(lesson.clip_id, []).append(lesson)

    several = [lessons for lessons in asked.values() if len(lessons) > 1]

    assert len(several) == 4
    for lessons_of_clip in several:
        waveform = lessons_of_clip[0].waveform
        texts = [recognizer.transcribe(waveform, each.request).text for each in lessons_of_clip]
        assert len(set(texts)) == len(texts)


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (Request(language="it"), "'it'"),
        (
            Request(task=Task.TRANSLATE, language="de", target_language="fr"),
            "cannot translate from 'de' into 'fr'; it translates from English, or into it",
        ),
        (Request(task=Task.TRANSLATE, target_language="ko"), "cannot translate into 'ko'"),
        (Request(keywords=KEYWORDS, punctuated=True), "with keywords and punctuation"),
    ],
)
def test_what_the_model_was_not_taught_is_one_sentence(trained, request_, complaint):
    with pytest.raises(RequestError, match=complaint) as caught:
        trained.recognizer("int8").transcribe(trained.lessons[0].waveform, request_)

    assert "\n" not in str(caught.value)


@pytest.fixture
def english(trained, tmp_path):
    """Return a lesson, and its clip as a file."""
    lesson = next(each for each in trained.lessons if each.clip_id == "en-vm-nobox")
    path = tmp_path / "said.flac"
    write_flac(path, lesson.waveform)
    return lesson, path


def test_the_program_transcribes_with_the_bundle(trained, program, english):
    lesson, path = english
    bundle = trained.bundles["int8"].directory

    result = program.run("--bundle", bundle, "transcribe", "--format", "jsonl", path)

    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["text"] == lesson.text


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--language", "it"), "'it'"),
        (
            ("--task", "translate", "--language", "de", "--target-language", "fr"),
            "cannot translate from 'de' into 'fr'",
        ),
    ],
)
def test_the_program_says_what_the_bundle_cannot_do(trained, program, english, options, complaint):
    bundle = trained.bundles["int8"].directory

    result = program.run("--bundle", bundle, "transcribe", *options, english[1])

    assert result.returncode != 0
    assert result.stdout == ""
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.bundle
@pytest.mark.usefixtures("bundles")
def test_what_was_heard_is_in_the_log_as_it_was_said(trained, program, english, tmp_path):
    lesson, _ = english
    quiet = np.zeros(24_000, dtype=np.float32)
    path = tmp_path / "heard.flac"
    write_flac(path, np.concatenate([quiet, lesson.waveform, quiet]))

    listened = program.run("listen", "--wav", path, "--fast")
    recognized = program.run(
        "--bundle", trained.bundles["int8"].directory, "recognize", "--until-idle"
    )

    assert listened.returncode == 0, listened.stderr
    assert recognized.returncode == 0, recognized.stderr
    assert " ".join(each["text"] for each in program.export()) == lesson.text
