"""Trains an adapter for short windows: ``python -m export adapt``."""

from __future__ import annotations

import itertools
import random
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
from transformers.utils import logging as transformers_logging

from edge_asr.recognizers.whisper_tokenizer import WhisperTokenizer
from edge_asr.sessions import default_threads
from export.errors import RecipeError, SampleError, SourceError
from export.whisper_distil import GENTLE_RATE, LEARNING_RATE, Student, Teacher, train
from export.whisper_exam import Exam
from export.whisper_onnx import load_whisper
from export.whisper_pieces import cut_pieces, find_recordings
from export.whisper_variations import varied
from export.whisper_weights import whisper_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from transformers import WhisperForConditionalGeneration

    from export.order import Adapter
    from export.progress import Reporter
    from export.recipe import Recipe
    from export.source import Weights
    from export.whisper_distil import Lesson
    from export.whisper_pieces import Piece, Recording

T = TypeVar("T")
_KEPT_ASIDE = 6
"""Every sixth recording is not learnt from."""
_MOST_ASKED = 120
"""Pieces that are kept aside for questions: each is heard seven times."""
_RANK = 8
"""Of an adapter that begins with nothing."""
_TOLD_EVERY = 50


@dataclass(frozen=True, slots=True)
class Training:
    """One adapter to train."""

    recipe: Recipe
    weights: Weights
    begin: Adapter | None
    """What it goes on from; None begins with nothing."""
    folders: Sequence[Path]
    """Of recordings."""
    out: Path
    work: Path
    reporter: Reporter
    rank: int | None
    """None is that of the adapter that it goes on from, else 8."""
    n_steps: int
    n_pieces: int
    margin: int
    """Frames of 20 ms behind an utterance, for the bundles that are made with it."""
    seed: int


def check_recipe(recipe: Recipe) -> None:
    """Check that there is a window to shorten.

    Raises:
        RecipeError: the recipe is of another family.
    """
    if recipe.family != "whisper":
        raise RecipeError(f"recipe {recipe.name}: only the family whisper has a window to shorten")


def adapt_whisper(training: Training) -> None:
    """Train an adapter for a recipe's weights and write it.

    Raises:
        SourceError: the weights cannot be had, or the adapter to go on from is of another rank.
        SampleError: there is too little speech, or it cannot be read.
    """
    recipe, reporter, seed = training.recipe, training.reporter, training.seed
    rank = _rank(training)
    transformers_logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    torch.set_num_threads(default_threads())
    torch.manual_seed(seed)
    checkpoint = whisper_checkpoint(training.weights, training.work / recipe.name, reporter)
    model = load_whisper(checkpoint)
    lessons, aside = _lessons(training, model)
    student = Student(model, rank=rank)
    exam = Exam(aside, WhisperTokenizer(checkpoint / "tokenizer.json"))
    with reporter.step("ask the published weights in short windows"):
        before = exam.take(student)
    if training.begin is not None:
        student.adapter.resume(training.begin.path)
    with reporter.step(f"train {training.n_steps} steps"):
        observe = _told(training.n_steps, reporter)
        rate = LEARNING_RATE if training.begin is None else GENTLE_RATE
        train(
            student,
            lessons,
            margin=training.margin,
            n_steps=training.n_steps,
            seed=seed,
            rate=rate,
            observe=observe,
        )
    with reporter.step("ask again"):
        after = exam.take(student)
    report = list(exam.lines(before, after))
    for line in report:
        reporter.say(line)
    student.adapter.save(training.out, _facts(training, rank, len(lessons), report))
    reporter.say(f"{training.out}: written, {training.out.stat().st_size / 1e6:.1f} MB")


def _rank(training: Training) -> int:
    """Return the width of what is trained.

    Raises:
        SourceError: the adapter to go on from has another than what is asked for.
    """
    begin = training.begin
    if begin is None:
        return training.rank or _RANK
    begun = int(begin.record.get("rank", _RANK))
    if training.rank not in {None, begun}:
        raise SourceError(f"{begin.path}: its rank is {begun}; leave out --rank, or begin --anew")
    return begun


def _lessons(
    training: Training, model: WhisperForConditionalGeneration
) -> tuple[list[Lesson], list[Lesson]]:
    """Return what is learnt, and what is only asked.

    Raises:
        SampleError: there is too little speech, or it cannot be read.
    """
    seed, reporter = training.seed, training.reporter
    languages = None if model.generation_config.is_multilingual else {"en"}
    splits = [_split(_gather(folder, languages, seed)) for folder in training.folders]
    n_each = -(-training.n_pieces // len(splits))
    pieces = [piece for _, taught in splits for piece in _pieces(taught, n_each, seed)]
    asked = _in_turns([cut_pieces(aside, seed=seed) for aside, _ in splits], _MOST_ASKED)
    with reporter.step(f"hear {len(pieces) + len(asked)} pieces in the full window"):
        teacher = Teacher(model)
        lessons = list(teacher.teach(reporter.track(pieces, "teacher")))
        lessons_aside = list(teacher.teach(reporter.track(asked, "teacher")))
    if not lessons or not lessons_aside:
        raise SampleError(f"{training.folders[0]}: too little speech to learn from")
    return lessons, lessons_aside


def _facts(training: Training, rank: int, n_lessons: int, report: Sequence[str]) -> dict[str, str]:
    """Return how an adapter was made, for its header."""
    begin = training.begin
    begun = {} if begin is None else {"begun_with": begin.sha256}
    facts = {
        "model": training.recipe.name,
        "weights": training.weights.key,
        "margin": training.margin,
        "rank": rank,
        "steps": training.n_steps,
        "seed": training.seed,
        "speech": f"{n_lessons} pieces of {', '.join(each.name for each in training.folders)}",
        "report": "\n".join(report),
    }
    return {name: str(value) for name, value in (facts | begun).items()}


def _gather(folder: Path, languages: set[str] | None, seed: int) -> list[Recording]:
    """Return the recordings in languages that the model knows."""
    chance = random.Random(seed)  # noqa: S311 (not for secrets)
    found = [
        each
        for each in find_recordings(folder)
        if languages is None or each.language is None or each.language in languages
    ]
    chance.shuffle(found)
    return found


def _split(recordings: Sequence[T]) -> tuple[list[T], list[T]]:
    """Return what is kept aside, and what is learnt from."""
    aside = list(recordings[::_KEPT_ASIDE])
    return aside, [each for index, each in enumerate(recordings) if index % _KEPT_ASIDE]


def _pieces(recordings: Sequence[Recording], n_most: int, seed: int) -> list[Piece]:
    """Return as many pieces: two thirds at most as they are, the others varied."""
    plain = list(itertools.islice(cut_pieces(recordings, seed=seed), 2 * n_most // 3))
    return [*plain, *itertools.islice(varied(plain, seed=seed), n_most - len(plain))]


def _in_turns(iterators: Sequence[Iterator[T]], n_most: int) -> list[T]:
    """Return one of each, then the next of each, and so on."""
    turns = itertools.chain.from_iterable(itertools.zip_longest(*iterators))
    return list(itertools.islice((each for each in turns if each is not None), n_most))


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
