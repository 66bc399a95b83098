"""The benchmark's figures as a drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Curves = dict[str, list[tuple[float, float]]]


def draw(path: Path, panels: Mapping[str, Curves]) -> None:
    """Draw panels side by side: seconds that sound took over seconds of sound, both logarithmic.

    Args:
        path: of the SVG.
        panels: titles and curves; empty ones are left out.
    """
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "edge-asr"  # the same figures give the same file
    from matplotlib import pyplot as plt

    shown = {title: curves for title, curves in panels.items() if curves}
    figure, axes = plt.subplots(1, len(shown), figsize=(5.5 * len(shown), 4.2), squeeze=False)
    for axis, (title, curves) in zip(axes[0], shown.items(), strict=True):
        for name, points in curves.items():
            axis.plot(*_columns(points), marker="o", markersize=3, linewidth=1.2, label=name)
        axis.set(xscale="log", yscale="log", title=title)
        axis.set(xlabel="seconds of sound", ylabel="seconds until the text is there")
        axis.grid(visible=True, which="both", linewidth=0.3)
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    ordered = sorted(points)
    return [x for x, _ in ordered], [y for _, y in ordered]
