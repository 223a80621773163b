"""From marks to figures: the score at which whole scans have a set rate of false marks, and what is found at it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from training.evaluation.detection_targets import Kind
from training.evaluation.report import CaseScores, Curve, Metric

RATES = (0.125, 0.25, 0.5, 1, 2, 4, 8)
"""False marks per scan of the LUNA16 challenge (Setio et al. 2017, Med Image Anal 42:1)."""
SHAM_RATE = 100.0
"""Marks per scan in plain lungs at which shams are compared with them: at fewer nothing could be counted."""
SOLID_FROM_MM = 6.0
CHOSEN_FOR = 0.85
"""Share of inserted solid nodules of `SOLID_FROM_MM` or more that a threshold is chosen for."""
_LEAST = 1e-6  # where nothing is marked the score is 0

METRICS = (
    Metric(name="inserted_at_1", title="Inserted nodules found at 1 false mark per scan"),
    Metric(name="inserted_solid_at_1", title="Inserted solid nodules of 6 mm or more found at 1 false mark per scan"),
    Metric(name="inserted_chosen", title="Inserted nodules found at the chosen threshold"),
    Metric(name="nodules_at_1", title="Nodules of whole scans found at 1 false mark per scan", interval="share"),
    Metric(name="nodules_at_4", title="Nodules of whole scans found at 4 false marks per scan", interval="share"),
    Metric(name="nodules_chosen", title="Nodules of whole scans found at the chosen threshold", interval="share"),
    Metric(name="tumours_at_1", title="Tumours of whole scans found at 1 false mark per scan", interval="share"),
    Metric(name="tumours_chosen", title="Tumours of whole scans found at the chosen threshold", interval="share"),
    Metric(
        name="false_marks_chosen",
        title="False marks per scan at the chosen threshold",
        unit="marks",
        higher_is_better=False,
        interval="count",
    ),
    Metric(
        name="shams_marked",
        title="Marks on inserted healthy lung, times as often as on any lung",
        unit="times",
        higher_is_better=False,
        interval="count",
        over="lung_marked",
    ),
    Metric(
        name="clean_shams_marked",
        title="The same, where the seam cuts neither vessel nor wall",
        unit="times",
        higher_is_better=False,
        interval="count",
        over="clean_lung_marked",
    ),
)


@dataclass(frozen=True, eq=False)
class Answered:
    """A target as it was answered; fields as of `training.evaluation.detection_targets.Target`.

    Parameters
    ----------
    score
        Of the highest mark on it; 0 where there is none.
    """

    name: str
    kind: Kind
    subject: str
    diameter: float
    groups: Mapping[str, str]
    score: float
    controls: NDArray[np.float64] | None = None
    reach: float = 0.0


@dataclass(frozen=True, eq=False)
class ScanFound:
    """Implements `training.evaluation.evaluator.Found`: what was said of a scan.

    Parameters
    ----------
    scan
        Name of the scan, whatever was put into it.
    subject, fold
        Patient of the scan, and the fold that the patient is in.
    chosen
        Marks of this score or more are told of when serving, as the model's specification says.
    marks
        [n, 4]: x, y, z (LPS, mm) and score of all marks of a scan as it is; None where something was put into it.
    false
        Scores of those that are on nothing known; None where not all nodules are known.
    failure
        As the protocol says.
    """

    case: str
    scan: str
    subject: str
    fold: int
    chosen: float
    targets: tuple[Answered, ...]
    marks: NDArray[np.float64] | None = None
    false: tuple[float, ...] | None = None
    failure: str = ""


def threshold_at(false: Sequence[Sequence[float]], rate: float) -> float:
    """Marks above this score are as many as ``rate`` false ones per scan, or fewer.

    Parameters
    ----------
    false
        Of each scan, the scores of its false marks.
    """
    scores = sorted((score for scan in false for score in scan), reverse=True)
    allowed = int(rate * len(false) + 1e-9)
    return scores[allowed] if allowed < len(scores) else 0.0


def choose_threshold(targets: Iterable[Answered]) -> float | None:
    """The highest score that `CHOSEN_FOR` of the inserted solid nodules reach; None where there is none.

    No scan's own nodules, and no mark on anything else, have a part in it.
    """
    scores = sorted((t.score for t in targets if t.kind == "inserted" and is_solid(t)), reverse=True)
    return scores[math.ceil(CHOSEN_FOR * len(scores) - 1e-9) - 1] if scores else None


def chosen_thresholds(found: Sequence[ScanFound]) -> dict[int, float]:
    """By fold, the threshold that is chosen on the other folds; of a single one what the specification says."""
    folds = {scan.fold for scan in found}
    chosen = {scan.fold: scan.chosen for scan in found}
    if len(folds) > 1:
        for fold in folds:
            others = choose_threshold(t for scan in found if scan.fold != fold for t in scan.targets)
            chosen[fold] = chosen[fold] if others is None else others
    return chosen


def pool(found: Sequence[ScanFound]) -> tuple[CaseScores, ...]:
    """A case for each target, and one for each scan."""
    false = [scan.false for scan in found if scan.false is not None]
    at = {rate: threshold_at(false, rate) for rate in (1, 4)}
    chosen, sham = chosen_thresholds(found), _Shams(found)
    cases: list[CaseScores] = []
    for scan in found:
        least = max(chosen[scan.fold], _LEAST)
        if scan.marks is not None or scan.failure:
            told: dict[str, float | None] = {}
            if scan.false is not None:
                told["false_marks_chosen"] = float(sum(score >= least for score in scan.false))
            elif scan.marks is None:  # not read: the score is missing; where nobody searched there is none
                told["false_marks_chosen"] = None
            failure = scan.failure or "; ".join(
                f"{t.kind} of {t.diameter:.0f} mm not marked ({t.score:.2f})"
                for t in scan.targets
                if t.kind in ("nodule", "tumour") and t.score < least
            )
            cases.append(_case(scan.case, scan.subject, told, failure=failure))
        for target in scan.targets:
            hits = {f"at_{rate}": float(target.score > score) for rate, score in at.items()}
            hits["chosen"] = float(target.score >= least)
            if target.kind == "inserted":
                scores = {"inserted_at_1": hits["at_1"], "inserted_chosen": hits["chosen"]}
                if is_solid(target):
                    scores["inserted_solid_at_1"] = hits["at_1"]
            elif target.kind == "nodule":
                scores = {f"nodules_{when}": hit for when, hit in hits.items()}
            elif target.kind == "tumour":
                scores = {f"tumours_{when}": hits[when] for when in ("at_1", "chosen")}
            elif target.kind == "sham":
                scores = sham.scores(scan.scan, target)
            else:
                continue
            groups = {} if target.kind == "sham" else target.groups
            cases.append(_case(target.name, target.subject, scores, groups=groups))
    return tuple(cases)


def curves(found: Sequence[ScanFound]) -> tuple[Curve, ...]:
    """FROC: the share found against the false marks per scan, of nodules of whole scans and of inserted ones."""
    false = [scan.false for scan in found if scan.false is not None]
    if not false:
        return ()
    targets = [target for scan in found for target in scan.targets]
    sets = {
        "whole scans: nodules of three readers or more": [t for t in targets if t.kind == "nodule"],
        "inserted: solid, 6 mm or more": [t for t in targets if t.kind == "inserted" and is_solid(t)],
        "inserted: all": [t for t in targets if t.kind == "inserted"],
    }
    steps = sorted({n / len(false) for n in range(8 * len(false) + 1)} | set(RATES))
    return tuple(
        Curve(
            name=name,
            x="false marks per scan",
            y="share found",
            points=tuple((rate, _share(some, threshold_at(false, rate))) for rate in steps),
        )
        for name, some in sets.items()
        if some
    )


def is_solid(target: Answered) -> bool:
    """A solid nodule that a guideline would act on."""
    return target.groups.get("density") == "solid" and target.diameter >= SOLID_FROM_MM


class _Shams:
    """How often lung is marked that nothing was put into, at places where a sham might have been."""

    def __init__(self, found: Sequence[ScanFound]) -> None:
        plain = {scan.scan: scan.marks for scan in found if scan.marks is not None}
        scores = sorted((s for marks in plain.values() for s in marks[:, 3]), reverse=True)
        most = int(SHAM_RATE * len(plain))
        self._least = scores[most] if most < len(scores) else 0.0
        self._trees = {
            name: cKDTree(above[:, :3]) if len(above := marks[marks[:, 3] > self._least]) else None
            for name, marks in plain.items()
        }

    def scores(self, scan: str, sham: Answered) -> dict[str, float]:
        """Whether a sham is marked, and the share of its controls that are."""
        if scan not in self._trees or sham.controls is None or not len(sham.controls):
            return {}
        tree, reach = self._trees[scan], sham.reach
        marked = tree.query(sham.controls, distance_upper_bound=reach)[0] <= reach if tree else np.zeros(1)
        scores = {"shams_marked": float(sham.score > self._least), "lung_marked": float(np.mean(marked))}
        if sham.groups.get("seam") == "clean":
            scores |= {f"clean_{name}": score for name, score in scores.items()}
        return scores


def _share(targets: Sequence[Answered], threshold: float) -> float:
    return sum(target.score > threshold for target in targets) / len(targets)


def _case(
    name: str,
    subject: str,
    scores: Mapping[str, float | None],
    *,
    groups: Mapping[str, str] | None = None,
    failure: str = "",
) -> CaseScores:
    nothing: dict[str, float | None] = {metric.name: None for metric in METRICS}
    return CaseScores(
        case=name,
        subject=subject,
        scores=nothing | dict(scores),
        groups=groups or {},
        failure=failure,
        undefined=tuple(name for name in nothing if name not in scores),
    )
