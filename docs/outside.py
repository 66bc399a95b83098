"""Pages link to files of the project that are no pages: the site carries those along."""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import normpath
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

_CARRIED = "project/"
"""Where they are on the site."""
_LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add every file outside of the documentation that a page links to."""
    docs = Path(config.docs_dir)
    for page in [file for file in files if file.is_documentation_page()]:
        text = page.content_string
        for target, _ in _LINK.findall(text):
            inside = _outside(page.src_uri, target)
            if inside is None or files.get_file_from_path(_CARRIED + inside + ".txt"):
                continue
            content = (docs.parent / inside).read_text(encoding="utf-8")
            files.append(File.generated(config, _CARRIED + inside + ".txt", content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Let links to those files lead to what the site carries."""

    def led(found: re.Match[str]) -> str:
        inside = _outside(page.file.src_uri, found[1])
        if inside is None:
            return found[0]
        up = "../" * page.file.src_uri.count("/")
        return f"]({up}{_CARRIED}{inside}.txt)"

    return _LINK.sub(led, markdown)


def _outside(page: str, target: str) -> str | None:
    """Return the path in the project of what a page links to, if it is outside of docs."""
    path = normpath(f"docs/{page}/../{target}")
    return None if path.startswith("docs/") else path
