"""Trains an adapter for short windows: ``python -m export adapt``."""

from __future__ import annotations

import itertools
import random
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
from transformers.utils import logging as transformers_logging

from edge_asr.recognizers.tokenizer import Tokenizer
from edge_asr.sessions import default_threads
from export.errors import RecipeError, SampleError
from export.source import find_weights
from export.whisper_distil import Student, Teacher, train
from export.whisper_exam import Exam
from export.whisper_onnx import load_whisper
from export.whisper_pieces import cut_pieces, find_recordings
from export.whisper_weights import whisper_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from export.progress import Reporter
    from export.recipe import Recipe
    from export.whisper_pieces import Piece, Recording

T = TypeVar("T")
_KEPT_ASIDE = 6
"""Every sixth recording is not learnt from."""
_TOLD_EVERY = 50


@dataclass(frozen=True, slots=True)
class LessonPlan:
    """How an adapter is trained."""

    rank: int
    n_steps: int
    n_pieces: int
    margin: int
    """Frames of 20 ms behind an utterance, for the bundles that are made with it."""
    seed: int


def adapt_whisper(
    recipe: Recipe,
    named: str | None,
    folders: Sequence[Path],
    out: Path,
    plan: LessonPlan,
    work: Path,
    reporter: Reporter,
) -> None:
    """Train an adapter for a recipe's weights and write it to ``out``.

    Raises:
        RecipeError: the recipe is of another family.
        SourceError: the weights cannot be had.
        SampleError: there is too little speech, or it cannot be read.
    """
    if recipe.family != "whisper":
        raise RecipeError(f"recipe {recipe.name}: only the family whisper has a window to shorten")
    transformers_logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    torch.set_num_threads(default_threads())
    torch.manual_seed(plan.seed)
    weights = find_weights(recipe, named, work)
    checkpoint = whisper_checkpoint(weights, work / recipe.name, reporter)
    model = load_whisper(checkpoint)
    languages = None if model.generation_config.is_multilingual else {"en"}
    aside, taught = _split(_gather(folders, languages, plan.seed))
    pieces = _pieces(taught, plan.n_pieces, plan.seed)
    asked = _pieces(aside, plan.n_pieces // _KEPT_ASIDE, plan.seed)
    with reporter.step(f"hear {len(pieces) + len(asked)} pieces in the full window"):
        teacher = Teacher(model)
        lessons = list(teacher.teach(reporter.track(pieces, "teacher")))
        lessons_aside = list(teacher.teach(reporter.track(asked, "teacher")))
    if not lessons or not lessons_aside:
        raise SampleError(f"{folders[0]}: too little speech to learn from")
    student = Student(model, rank=plan.rank)
    tokenizer = Tokenizer(checkpoint / "tokenizer.json")
    with reporter.step("ask the published weights in short windows"):
        exam = Exam(lessons_aside, tokenizer)
        before = exam.take(student)
    with reporter.step(f"train {plan.n_steps} steps"):
        observe = _told(plan.n_steps, reporter)
        train(student, lessons, n_steps=plan.n_steps, seed=plan.seed, observe=observe)
    with reporter.step("ask again"):
        after = exam.take(student)
    report = list(exam.lines(before, after))
    for line in report:
        reporter.say(line)
    facts = {
        "model": recipe.name,
        "weights": weights.key,
        "margin": plan.margin,
        "rank": plan.rank,
        "steps": plan.n_steps,
        "seed": plan.seed,
        "speech": f"{len(lessons)} pieces of {', '.join(folder.name for folder in folders)}",
        "report": "\n".join(report),
    }
    student.adapter.save(out, {name: str(value) for name, value in facts.items()})
    reporter.say(f"{out}: written, {out.stat().st_size / 1e6:.1f} MB")


def _gather(folders: Sequence[Path], languages: set[str] | None, seed: int) -> list[Recording]:
    """Return the recordings in languages that the model knows, one folder's after the other's."""
    chance = random.Random(seed)  # noqa: S311 (not for secrets)
    by_folder = []
    for folder in folders:
        found = [
            each
            for each in find_recordings(folder)
            if languages is None or each.language is None or each.language in languages
        ]
        chance.shuffle(found)
        by_folder.append(found)
    turns = itertools.chain.from_iterable(itertools.zip_longest(*by_folder))
    return [each for each in turns if each is not None]


def _split(recordings: Sequence[T]) -> tuple[list[T], list[T]]:
    """Return what is kept aside, and what is learnt from."""
    aside = list(recordings[::_KEPT_ASIDE])
    return aside, [each for index, each in enumerate(recordings) if index % _KEPT_ASIDE]


def _pieces(recordings: Sequence[Recording], n_most: int, seed: int) -> list[Piece]:
    return list(itertools.islice(cut_pieces(recordings, seed=seed), n_most))


def _told(n_steps: int, reporter: Reporter) -> Callable[[int, float], None]:
    """Return what tells of the training now and then."""
    losses: list[float] = []

    def observe(step: int, loss: float) -> None:
        losses.append(loss)
        if len(losses) == _TOLD_EVERY:
            mean = sum(losses) / len(losses)
            reporter.say(f"    step {step + 1} of {n_steps}: divergence {mean:.4f} nats a token")
            losses.clear()

    return observe
