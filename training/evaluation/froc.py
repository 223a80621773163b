"""The free-response curve of a detector as a picture (FROC): the share found against false marks per scan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from imaging.errors import StorageError
from training.evaluation.report import Curve

_RATES = (0.125, 0.25, 0.5, 1, 2, 4, 8)


def draw_froc(curves: Sequence[Curve], path: Path) -> None:
    """Write a PNG; false marks run in doublings. StorageError when it can't be written."""
    figure = Figure(figsize=(6.5, 4.5), layout="constrained")
    axes = figure.subplots()
    for curve in curves:
        points = [(x, y) for x, y in curve.points if x >= _RATES[0]]
        axes.plot(*zip(*points, strict=True), label=curve.name, drawstyle="steps-post")
    axes.set_xscale("log", base=2)
    axes.set_xticks(_RATES, [f"{rate:g}" for rate in _RATES])
    axes.set(xlabel=curves[0].x, ylabel=curves[0].y, ylim=(0, 1.02), xlim=(_RATES[0], _RATES[-1]))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="lower right")
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise StorageError(f"{path} can't be written: {error.strerror or error}") from None
