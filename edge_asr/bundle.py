"""A model bundle on disk: found, verified, and what it can do.

A bundle is a directory: ``manifest.json``, the ``.onnx`` graphs, ``tokenizer.json``, the licence.
The manifest lists every file with its size and SHA-256. A damaged ONNX model mostly loads and
answers wrongly without an error, so nothing of a bundle is used before all of it was verified.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_asr.errors import BundleDamagedError, BundleError, BundleNotFoundError, RequestError
from edge_asr.manifest import (
    FORMAT,
    MANIFEST,
    SEAL,
    Capabilities,
    FileEntry,
    Manifest,
    check_plain_file,
    read_manifest,
    seal_line,
    sha256_of,
)
from edge_asr.records import Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edge_asr.records import Request

__all__ = [
    "FORMAT",
    "MANIFEST",
    "SEAL",
    "Bundle",
    "Capabilities",
    "FileEntry",
    "Manifest",
    "file_problems",
    "find_bundle",
    "list_bundles",
    "open_bundle",
    "read_manifest",
    "seal_line",
    "sha256_of",
]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle. Made by :func:`open_bundle`; one that exists can be trusted."""

    directory: Path
    manifest: Manifest
    sha256: str
    """SHA-256 of the manifest, which covers every file: the model's identity."""

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self.manifest.name

    def path(self, file_name: str) -> Path:
        """Return the path of one of its files.

        Raises:
            BundleError: the manifest lists no such file.
        """
        if file_name not in self.manifest.files:
            raise BundleError(f"bundle {self.name} has no file {file_name}")
        return self.directory / file_name

    def check(self, request: Request) -> None:
        """Check that this bundle can do what ``request`` asks.

        Raises:
            RequestError: it cannot; the message says what it can.
        """
        can = self.manifest.capabilities
        if request.task not in can.tasks:
            raise RequestError(
                f"bundle {self.name} cannot {request.task}; it can: {_listed(can.tasks)}",
            )
        self._check_languages(request)
        target = request.target_language
        if target is not None and request.task is not Task.TRANSLATE:
            raise RequestError("a target language goes with the task translate")
        if target is not None and target not in can.translation_targets:
            raise RequestError(
                f"bundle {self.name} cannot translate into '{target}'; "
                f"it can: {_listed(can.translation_targets)}",
            )
        if request.punctuated and not can.punctuation:
            raise RequestError(
                f"bundle {self.name} cannot be asked for punctuation; leave that out "
                "(--not-punctuated)",
            )
        if request.keywords and not can.keywords:
            raise RequestError(
                f"bundle {self.name} cannot use keywords; leave them out, or choose a bundle that "
                "edge-asr bundle info says takes them",
            )

    def _check_languages(self, request: Request) -> None:
        can = self.manifest.capabilities
        named = [request.language] if request.language else list(request.allowed_languages)
        if request.language is None and not can.detects_language:
            if len(can.languages) > 1:
                raise RequestError(f"bundle {self.name} cannot detect the language; name one")
            # It knows one language, and hears every utterance in it: that one must be allowed.
            named = [] if not named or set(named) & set(can.languages) else named
        for language in named:
            if language not in can.languages:
                raise RequestError(
                    f"bundle {self.name} does not know the language '{language}'; "
                    f"it knows: {_listed(can.languages)}",
                )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "nothing"


def open_bundle(directory: Path, *, family: str | None = None) -> Bundle:
    """Verify the bundle in ``directory`` and return it.

    Args:
        directory: where it is.
        family: refuse any other family.

    Raises:
        BundleNotFoundError: there is no bundle.
        BundleDamagedError: a file is missing, altered, a link, or not listed.
        BundleError: it is of another family.
    """
    manifest, digest = read_manifest(directory)
    if family is not None and manifest.family != family:
        raise BundleError(
            f"{directory}: a bundle of family {manifest.family}, where one of {family} is needed",
        )
    _refuse_unlisted(directory, manifest)
    with ThreadPoolExecutor(max_workers=2) as pool:  # hashing releases the GIL
        list(pool.map(lambda item: _verify(directory / item[0], item[1]), manifest.files.items()))
    return Bundle(directory, manifest, digest)


def file_problems(directory: Path) -> Iterator[tuple[str, BundleDamagedError | None]]:
    """Yield each file of the bundle in ``directory``, and what is wrong with it.

    Raises:
        BundleNotFoundError: there is no bundle.
        BundleDamagedError: its manifest cannot be trusted.
    """
    manifest, _ = read_manifest(directory)
    yield MANIFEST, None
    for name, entry in manifest.files.items():
        try:
            _verify(directory / name, entry)
        except BundleDamagedError as error:
            yield name, error
        else:
            yield name, None
    for name in _unlisted(directory, manifest):
        yield name, _not_listed(directory / name)


def _refuse_unlisted(directory: Path, manifest: Manifest) -> None:
    if extra := _unlisted(directory, manifest):
        raise _not_listed(directory / extra[0])


def _unlisted(directory: Path, manifest: Manifest) -> list[str]:
    listed = {MANIFEST, SEAL, *manifest.files}
    return sorted(entry.name for entry in directory.iterdir() if entry.name not in listed)


def _not_listed(path: Path) -> BundleDamagedError:
    return BundleDamagedError(f"{path}: not listed in the manifest; remove it")


def _verify(path: Path, entry: FileEntry) -> None:
    check_plain_file(path)
    if path.stat().st_size != entry.size:
        raise BundleDamagedError(
            f"{path}: {path.stat().st_size} bytes, where the manifest says {entry.size}; "
            "export or copy the bundle again",
        )
    if sha256_of(path) != entry.sha256:
        raise BundleDamagedError(
            f"{path}: does not match its checksum; export or copy the bundle again",
        )


def find_bundle(name: str, search: Iterable[Path]) -> Path:
    """Return the directory of the bundle called ``name``.

    Args:
        name: a bundle's name, or the path of a bundle's directory (with a slash, or ``.``).
        search: directories that hold bundles, in order.

    Raises:
        BundleNotFoundError: there is none; the message lists those that exist.
    """
    if os.sep in name or name in {".", ".."}:
        return Path(name)
    places = list(search)
    for place in places:
        if os.path.isfile(place / name / MANIFEST):  # noqa: PTH113 (False without permission)
            return place / name
    there = sorted({path.name for path in list_bundles(places)})
    raise BundleNotFoundError(
        f"no bundle '{name}' in {_listed([str(place) for place in places])}; "
        f"there: {_listed(there)}. Make one with: python -m export {name}",
    )


def list_bundles(search: Iterable[Path]) -> list[Path]:
    """Return the directories of all bundles in ``search``, sorted by name within each."""
    return [
        entry.parent
        for place in search
        if os.path.isdir(place)  # noqa: PTH112 (False without permission)
        for entry in sorted(place.glob(f"*/{MANIFEST}"))
    ]
