"""Results of files: printed as they come, or written beside their names in a folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from edge_asr.formats import FORMATS, as_timed_txt

if TYPE_CHECKING:
    from pathlib import Path

    from edge_asr.formats import FileTranscript


class Shown:
    """Prints results as they come, or writes each beside its name in a folder."""

    def __init__(
        self, output: str, output_dir: Path | None, *, n_files: int, by_word: bool
    ) -> None:
        self._output = output
        self._by_word = by_word and not output.startswith("json")
        self._output_dir = output_dir
        self._is_array = output == "json" and n_files > 1 and output_dir is None
        """Several JSON objects on one output are one array, or they would be no JSON."""
        self._n_shown = 0
        if output_dir is not None:
            output_dir.mkdir(parents=True, exist_ok=True)

    def add(self, path: Path, result: FileTranscript) -> None:
        """Show one file's result."""
        write = FORMATS[self._output]
        if self._by_word:
            result = result.in_words
            write = as_timed_txt if self._output == "txt" else write
        text = write(result)
        if self._output_dir is not None:
            _write(self._target(self._output_dir, path), text)
            return
        if self._is_array:
            text = (",\n" if self._n_shown else "[\n") + text.rstrip("\n")
        click.echo(text, nl=False)
        self._n_shown += 1

    def has(self, path: Path) -> bool:
        """Say whether the folder has one file's result already."""
        return self._output_dir is not None and self._target(self._output_dir, path).exists()

    def finish(self) -> None:
        """Print what must follow the last result."""
        if self._is_array:
            click.echo("\n]" if self._n_shown else "[]")

    def _target(self, directory: Path, path: Path) -> Path:
        return directory / f"{path.name}.{self._output}"


def _write(target: Path, text: str) -> None:
    """Write a file that is there whole or not at all."""
    part = target.with_name(f".{target.name}.part")
    part.write_text(text, encoding="utf-8")
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)
