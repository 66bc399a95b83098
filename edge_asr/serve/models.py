"""The models that files can be transcribed with: the speech bundles of this device."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from edge_asr.bundle import find_bundle, list_bundles, read_manifest
from edge_asr.errors import BundleError
from edge_asr.records import SPEECH_TASKS
from edge_asr.serve.asked import Asked
from edge_asr.serve.problems import NOT_FOUND, ProblemError
from edge_asr.serve.site import site_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from edge_asr.manifest import Manifest

ALIASES = ("whisper-1", "default")
"""Names of the bundle that recognizes, for programs that know no other."""


@dataclass(frozen=True, slots=True)
class Model:
    """A speech bundle; its files are verified when it is loaded."""

    directory: Path
    manifest: Manifest

    @property
    def fields(self) -> dict[str, Any]:
        """It as OpenAI's clients read it, and what it can do."""
        can = self.manifest.capabilities
        return {
            "id": self.manifest.name,
            "object": "model",
            "created": round(dt.datetime.fromisoformat(self.manifest.created_utc).timestamp()),
            "owned_by": "edge-asr",
            "family": self.manifest.family,
            "tasks": [task.value for task in can.tasks],
            "languages": can.languages,
            "translation_targets": can.translation_targets,
            "keywords": can.keywords,
            "timestamps": can.timestamps,
        }


class Models:
    """Looks them up.

    Args:
        bundle_dirs: where bundles are, in order.
        default: name or directory of the one that recognizes.
        vad: name or directory of the bundle that tells speech from silence.
    """

    def __init__(self, bundle_dirs: Sequence[Path], default: str, vad: str) -> None:
        self._bundle_dirs = bundle_dirs
        self._default = default
        self._vad = vad

    def all(self) -> dict[str, Model]:
        """Return every speech bundle by its name, the one that recognizes first."""
        found: dict[str, Model] = {}
        for directory in (*self._default_directory(), *list_bundles(self._bundle_dirs)):
            try:
                manifest, _ = read_manifest(directory)
            except BundleError:
                continue  # edge-asr bundle verify tells of it
            if set(SPEECH_TASKS) & set(manifest.capabilities.tasks):
                found.setdefault(manifest.name, Model(directory, manifest))
        return found

    def find(self, name: str) -> Model:
        """Return one of them.

        Raises:
            ProblemError: there is none of that name.
        """
        there = self.all()
        if name in ALIASES and there:
            return next(iter(there.values()))
        if name not in there:
            sentence = f"no model '{name[:64]}'; there: {', '.join(there) or 'none'}"
            raise ProblemError(NOT_FOUND, sentence, "model", "model_not_found")
        return there[name]

    def vad_directory(self) -> Path:
        """Return where the bundle is that tells speech from silence.

        Raises:
            BundleNotFoundError: there is none.
        """
        return find_bundle(self._vad, self._bundle_dirs)

    def _default_directory(self) -> list[Path]:
        try:
            return [find_bundle(self._default, self._bundle_dirs)]
        except BundleError:
            return []


async def models(request: Request) -> Response:
    """Answer with all of them."""
    Asked(request, ())
    found = await asyncio.to_thread(site_of(request).models.all)
    return JSONResponse({"object": "list", "data": [model.fields for model in found.values()]})


async def one_model(request: Request) -> Response:
    """Answer with one of them."""
    Asked(request, ())
    find, name = site_of(request).models.find, request.path_params["model"]
    return JSONResponse((await asyncio.to_thread(find, name)).fields)
