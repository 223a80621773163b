"""What is coded of a nodule, what is only said, and what is never written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from imaging import codes
from imaging.reading import ModelIdentity
from pipelines.lung_nodule.compare import Past
from pipelines.lung_nodule.followup.change import follow
from pipelines.lung_nodule.followup.pairing import Fate
from pipelines.lung_nodule.guidelines.facts import Change, Comparison, Density, Examination, NoduleFacts
from pipelines.lung_nodule.guidelines.growth import Measured
from pipelines.lung_nodule.judge import Judged, judge
from pipelines.lung_nodule.locate import Place
from pipelines.lung_nodule.nodule import Mark, Nodule

BY = ModelIdentity("rules", "1", "0" * 64)
PLACE = Place(
    codes.RIGHT, codes.UPPER_ZONE, codes.UPPER_LOBE, 0.95, upper_lobe=True, pleura_mm=12.0, at_pleura=False,
    attached=0.0, at_vessel=False, slice_number=1, instance_number=1, centre=(0.0, 0.0, 0.0), words="",
)  # fmt: skip
SCREENING = Examination(
    screening=True, evidence="LUNG SCREENING", age=65.0, sex="F", thickness_mm=1.0, whole_lung=True, nodules=1,
    subsolid_nodules=0, family_history=False, emphysema=True,
)  # fmt: skip
INCIDENTAL = replace(SCREENING, screening=False, known_cancer=False, immunosuppression=False)
SOLID = NoduleFacts(
    density=Density.SOLID, mean_any_plane_mm=8.2, mean_largest_image_mm=8.2, maximum_mm=9.0, longest_axial_mm=8.8,
    volume_mm3=290.0, benign_calcification=False, fat=False,
)  # fmt: skip


def nodule(**changes: Any) -> Nodule:
    return Nodule(Mark((0.0, 0.0, 0.0), 8.0), None, 0, (), replace(SOLID, **changes), 30.0)  # type: ignore[arg-type]


@pytest.fixture
def judged() -> Callable[..., Judged]:
    def make(examination: Examination = SCREENING, place: Place = PLACE, **how: Any) -> Judged:
        past, first, given = how.pop("past", None), how.pop("first_ct", True), nodule(**how)
        return judge(given, place, examination, past=past, first_ct=first, by=BY)

    return make


def coded(found: Judged) -> dict[Any, Any]:
    return {a.concept: a.value for a in found.assessments}


def test_a_screening_gets_lung_rads_and_no_other_guideline(judged: Callable[..., Judged]) -> None:
    found = judged()
    assert coded(found) == {codes.COMPOSITION: codes.SOLID, codes.LUNG_RADS: codes.LUNG_RADS_4A}
    (rule,) = (a.rule for a in found.assessments if a.concept == codes.LUNG_RADS)
    assert "this nodule, if confirmed" in rule and "LR22-4A-SOLID" in rule
    assert any(n.startswith("Fleischner 2017: guideline not determined: a screening") for n in found.notes)
    assert any(n.startswith("BTS 2015: guideline not determined") and "known cancer" in n for n in found.notes)


def test_without_a_word_on_the_purpose_nothing_is_classified(judged: Callable[..., Judged]) -> None:
    found = judged(replace(SCREENING, screening=None))
    assert coded(found) == {codes.COMPOSITION: codes.SOLID}
    assert sum("guideline not determined" in n for n in found.notes) == 3


def test_known_exclusions_give_the_other_guidelines(judged: Callable[..., Judged]) -> None:
    found = judged(INCIDENTAL)
    rows = [a.value.value for a in found.assessments if a.concept == codes.ASSESSMENT_CATEGORY]
    assert rows == ["BTS15-S-V80-300"]
    (both,) = (n for n in found.notes if n.startswith("Fleischner 2017"))
    assert "FL17-S1-LOW-6-8" in both and "FL17-S1-HIGH-6-8" in both and "missing: the patient's risk group" in both
    assert any(n.startswith("Lung-RADS v2022: guideline not determined: not a screening") for n in found.notes)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"thickness_mm": 3.0}, "thicker than 2.5 mm"),
        ({"whole_lung": False}, "isn't covered completely"),
    ],
)
def test_what_makes_a_table_unreadable(judged: Callable[..., Judged], changes: dict[str, Any], why: str) -> None:
    found = judged(replace(SCREENING, **changes))
    assert codes.LUNG_RADS not in coded(found)
    assert any("not classifiable" in n and why in n for n in found.notes)


def test_unknown_calcium_an_unknown_past_and_a_place_at_the_pleura(judged: Callable[..., Judged]) -> None:
    assert codes.LUNG_RADS not in coded(judged(benign_calcification=None))
    unknown = judged(first_ct=None)
    assert codes.LUNG_RADS not in coded(unknown)
    assert any("isn't known whether there is an earlier CT" in n for n in unknown.notes)
    at_pleura = judged(place=replace(PLACE, at_pleura=True))
    assert codes.LUNG_RADS not in coded(at_pleura)
    (both,) = (n for n in at_pleura.notes if n.startswith("Lung-RADS"))
    assert "LR22-2-PLEURA" in both and "LR22-4A-SOLID" in both


def test_brock_with_its_inputs_or_what_is_missing(judged: Callable[..., Judged]) -> None:
    found = judged()
    (number,) = (m for m in found.measurements if m.concept == codes.PROBABILITY_OF_CANCER)
    assert number.by == BY and number.unit == codes.PERCENT and 5 < number.value < 20
    (words,) = (n for n in found.notes if n.startswith("Brock model 2a"))
    assert "emphysema yes" in words and "upper lobe yes" in words
    missing = judged(replace(SCREENING, emphysema=None, sex=None))
    assert codes.PROBABILITY_OF_CANCER not in {m.concept for m in missing.measurements}
    assert any("missing: sex, emphysema" in n for n in missing.notes)


def measured(mm: float, mm3: float, error: float) -> Measured:
    return Measured(mm, mm, None, mm3, error, 1.0, "lung or sharp")


def past(before: Measured, now: Measured, days: int = 180, category: str | None = None) -> Past:
    followed = follow(before, now, days, category)
    return Past(None, followed.comparison, followed, followed.why, "2.25.1")


def test_growth_is_called_beyond_the_error_only(judged: Callable[..., Judged]) -> None:
    grown = judged(past=past(measured(6.0, 113.0, 8.0), measured(8.2, 290.0, 15.0)))
    assert coded(grown)[codes.CHANGE] == codes.INCREASED
    assert coded(grown)[codes.LUNG_RADS] == codes.LUNG_RADS_4B
    numbers = {m.concept: m for m in grown.measurements}
    assert numbers[codes.VOLUME_CHANGE].value == 157
    assert numbers[codes.DOUBLING_TIME].value == pytest.approx(132, abs=1) and numbers[codes.DOUBLING_TIME].by == BY
    (rule,) = (a.rule for a in grown.assessments if a.concept == codes.CHANGE)
    assert "doubling time 132 days (95 % " in rule and "in 180 days" in rule
    within = judged(past=past(measured(7.8, 250.0, 60.0), measured(8.2, 290.0, 60.0)))
    assert coded(within)[codes.CHANGE] == codes.NO_CHANGE
    assert codes.DOUBLING_TIME not in {m.concept for m in within.measurements}


def test_what_is_not_comparable_has_no_number(judged: Callable[..., Judged]) -> None:
    found = judged(past=past(replace(measured(6.0, 113.0, 8.0), thickness_mm=3.0), measured(8.2, 290.0, 15.0)))
    assert codes.CHANGE not in coded(found)
    assert {m.concept for m in found.measurements} <= {codes.PROBABILITY_OF_CANCER}
    assert any(n.startswith("Against the earlier CT: not comparable: slices of 3 and 1 mm") for n in found.notes)


def test_a_new_one_is_judged_as_new_and_a_kept_category_stands(judged: Callable[..., Judged]) -> None:
    new = judged(past=Past(Fate.NEW, Comparison.same(Change.NEW, 180)))
    assert (coded(new)[codes.CHANGE], coded(new)[codes.LUNG_RADS]) == (codes.NEW, codes.LUNG_RADS_4B)
    same = measured(8.2, 290.0, 15.0)
    assert coded(judged(past=past(same, same, 100, "4A")))[codes.LUNG_RADS] == codes.LUNG_RADS_3
    unknown = judged(past=Past(Fate.NOT_COMPARED, why="it could not be registered"))
    assert codes.LUNG_RADS not in coded(unknown)
    assert "Against the earlier CT: not comparable: it could not be registered." in unknown.notes
