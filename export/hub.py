"""Checkpoints from the Hugging Face hub. export's one door to huggingface_hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def download(repo: str, revision: str | None, patterns: Sequence[str], directory: Path) -> str:
    """Bring a repository's files to ``directory``; those that are there already are kept.

    Args:
        repo: ``organisation/name``.
        revision: a commit; None: the newest.
        patterns: of the files' names.
        directory: where they go. An interrupted download goes on where it stopped.

    Returns:
        The hash of the commit they are from.

    Raises:
        SourceError: the hub cannot be reached, or does not have them.
    """
    import requests  # what the library's own errors are made of
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        commit = HfApi().model_info(repo, revision=revision).sha
        snapshot_download(repo, revision=commit, allow_patterns=list(patterns), local_dir=directory)
    except (
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        requests.RequestException,
        OSError,
    ) as error:
        raise SourceError(
            f"{repo} cannot be fetched from the hub; connect to the internet, or name a "
            f"folder with --from ({' '.join(str(error).split())[:200]})",
        ) from error
    return str(commit)
