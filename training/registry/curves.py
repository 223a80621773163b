"""The learning curve as a picture: losses beside scores, the best epoch marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Points = Sequence[tuple[int, float]]


def learning_curve(curves: Mapping[str, Points], best_epoch: int | None) -> Figure:
    """Two panels over the epochs: what has loss in its name, and the scores (best, dice …).

    Parameters
    ----------
    curves
        Points (epoch, value) of each metric; times and rates are left out.
    best_epoch
        Whose weights were kept; None before there is one.
    """
    losses = {name: points for name, points in curves.items() if "loss" in name}
    scores = {n: p for n, p in curves.items() if n not in losses and not n.endswith(("rate", "seconds"))}
    figure = Figure(figsize=(11, 4), layout="constrained")
    for axes, title, chosen in zip(figure.subplots(1, 2), ("Loss", "Score"), (losses, scores), strict=True):
        for name, points in chosen.items():
            axes.plot(*zip(*points, strict=True), label=name, marker="." if len(points) < 40 else "")
        if best_epoch is not None:
            axes.axvline(best_epoch, color="grey", linestyle=":", label=f"best epoch, {best_epoch}")
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small")
    return figure
