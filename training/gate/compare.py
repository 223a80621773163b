"""Two versions side by side on the same cases; it decides nothing, and never looks at a gate's cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imaging.errors import UsageError
from training.evaluation.report import Figure, Metric, Report
from training.gate.statistic import Verdict, judge


@dataclass(frozen=True)
class Comparison:
    """One metric: both versions' figures, and the first minus the second (positive: the first is better)."""

    metric: Metric
    first: Figure
    second: Figure
    verdict: Verdict


def compare(first: Report, second: Report, alpha: float = 0.025) -> Sequence[Comparison]:
    """Every metric that both have, by paired bootstrap and sign-flip test of subjects.

    Raises
    ------
    UsageError
        They aren't of the same files, or on a gate's.
    """
    if first.files != second.files:
        raise UsageError("two versions are compared on the same cases; evaluate both on the same data")
    if "gate" in (first.data, second.data):
        raise UsageError("a gate's cases are looked at by `raysight promote` only, where every look is counted")
    return [
        Comparison(
            metric,
            first.figures[metric.name],
            second.figures[metric.name],
            judge(first.cases, second.cases, metric.name, higher_is_better=metric.higher_is_better, alpha=alpha),
        )
        for metric in first.metrics
        if metric.name in second.figures
    ]
