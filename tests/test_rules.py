"""Correction rules: what they replace, and what they refuse."""

import pytest

from edge_asr.config import parse_config
from edge_asr.errors import ConfigError
from edge_asr.rules import Rule, Rules


@pytest.mark.parametrize(
    ("rule", "text", "corrected"),
    [
        (Rule("cam ban", "Kanban"), "A Cam  ban, please.", "A Kanban, please."),
        (Rule("cam ban", "Kanban"), "webcam bandage", "webcam bandage"),
        (Rule("c++", "C"), "c++ or C++?", "C or C?"),
        (Rule("um", ""), "um stop", " stop"),
        (Rule("x", r"\1"), "x", r"\1"),
        (Rule("press", "Presse"), "press press", "Presse Presse"),
        (Rule(r"valve (\d) (\d)", r"valve \1\2", regex=True), "Valve 1 7", "valve 17"),
        (Rule(r"(a)|b", r"<\1>", regex=True), "a b", "<a> <>"),
        (Rule("größe", "Maß"), "Die GRÖSSE, die Größe", "Die GRÖSSE, die Maß"),
        (Rule("かん", "看"), "かん です", "看 です"),
    ],
)
def test_whole_words_are_replaced(rule, text, corrected):
    assert Rules((rule,)).apply(text, "en") == corrected


def test_rules_are_applied_in_order_and_in_their_language():
    rules = Rules((Rule("a", "b"), Rule("b", "c"), Rule("c", "d", language="de")))

    assert rules.apply("a", "en") == "c"
    assert rules.apply("a", "de") == "d"


def test_other_rules_have_another_identity():
    some = [Rule("a", "b"), Rule("a", "b", "de"), Rule("a", "b", regex=True), Rule("b", "a")]

    assert len({Rules((rule,)).sha256 for rule in some}) == len(some)
    assert Rules((some[0],)).sha256 == Rules((Rule("a", "b"),)).sha256


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("{replacement: x}", r"corrections\[1\]: a correction needs a pattern"),
        ("{pattern: '(', regex: true}", r"line 3.*corrections\[1\]"),
        (r"{pattern: a, replacement: '\1', regex: true}", "invalid group reference"),
        ("{pattern: 'a*', regex: true}", "matches where nothing is"),
        ("{patern: a}", "did you mean 'pattern'"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_with_its_place(written, complaint):
    with pytest.raises(ConfigError, match=complaint):
        parse_config(f"corrections:\n  - {{pattern: b}}\n  - {written}\n")
