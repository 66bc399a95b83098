"""Optimum's own export of a decoder-only model: one graph for prompts and single steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.errors import ExportError
from export.optimum_log import collected_complaints

if TYPE_CHECKING:
    from pathlib import Path

OPSET = 18
_TOLERANCE = 5e-3
"""Optimum validates with random tokens, which make caches of some size; the gate looks closer."""


def export_graph(checkpoint: Path, directory: Path) -> None:
    """Export the float graph; Optimum validates it against torch.

    Raises:
        ExportError: Optimum does not know the architecture, or its validation failed.
    """
    from optimum.exporters.onnx import main_export

    with collected_complaints() as complaints:
        try:
            main_export(
                str(checkpoint),
                directory,
                task="text-generation-with-past",
                opset=OPSET,
                dtype="fp32",
                device="cpu",
                atol=_TOLERANCE,
                library_name="transformers",
                local_files_only=True,
                # It would share a tied table with the output projection, by a transposition that
                # keeps the projection from being quantized.
                no_post_process=True,
            )
        except (ValueError, NotImplementedError) as error:
            raise ExportError(f"Optimum cannot export this model: {error}") from error
    if complaints:
        raise ExportError(f"Optimum's validation failed: {complaints[0]}")
