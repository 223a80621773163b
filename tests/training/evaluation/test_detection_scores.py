"""Thresholds from false marks, what is found at them, and shams against plain lung: on made-up marks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from training.evaluation.detection_scores import (
    METRICS,
    Answered,
    ScanFound,
    choose_threshold,
    chosen_thresholds,
    curves,
    pool,
    threshold_at,
)
from training.evaluation.figures import figures


def target(name: str, score: float, kind: str = "nodule", diameter: float = 8.0, **more: Any) -> Answered:
    return Answered(name, kind, more.pop("subject", name), diameter, more.pop("groups", {}), score, **more)  # type: ignore[arg-type]


def plain(
    name: str, targets: list[Answered], false: list[float] | None, failure: str = "", fold: int = 0
) -> ScanFound:
    marks = np.array([(10.0 * n, 0.0, 0.0, s) for n, s in enumerate(false or [])]).reshape(-1, 4)
    told = None if false is None else tuple(false)
    return ScanFound(name, name, f"patient of {name}", fold, 0.7, tuple(targets), marks, told, failure)


def composed(scan: str, targets: list[Answered], fold: int = 0) -> ScanFound:
    return ScanFound(f"{scan} with nodules 01", scan, scan, fold, 0.7, tuple(targets))


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(0.0, 0.9), (0.5, 0.8), (1.0, 0.7), (1.5, 0.6), (2.0, 0.0), (8.0, 0.0)],
)
def test_the_threshold_lets_pass_no_more_false_marks_than_asked_for(rate: float, expected: float) -> None:
    false = [(0.9, 0.7, 0.6), (0.8,)]
    found = threshold_at(false, rate)
    assert found == expected and sum(s > found for scan in false for s in scan) <= 2 * rate


def test_equal_scores_pass_together_or_not_at_all() -> None:
    assert threshold_at([(0.5, 0.5), (0.5,)], 1.0) == 0.5


def test_every_target_is_a_case_and_stands_where_it_belongs() -> None:
    solid = {"density": "solid"}
    found = [
        plain("a", [target("a 1", 0.65), target("a 2", 0.2, "unsure")], [0.9, 0.7, 0.3], failure="told"),
        plain("b", [target("b 1", 0.95), target("b 2", 0.75)], [0.6]),
        plain("q", [target("q 1", 0.8, "tumour")], None),
        composed(
            "a", [target("n1", 0.8, "inserted", groups=solid), target("n2", 0.5, "inserted", 5.9, groups=solid)]
        ),
        composed("b", [target("n3", 0.9, "inserted", groups={"density": "non-solid"})]),
    ]
    cases = {case.case: case for case in pool(found)}
    assert set(cases) == {"a", "b", "q", "a 1", "b 1", "b 2", "q 1", "n1", "n2", "n3"}
    # two scans: at 1 false mark a scan two may pass, so marks must exceed 0.6
    assert [cases[n].scores["nodules_at_1"] for n in ("a 1", "b 1", "b 2")] == [1, 1, 1]
    assert [cases[n].scores["nodules_chosen"] for n in ("a 1", "b 1", "b 2")] == [0, 1, 1]
    assert cases["a"].scores["false_marks_chosen"] == 2 and cases["b"].scores["false_marks_chosen"] == 0
    assert cases["q"].scores["false_marks_chosen"] is None and cases["q 1"].scores["tumours_at_1"] == 1
    assert "false_marks_chosen" in cases["q"].undefined and "inserted_at_1" not in cases["n1"].undefined
    unread = pool([replace(found[0], marks=None, false=None, failure="not read"), *found[1:]])[0]
    assert unread.scores["false_marks_chosen"] is None and "false_marks_chosen" not in unread.undefined
    assert [cases[n].scores["inserted_at_1"] for n in ("n1", "n2", "n3")] == [1, 0, 1]
    assert [cases[n].scores["inserted_solid_at_1"] for n in ("n1", "n2", "n3")] == [1, None, None]
    assert cases["a"].failure == "told" and not cases["b"].failure and not cases["q"].failure
    summed = figures(list(cases.values()), METRICS, confidence=0.95, resamples=100)
    assert summed["nodules_chosen"].value == pytest.approx(2 / 3) and summed["false_marks_chosen"].value == 1
    assert summed["inserted_at_1"].value == pytest.approx(2 / 3) and summed["tumours_chosen"].value == 1
    assert summed["shams_marked"].value is None


def test_a_fold_is_judged_at_the_threshold_of_the_others() -> None:
    """Of twenty solid nodules 85 % are to be found; small and faint ones, and the whole scans', have no say."""
    solid = {"density": "solid"}

    def twenty(scan: str, fold: int, scores: list[float]) -> list[ScanFound]:
        put = [target(f"{scan} {n}", score, "inserted", groups=solid) for n, score in enumerate(scores)]
        put.append(target(f"{scan} faint", 0.01, "inserted", groups={"density": "non-solid"}))
        put.append(target(f"{scan} small", 0.01, "inserted", 5.0, groups=solid))
        return [composed(scan, put, fold), plain(scan, [target(f"whole {scan}", 0.5)], [0.45, 0.3], fold=fold)]

    found = twenty("a", 0, [0.2] * 3 + [0.4] * 17) + twenty("b", 1, [0.1] * 3 + [0.6] * 17)
    assert chosen_thresholds(found) == {0: 0.6, 1: 0.4}
    cases = {case.case: case for case in pool(found)}
    assert (cases["whole a"].scores["nodules_chosen"], cases["whole b"].scores["nodules_chosen"]) == (0, 1)
    assert (cases["a"].scores["false_marks_chosen"], cases["b"].scores["false_marks_chosen"]) == (0, 1)
    assert cases["a"].failure == "nodule of 8 mm not marked (0.50)" and not cases["b"].failure
    assert chosen_thresholds(found[:2]) == {0: 0.7}
    assert choose_threshold([]) is None


