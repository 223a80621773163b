"""The whole reading, on the made-up chest and on real scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from dicom_node.reader.folder import read_folder
from dicom_node.reader.study import assemble_study
from dicom_node.reader.volume import build_volume
from imaging import codes
from imaging.errors import ImageError
from imaging.images import Radiograph, SliceSource
from imaging.phantom import PhantomNodule, chest_phantom
from imaging.pipeline import NoEngine, Pipeline, Refusal, Selection
from imaging.reading import PipelineResult, ReadingStatus
from imaging.reasons import Reason, ReasonKind
from imaging.study import StudyInfo
from pipelines.lung_nodule import build


def read(pipeline: Pipeline, volume) -> PipelineResult:
    return pipeline.read([volume], Selection((volume.series,)), NoEngine())


@pytest.fixture(scope="module")
def result(pipeline, chest) -> PipelineResult:
    return read(pipeline, chest)


def test_every_nodule_of_the_made_up_chest_is_marked_and_nothing_else(result, phantom):
    findings = result.reading.findings
    assert len(findings) == len(phantom.nodules)
    for nodule in phantom.nodules:
        distance = [float(np.linalg.norm(np.subtract(f.centre, nodule.centre))) for f in findings]
        mark = findings[int(np.argmin(distance))]
        assert min(distance) < 0.5
        assert mark.laterality == (codes.LEFT if nodule.centre[0] > 0 else codes.RIGHT)
        assert ("left lung" if nodule.centre[0] > 0 else "right lung") in mark.place
        assert mark.measured(codes.VOLUME) == pytest.approx(nodule.volume, rel=0.1)
        assert mark.measured(codes.VOLUME) == pytest.approx(result.masks[mark.number].volume, rel=1e-3)
        long, short = sorted(nodule.semi_axes[:2], reverse=True)
        assert mark.measured(codes.LONG_AXIS) == pytest.approx(2 * long, abs=1.8)
        assert mark.measured(codes.SHORT_AXIS) == pytest.approx(2 * short, abs=1.8)
        assert mark.confidence is None
        assert (mark.category, mark.kind) == (codes.ABNORMAL_STRUCTURE, codes.NODULE)
        assert mark.frame_of_reference_uid == "1.9"


def test_the_zone_follows_the_height_in_the_lung(result):
    zones = {round(f.centre[2]): f.place.split(", ")[1] for f in result.reading.findings}
    assert zones == {25: "middle third", 15: "middle third", -50: "lower third"}


def test_the_site_is_the_lobe_where_position_alone_makes_it_sure(result):
    sites = {round(f.centre[2]): f.site for f in result.reading.findings}
    assert sites == {25: codes.LUNG, 15: codes.LUNG, -50: codes.LOWER_LOBE}


def test_the_reading_says_what_it_is(result, chest, pipeline):
    reading = result.reading
    assert reading.status is ReadingStatus.READ
    assert reading.conclusion == "3 marks by lung_nodule_baseline 0.1.0; does not exclude other nodules."
    assert "135 slices" in reading.analysed
    assert [note.split(":")[1].strip() for note in reading.notes if note.startswith("Every mark: ")] == [
        "Lung-RADS v2022",
        "Fleischner 2017",
        "BTS 2015",
    ]
    assert all("guideline not determined" in note for note in reading.notes)
    assert reading.sop_instance_uids == tuple(s.sop_instance_uid for s in chest.slices)
    assert reading.model == pipeline.model
    assert len(reading.model.sha256) == 64
    assert reading.model.precision == "n/a"


def test_the_same_images_give_the_same_result(result, pipeline, chest):
    again = read(pipeline, chest)
    assert again.reading == result.reading
    for number, mask in result.masks.items():
        assert again.masks[number].offset == mask.offset
        assert np.array_equal(again.masks[number].array, mask.array)


def test_no_mark_is_not_a_negative(pipeline, as_volume):
    empty = chest_phantom(nodules=[])
    reading = read(pipeline, as_volume(empty.hu, empty.geometry)).reading
    assert reading.findings == ()
    assert reading.conclusion == "No mark above threshold by lung_nodule_baseline 0.1.0; does not exclude nodules."


def test_what_is_not_listed_is_counted(configuration, chest):
    reading = read(build(configuration | {"max_findings": 1}), chest).reading
    assert len(reading.findings) == 1
    assert reading.conclusion.startswith("3 marks")
    assert "2 further marks of lower score are not listed." in reading.notes


def test_outside_the_tested_range_is_said(pipeline, phantom, as_volume):
    part = phantom.hu[55:]
    geometry = phantom.geometry.crop((55, 0, 0), part.shape)
    shown = as_volume(
        part, geometry, manufacturer="NEW MAKE", thickness=4.0, spacing=2.0, extent=158.0, orientation="axial"
    )
    chosen = pipeline.select(StudyInfo("1.2", (shown.series,), patients=("p",)))
    reading = pipeline.read([shown], chosen, NoEngine()).reading
    notes = " ".join(reading.notes)
    assert "slices 4.00 mm thick" in notes
    assert "NEW MAKE" in notes
    assert "Partial lungs: they reach the lowest slice" in notes
    assert reading.analysed.startswith("the shown part of both lungs")


def test_a_vessel_that_enters_is_cut_off(pipeline, as_volume):
    """A nodule on the end of a vessel: the mask is the nodule's, not the vessel tree's."""
    nodule = PhantomNodule((-62.0, 18.0, 36.0), (8.0, 8.0, 8.0))
    made = chest_phantom((1.5, 1.0, 1.0), [nodule])
    findings = read(pipeline, as_volume(made.hu, made.geometry)).reading.findings
    assert len(findings) == 1
    assert np.linalg.norm(np.subtract(findings[0].centre, nodule.centre)) < 2
    assert findings[0].measured(codes.VOLUME) == pytest.approx(nodule.volume, rel=0.2)


def test_anything_but_one_volume_is_a_mistake_of_the_caller(pipeline, chest):
    picture = Radiograph(np.zeros((4, 4), np.float32), None, "none", SliceSource("1.2"), chest.series)
    for images in ([], [chest, chest], [picture]):
        with pytest.raises(ValueError, match="exactly one volume"):
            pipeline.read(images, Selection((chest.series,)), NoEngine())


def test_the_configuration_is_part_of_the_key_and_complete(configuration, pipeline):
    resolved = pipeline.configuration
    assert build(resolved).configuration == resolved
    assert resolved["candidates"]["diameter_mm"] == [6, 45]
    assert pipeline.report_not_ours is False
    assert build(configuration | {"report_not_ours": True}).report_not_ours is True


def test_the_shipped_numbers_are_the_defaults(configuration, pipeline):
    for part in ("lungs", "candidates"):
        bare = {k: v for k, v in configuration.items() if k != part}
        assert build(bare).configuration[part] == pipeline.configuration[part]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("colour", "red"),
        ("max_findings", 0),
        ("candidates", {"opening_radii_mm": [3, 2]}),
        ("candidates", {"diameter_mm": [10, 5]}),
        ("lungs", {"grid": 2}),
    ],
)
def test_a_configuration_that_cannot_be(configuration, key, value):
    with pytest.raises(ValidationError) as caught:
        build(configuration | {key: value})
    assert caught.value.errors()[0]["loc"][0] == key


@pytest.mark.data
def test_the_nodule_of_lidc_0314_is_freed_of_its_vessels(pipeline, data_dir):
    result = _real(pipeline, data_dir / "ct" / "lidc-0314")
    # the four readers' mean centre, and the range of their volumes
    near = [f for f in result.reading.findings if np.linalg.norm(np.subtract(f.centre, (-57.0, 131.2, -520.6))) < 11]
    assert len(near) == 1
    assert near[0].laterality == codes.RIGHT
    volume = near[0].measured(codes.VOLUME)
    assert volume is not None
    assert 1700 < volume < 2600
    assert near[0].frame_of_reference_uid is None  # another one on every slice
    assert len(result.reading.findings) <= 5
    # fluid at the right base, a collapsed part at the right apex: to be seen in the scan
    (dense,) = [note for note in result.reading.notes if "is dense" in note]
    assert dense.startswith("At least 0.4 l where right lung is to be expected")
    assert "lobe not determined" in near[0].place


@pytest.mark.data
def test_an_abdominal_scan_is_no_chest(pipeline, data_dir):
    with pytest.raises(ImageError) as caught:
        _real(pipeline, data_dir / "ct" / "ircadb-17")
    assert caught.value.reason.kind is ReasonKind.WRONG_BODY_PART


@pytest.mark.data
def test_a_slab_is_too_little(pipeline, data_dir):
    chosen = pipeline.select(_study(data_dir / "ct" / "lidc-0001-slab"))
    assert isinstance(chosen, Refusal)
    assert chosen.reason == Reason(
        ReasonKind.TOO_FEW_SLICES,
        "series 3000566 (no description): 16 images; at least 30 are needed",
        "1.3.6.1.4.1.14519.5.2.1.6279.6001.179049373636438705059720603192",
    )


def _study(folder: Path):
    headers, unreadable = read_folder(folder)
    assert not unreadable
    return assemble_study(headers)


def _real(pipeline: Pipeline, folder: Path) -> PipelineResult:
    chosen = pipeline.select(_study(folder))
    assert isinstance(chosen, Selection), chosen
    return pipeline.read([build_volume(chosen.series[0], Path)], chosen, NoEngine())
