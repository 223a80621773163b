"""Two made-up chests of one patient: new, grown, kept and gone, and what keeps the tracking UID."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from imaging import codes
from imaging.images import Volume
from imaging.phantom import PhantomNodule, chest_phantom
from imaging.pipeline import NoEngine, Pipeline, Prior, Selection
from imaging.reading import Finding, PipelineResult
from imaging.study import StudyInfo
from pipelines.lung_nodule import build
from pipelines.released import ModelPipeline

SPACING = (2.0, 1.5, 1.5)
KEPT = PhantomNodule((-95.0, -15.0, 25.0), (7.0, 7.0, 7.0))
SMALL = PhantomNodule((85.0, 25.0, 15.0), (5.0, 5.0, 5.0))
GROWN = PhantomNodule((85.0, 25.0, 15.0), (8.0, 8.0, 8.0))
NEW = PhantomNodule((-70.0, 45.0, -50.0), (6.0, 6.0, 6.0))
GONE = PhantomNodule((75.0, -20.0, 40.0), (6.0, 6.0, 6.0))
THEN, NOW = [KEPT, SMALL, GONE], [KEPT, GROWN, NEW]


def read(pipeline: Pipeline, volume: Volume, prior: Prior | None = None) -> PipelineResult:
    return pipeline.read([volume], Selection((volume.series,)), NoEngine(), prior)


def earlier(volume: Volume, result: PipelineResult | None = None) -> Prior:
    series = replace(volume.series, series_instance_uid="1.2.4")
    return Prior(
        StudyInfo("1.1", (series,)), Selection((series,)), (replace(volume, series=series),), 180.4, result=result
    )


def said_then(result: PipelineResult) -> PipelineResult:
    """As it was read when it was the study itself, in its own series."""
    findings = tuple(replace(f, tracking_uid=f"2.25.{f.number}") for f in result.reading.findings)
    return PipelineResult(replace(result.reading, findings=findings, series_instance_uid="1.2.4"), result.masks)


@pytest.fixture(scope="module")
def pipeline(configuration: dict[str, Any]) -> Pipeline:
    """The shipped one, in fewer steps: these chests are as alike as no two real ones."""
    quick = {"grid_mm": 4.0, "affine_steps": 20, "coarse_steps": 10, "fine_steps": 5}
    candidates = configuration["candidates"] | {"opening_radii_mm": [2, 2.5, 3.2, 4, 5]}
    made = build(configuration | {"follow_up": {"registration": quick}, "candidates": candidates})
    assert not isinstance(made, ModelPipeline)
    return made


@pytest.fixture(scope="module")
def chests(as_volume: Callable[..., Volume]) -> tuple[Volume, Volume]:
    made = [chest_phantom(SPACING, nodules, seed=k) for k, nodules in enumerate((THEN, NOW))]
    then, now = (as_volume(one.hu, one.geometry, kernel="LUNG") for one in made)
    return then, now


@pytest.fixture(scope="module")
def before(pipeline: Pipeline, chests: tuple[Volume, Volume]) -> PipelineResult:
    return said_then(read(pipeline, chests[0]))


@pytest.fixture(scope="module")
def compared(pipeline: Pipeline, chests: tuple[Volume, Volume], before: PipelineResult) -> PipelineResult:
    return read(pipeline, chests[1], earlier(chests[0], before))


def at(findings: Sequence[Finding], nodule: PhantomNodule) -> Finding:
    found = min(findings, key=lambda f: float(np.linalg.norm(np.subtract(f.centre, nodule.centre))))
    assert np.linalg.norm(np.subtract(found.centre, nodule.centre)) < 2
    return found


def change(finding: Finding) -> Any:
    return next((a.value for a in finding.assessments if a.concept == codes.CHANGE), None)


def test_each_nodule_has_its_course(compared: PipelineResult) -> None:
    findings = compared.reading.findings
    assert len(findings) == 3
    assert change(at(findings, KEPT)) == codes.NO_CHANGE
    assert change(at(findings, GROWN)) == codes.INCREASED
    assert change(at(findings, NEW)) == codes.NEW
    grown = at(findings, GROWN)
    truth = 100 * (GROWN.volume / SMALL.volume - 1)
    assert grown.measured(codes.VOLUME_CHANGE) == pytest.approx(truth, rel=0.15)
    assert grown.measured(codes.DOUBLING_TIME) == pytest.approx(180 * np.log(2) / np.log1p(truth / 100), rel=0.1)
    said = "3 marks by lung_nodule_baseline 0.1.0 (against the earlier CT: "
    assert compared.reading.conclusion.startswith(said)
    for course in ("1 grown", "1 no change beyond the measurement error", "1 new"):
        assert course in compared.reading.conclusion


def test_what_is_gone_is_told_of(compared: PipelineResult, before: PipelineResult) -> None:
    (gone,) = (note for note in compared.reading.notes if "is not seen any more" in note)
    assert f"its finding {at(before.reading.findings, GONE).number}," in gone


def test_the_tracking_uid_goes_on(compared: PipelineResult, before: PipelineResult) -> None:
    then, now = before.reading.findings, compared.reading.findings
    assert at(now, KEPT).tracking_uid == at(then, KEPT).tracking_uid
    assert at(now, GROWN).tracking_uid == at(then, SMALL).tracking_uid
    assert at(now, NEW).tracking_uid is None


def test_the_place_in_the_earlier_ct_is_shown(compared: PipelineResult, chests: tuple[Volume, Volume]) -> None:
    geometry = chests[0].geometry
    for nodule, words in ((KEPT, " mm, "), (GROWN, " mm, "), (NEW, "not there")):
        place = at(compared.reading.findings, nodule).earlier
        assert place is not None and place.series_instance_uid == "1.2.4" and words in place.words
        mm = geometry.to_mm((place.key_slice, place.row, place.column))
        assert np.linalg.norm(mm - nodule.centre) < 5


def test_another_kernel_is_paired_and_not_compared_even_where_nobody_read_it(
    pipeline: Pipeline, chests: tuple[Volume, Volume]
) -> None:
    then = replace(chests[0], series=replace(chests[0].series, kernel="B30f"))
    found = read(pipeline, chests[1], earlier(then)).reading.findings
    grown = at(found, GROWN)
    assert change(grown) is None and grown.measured(codes.DOUBLING_TIME) is None
    assert any("not comparable: kernels of the classes" in note for note in grown.notes)
    assert grown.tracking_uid is None and grown.earlier is not None
    assert change(at(found, NEW)) == codes.NEW


def test_an_earlier_ct_without_lungs_is_said(pipeline: Pipeline, chests: tuple[Volume, Volume]) -> None:
    empty = replace(chests[0], array=np.full_like(chests[0].array, 40))
    reading = read(pipeline, chests[1], earlier(empty)).reading
    assert any("The earlier CT could not be compared" in note for note in reading.notes)
    assert all(change(f) is None for f in reading.findings)
    assert len(reading.findings) == 3


def test_which_earlier_ct_is_wanted(pipeline: Pipeline) -> None:
    assert pipeline.priors is not None
    assert (pipeline.priors.least_days, pipeline.priors.most_days) == (30, 3660)