def test_what_is_not_marked_at_all_is_never_found() -> None:
    found = [plain("a", [target("a 1", 0.0)], []), composed("a", [target("n", 0.0, "inserted")])]
    found = [replace(scan, chosen=0.0) for scan in found]
    assert [case.scores["inserted_chosen"] for case in pool(found)][-1] == 0
    assert pool(found)[0].failure == "nodule of 8 mm not marked (0.00)"


def test_the_curve_rises_with_false_marks_and_ends_where_all_marks_count() -> None:
    found = [
        plain("a", [target("a 1", 0.65), target("a 2", 0.0)], [0.9, 0.7, 0.3]),
        plain("b", [target("b 1", 0.95)], []),
    ]
    (curve,) = curves(found)
    at = dict(curve.points)
    assert (at[0.125], at[0.5], at[1.0], at[8.0]) == pytest.approx((1 / 3, 1 / 3, 2 / 3, 2 / 3))
    assert [y for _, y in curve.points] == sorted(y for _, y in curve.points)
    assert curves([composed("a", [])]) == ()


def test_shams_are_compared_with_the_same_lungs_plain_marks() -> None:
    """Marks lie every 10 mm; half the controls lie on one."""
    controls = np.array([(0.0, 1.0, 0.0), (10.0, 0.0, 1.0), (5.0, 0.0, 0.0), (15.0, 0.0, 0.0)])
    shams = [
        target(
            f"s{n}",
            0.3 if n < 3 else 0.0,
            "sham",
            controls=controls,
            reach=2.0,
            subject=f"p{n}",
            groups={"seam": "crossed" if n < 2 else "clean"},
        )
        for n in range(4)
    ]
    found = [plain("a", [], [0.5] * 3), composed("a", shams)]
    cases = pool(found)
    figure = figures(cases, METRICS, confidence=0.95)["shams_marked"]
    assert figure.value == pytest.approx(3 / 2) and figure.cases == 4
    assert figure.low < 1 < figure.high
    clean = figures(cases, METRICS, confidence=0.95)["clean_shams_marked"]
    assert clean.value == pytest.approx(1 / 1) and clean.cases == 2
    assert not any(case.groups for case in cases)
