"""Requests become the tokens of the prompts that the manifest carries."""

import pytest

from edge_asr.errors import BundleError, RequestError
from edge_asr.recognizers.granite_prompts import (
    MAX_KEYWORD_TOKENS,
    Instructions,
    Prompts,
    Template,
)
from edge_asr.recognizers.keywords import normalized
from edge_asr.recognizers.tokenizer import Tokenizer
from edge_asr.records import Request, Task
from tests.granite_checkpoint import write_tokenizer

AUDIO = "<|audio|>"
TEMPLATE = Template("USER: <|audio|>{instruction}\n ASSISTANT:", AUDIO)
PLAIN = Instructions(transcribe="write it down?")
ALL = Instructions(
    transcribe="write it down?",
    transcribe_keywords="write it down? Keywords: {keywords}",
    translate="put it into {language}.",
    translate_keywords="put it into {language}. Keywords: {keywords}",
    punctuated="write it down, with commas.",
    translate_punctuated="put it into {language}, with commas.",
)
NAMES = {"en": "English", "fr": "French", "zh": "Mandarin"}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    write_tokenizer(path)
    return Tokenizer(path)


def prompts_of(tokenizer, instructions=ALL, template=TEMPLATE):
    return Prompts(tokenizer, template, instructions, NAMES, bundle_name="tiny")


def written(tokenizer, request, instructions=ALL):
    """Return the text before and after the sound."""
    prompt = prompts_of(tokenizer, instructions).prompt(request)
    whole = [tokenizer._tokenizer.decode(list(ids)) for ids in (prompt.before, prompt.after)]
    assert whole[0] == "USER: "
    assert whole[1].endswith("\n ASSISTANT:")
    return whole[1].removesuffix("\n ASSISTANT:")


TRANSLATE = Task.TRANSLATE


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (Request(), "write it down?"),
        (Request(language="fr"), "write it down?"),
        (Request(keywords=("Kanban", "S7")), "write it down? Keywords: Kanban, S7"),
        (Request(punctuated=True), "write it down, with commas."),
        (Request(TRANSLATE), "put it into English."),
        (Request(TRANSLATE, target_language="zh"), "put it into Mandarin."),
        (Request(TRANSLATE, keywords=("S7",)), "put it into English. Keywords: S7"),
        (Request(TRANSLATE, punctuated=True), "put it into English, with commas."),
    ],
)
def test_each_request_has_its_instruction(tokenizer, request_, text):
    assert written(tokenizer, request_) == text


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request(keywords=("S7",)), "cannot transcribe with keywords"),
        (Request(punctuated=True), "cannot transcribe with punctuation"),
        (Request(TRANSLATE), "cannot translate"),
    ],
)
def test_what_the_model_was_not_taught_is_refused(tokenizer, request_, words):
    with pytest.raises(RequestError, match=words):
        prompts_of(tokenizer, PLAIN).prompt(request_)


def test_keywords_and_punctuation_together_are_refused(tokenizer):
    request = Request(keywords=("S7",), punctuated=True)
    with pytest.raises(RequestError, match="with keywords and punctuation"):
        prompts_of(tokenizer).prompt(request)


def test_a_target_without_a_name_is_refused(tokenizer):
    with pytest.raises(RequestError, match="into 'ja'"):
        prompts_of(tokenizer).prompt(Request(TRANSLATE, target_language="ja"))


@pytest.mark.parametrize(("spoken", "target"), [("fr", "zh"), ("en", "en"), ("en", None)])
def test_a_pair_of_languages_that_was_not_taught_is_refused(tokenizer, spoken, target):
    request = Request(TRANSLATE, language=spoken, target_language=target)
    with pytest.raises(RequestError, match="from English, or into it"):
        prompts_of(tokenizer).prompt(request)


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        (("  Siemens \t S7\n",), ["Siemens S7"]),
        (("Kanban", "kanban", "KANBAN "), ["Kanban"]),
        (("b", "a", "b"), ["b", "a"]),
        (("", "  ", ",", "<|>"), []),
        (("Cafe\u0301", "Caf\u00e9"), ["Caf\u00e9"]),
        (("one, two",), ["one two"]),
        (("a\x00b\u200bc",), ["a b c"]),
        (("カンバン",), ["カンバン"]),
    ],
)
def test_keywords_are_brought_into_one_form(keywords, expected):
    assert normalized(keywords) == expected


@pytest.mark.parametrize("keyword", ["<|audio|>", "a<|end_of_text|>b", "{keywords}", "{0}"])
def test_a_keyword_cannot_steer_the_model(tokenizer, keyword):
    prompt = prompts_of(tokenizer).prompt(Request(keywords=(keyword,)))
    special = {tokenizer.encode(each)[0] for each in ("<|audio|>", "<|end_of_text|>")}
    assert not special & {*prompt.before, *prompt.after}


def test_keywords_that_do_not_fit_are_left_out_and_counted(tokenizer):
    keywords = tuple(f"keyword number {number}" for number in range(100))
    prompt = prompts_of(tokenizer).prompt(Request(keywords=keywords))
    assert 0 < prompt.n_keywords_left_out < 100
    assert len(prompt.after) < MAX_KEYWORD_TOKENS + 60


def test_a_request_with_nothing_but_empty_keywords_is_one_without(tokenizer):
    assert written(tokenizer, Request(keywords=(" ", ","))) == "write it down?"


@pytest.mark.parametrize(
    "template",
    [
        "USER: {instruction}",
        "<|audio|><|audio|>{instruction}",
        "<|audio|>{instructions}",
        "<|audio|>{0}",
        "<|audio|>{",
    ],
)
def test_a_manifest_with_a_bad_template_is_refused(tokenizer, template):
    with pytest.raises(BundleError, match="tiny"):
        prompts_of(tokenizer, template=Template(template, AUDIO))


def test_a_tokenizer_of_another_model_is_refused(tokenizer):
    with pytest.raises(BundleError, match="does not know <sound>"):
        prompts_of(tokenizer, template=Template("<sound>{instruction}", "<sound>"))
