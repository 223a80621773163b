"""The objects of one order: what stands in them, and that they are always the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread

from dicom_node.objects.order import PredecessorReference, PriorStudy, ResultOrder, Role
from dicom_node.objects.profile import CharacterSet, Language, ObjectProfile, SRClass
from dicom_node.objects.sources import read_sources
from dicom_node.objects.verify import check_objects
from dicom_node.objects.write import write_objects
from imaging import codes
from imaging.errors import ResultError
from imaging.images import Mask
from imaging.reading import Assessment, ReadingStatus
from imaging.reasons import Reason, ReasonKind
from imaging.study import InstanceInfo, SeriesInfo
from tests.dicom_node.objects.orders import (
    BEIJING,
    OBVIOUS,
    RATER,
    RULES,
    SEGMENTER,
    ball,
    ct_geometry,
    finding,
    judged_order,
    not_read_order,
    order_for,
    reading,
    small_order,
    write_ct,
    write_enhanced,
)


def parsed(order: ResultOrder) -> dict[Role, Dataset]:
    return {item.role: dcmread(BytesIO(item.data)) for item in write_objects(order)}


def items(ds: Dataset, code: str) -> list[Dataset]:
    """Content items of that concept, in the whole tree."""
    found = []
    for child in ds.get("ContentSequence", ()):
        names = child.get("ConceptNameCodeSequence")
        if names and names[0].CodeValue == code:
            found.append(child)
        found += items(child, code)
    return found


def texts(report: Dataset) -> str:
    return "\n".join(item.TextValue for code in ("121106", "121077") for item in items(report, code))


def test_the_same_order_gives_the_same_bytes(tmp_path: Path) -> None:
    order = small_order(tmp_path)
    again = replace(order, sources=read_sources(sorted(tmp_path.glob("*.dcm"))))
    first, second = write_objects(order), write_objects(again)
    assert [item.data for item in first] == [item.data for item in second]
    assert [item.role for item in first] == [Role.SR, Role.SEG, Role.PICTURE]


def test_digest_is_that_of_the_dataset(tmp_path: Path) -> None:
    import hashlib

    for item in write_objects(small_order(tmp_path)):
        ds = dcmread(BytesIO(item.data))
        length = 132 + 12 + ds.file_meta.FileMetaInformationGroupLength
        assert item.digest == hashlib.sha256(item.data[length:]).hexdigest()
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID == item.sop_instance_uid
        assert ds.SeriesInstanceUID == item.series_instance_uid


def test_other_bytes_never_share_a_uid(tmp_path: Path) -> None:
    order = small_order(tmp_path)
    profiles = [ObjectProfile(c, s, lang) for c in SRClass for s in CharacterSet for lang in Language]
    written = [item for p in profiles for item in write_objects(replace(order, profile=p))]
    assert len({item.sop_instance_uid for item in written}) == len(written)
    assert len({item.series_instance_uid for item in written}) == len(written)


def test_findings_keep_their_tracking_uid_in_every_profile(tmp_path: Path) -> None:
    order = small_order(tmp_path)
    inherited = replace(order.reading.findings[0], tracking_uid="1.2.3.4.5")
    order = replace(order, reading=replace(order.reading, findings=(inherited, order.reading.findings[1])))
    for sr_class in SRClass:
        objects = parsed(replace(order, profile=ObjectProfile(sr_class)))
        uids = [item.UID for item in items(objects[Role.SR], "112040")]
        assert uids[0] == "1.2.3.4.5"
        assert uids == [order.tracking_uid(f) for f in order.reading.findings]
        assert [segment.TrackingUID for segment in objects[Role.SEG].SegmentSequence] == uids


def test_a_report_says_all_it_must(tmp_path: Path) -> None:
    report = parsed(small_order(tmp_path, institution="Third Hospital"))[Role.SR]
    assert report.InstitutionName == "Third Hospital"
    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == (
        "COMPLETE",
        "UNVERIFIED",
        "PRELIMINARY",
    )
    assert len(items(report, "125007")) == 2
    assert [float(i.MeasuredValueSequence[0].NumericValue) for i in items(report, codes.LONG_AXIS.value)] == [
        9.25,
        9.25,
    ]
    assert items(report, codes.CAD_SUMMARY.value)[0].ConceptCodeSequence[0].CodeValue == "111242"
    said = texts(report)
    for part in (
        "AI, research use, not for primary diagnosis",
        "Marks to be looked at by a radiologist",
        "Analysed: series 3 (Lung 2.5), 8 images. Both lungs.",
        "series 1 (Scout) is a localizer [1.2.3.4]",
        "lung-nodule-classical 0.1.0 (sha256 0000",
        "pipeline lung_nodule 0.1.0",
        "outside tested range",
        "Nodule 1: right lung, slice 4",
        "Nodule 1, measurement uncertainty: Long Axis ± 0.7 mm",
        "Subtlety class = Obvious: volume above 80 mm³",
    ):
        assert part in said
    library = items(report, "111028")[0].ContentSequence[0].ContentSequence
    assert len(library) == 2  # the key slices, not all eight
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert sorted(len(series.ReferencedSOPSequence) for series in evidence) == [1, 8]
    assert report.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99RAYSIGHT"


def test_nothing_found_is_said_outright(tmp_path: Path) -> None:
    order = replace(small_order(tmp_path), masks={}, key_slices={})
    objects = parsed(replace(order, reading=reading(order.reading.study_instance_uid)))
    assert set(objects) == {Role.SR, Role.PICTURE}
    report = objects[Role.SR]
    assert {i.ConceptCodeSequence[0].CodeValue for i in items(report, codes.CAD_SUMMARY.value)} == {"111241"}
    assert "No mark above threshold by lung-nodule-classical 0.1.0. This does not exclude disease." in texts(report)
    assert "negative" not in texts(report).lower()
    assert items(report, "121071") == []


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ReasonKind.MISSING_SLICE, codes.OBJECT_SET_INCOMPLETE),
        (ReasonKind.GANTRY_TILT, codes.OBJECT_TYPES_NOT_SUPPORTED),
        (ReasonKind.UNDECODABLE, codes.OBJECTS_INCORRECTLY_FORMATTED),
    ],
)
def test_not_read_says_why(tmp_path: Path, kind: ReasonKind, code: codes.Code) -> None:
    objects = parsed(not_read_order(write_ct(tmp_path)[:1], kind))
    assert set(objects) == {Role.SR}
    report = objects[Role.SR]
    for name, value in ((codes.REASON, code), (codes.SUMMARY_OF_ANALYSES, codes.NOT_ATTEMPTED)):
        found = items(report, name.value)
        assert [i.ConceptCodeSequence[0].CodeValue for i in found] == [value.value] * 2  # group and evaluations
    assert "NOT ANALYSED. series 3 (Lung): a slice is missing at -95.0 mm" in texts(report)
    assert "No mark" not in texts(report)


def test_not_read_for_want_of_geometry(tmp_path: Path) -> None:
    bare = dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"))
    paths = write_ct(tmp_path, Manufacturer=None, FrameOfReferenceUID=None, **bare)
    report = parsed(not_read_order(paths, ReasonKind.MISSING_GEOMETRY))[Role.SR]
    assert items(report, "111028") == []  # an image library would claim a place
    assert items(report, codes.REASON.value)[0].ConceptCodeSequence[0].CodeValue == "110521"


def test_failed_is_another_outcome_than_not_attempted(tmp_path: Path) -> None:
    order = not_read_order(write_ct(tmp_path), ReasonKind.SOFTWARE_FAILURE)
    report = parsed(replace(order, reading=replace(order.reading, status=ReadingStatus.FAILED)))[Role.SR]
    values = {i.ConceptCodeSequence[0].CodeValue for i in items(report, codes.SUMMARY_OF_ANALYSES.value)}
    assert values == {codes.FAILED.value}


@pytest.mark.parametrize("kind", [ReasonKind.WRONG_MODALITY, ReasonKind.WRONG_BODY_PART, ReasonKind.NO_IMAGES])
def test_what_is_not_ours_is_written_when_asked_for(tmp_path: Path, kind: ReasonKind) -> None:
    report = parsed(not_read_order(write_ct(tmp_path), kind))[Role.SR]
    values = {i.ConceptCodeSequence[0].CodeValue for i in items(report, codes.REASON.value)}
    assert values == {codes.OBJECT_TYPES_NOT_SUPPORTED.value}


def test_predecessor(tmp_path: Path) -> None:
    old = PredecessorReference("1.2.3", "1.2.4", "1.2.840.10008.5.1.4.1.1.88.33", "1.2.5")
    report = parsed(small_order(tmp_path, predecessor=old))[Role.SR]
    item = report.PredecessorDocumentsSequence[0]
    assert item.StudyInstanceUID == "1.2.3"
    assert item.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.5"
    assert "Replaces the earlier report 1.2.5" in texts(report)


def test_an_earlier_examination_stands_as_other_evidence(tmp_path: Path) -> None:
    instances = tuple(
        InstanceInfo("1.9", "1.9.1", f"1.9.1.{n}", "1.2.840.10008.5.1.4.1.1.2", "", "", "", True, False, "CT")
        for n in (1, 2)
    )
    series = SeriesInfo("1.9.1", "CT", instances, series_number=4, description="Thin")
    order = small_order(tmp_path, prior=PriorStudy("1.9", date(2025, 3, 1), (series,)))
    report = parsed(order)[Role.SR]
    (study,) = report.PertinentOtherEvidenceSequence
    assert study.StudyInstanceUID == "1.9"
    (referenced,) = study.ReferencedSeriesSequence
    assert [i.ReferencedSOPInstanceUID for i in referenced.ReferencedSOPSequence] == ["1.9.1.1", "1.9.1.2"]
    assert "Earlier examination at hand: 2025-03-01, series 4 (Thin), 2 images [1.9]" in texts(report)
    (own,) = report.CurrentRequestedProcedureEvidenceSequence
    assert own.StudyInstanceUID == report.StudyInstanceUID
    undated = small_order(
        tmp_path, prior=PriorStudy("1.9", None, (series,)), profile=ObjectProfile(language=Language.ZH)
    )
    assert "可供对比的既往检查：日期未知，序列 4（Thin），2 幅图像 [1.9]" in texts(parsed(undated)[Role.SR])


@pytest.mark.parametrize(
    ("offset", "day", "time", "zone"),
    [(None, "20261124", "143015.250000", "+0800"), ("-0500", "20261124", "013015.250000", "-0500")],
)
def test_times_stand_in_the_source_zone_else_the_hospital_one(
    tmp_path: Path, offset: str | None, day: str, time: str, zone: str
) -> None:
    extra = {} if offset is None else {"TimezoneOffsetFromUTC": offset}
    paths = write_ct(tmp_path, **extra)
    for ds in parsed(order_for(paths, ct_geometry(), [((3, 30, 20), 4.0)])).values():
        assert (ds.ContentDate, ds.ContentTime, ds.TimezoneOffsetFromUTC) == (day, time, zone)
        assert (ds.InstanceCreationDate, ds.InstanceCreationTime) == (day, time)


def test_patient_and_study_are_carried_over(tmp_path: Path) -> None:
    paths = write_ct(tmp_path, PatientComments="seen before", PatientAge="056Y", StudyDescription="Thorax nativ")
    for ds in parsed(order_for(paths, ct_geometry(), [((3, 30, 20), 4.0)])).values():
        assert (ds.PatientName, ds.PatientID, ds.PatientBirthDate) == ("Doe^Jane", "P1", "19700101")
        assert (ds.StudyID, ds.AccessionNumber, ds.StudyDescription) == ("S1", "A1", "Thorax nativ")
        assert (ds.PatientAge, ds.PatientComments) == ("056Y", "seen before")
        assert ds.Manufacturer == "Raysight"


@pytest.mark.parametrize(
    ("declared", "name", "wanted", "written"),
    [
        ("ISO_IR 100", "Müller^Jörg", CharacterSet.SOURCE, "ISO_IR 100"),
        ("ISO_IR 100", "Müller^Jörg", CharacterSet.UTF8, "ISO_IR 192"),
        ("GB18030", "王^小东", CharacterSet.SOURCE, "GB18030"),
        ("GBK", "王^小东", CharacterSet.SOURCE, "ISO_IR 192"),
        ("ISO_IR 192", "王^小东", CharacterSet.GB18030, "GB18030"),
    ],
)
def test_character_sets(tmp_path: Path, declared: str, name: str, wanted: CharacterSet, written: str) -> None:
    paths = write_ct(tmp_path, SpecificCharacterSet=declared, PatientName=name)
    order = order_for(paths, ct_geometry(), [((3, 30, 20), 4.0)])
    # "mm³" is in Latin-1; the rest of the reading is ASCII
    for ds in parsed(replace(order, profile=ObjectProfile(character_set=wanted))).values():
        assert ds.SpecificCharacterSet == written
        assert ds.PatientName == name


def test_chinese_words_do_not_fit_a_latin_source(tmp_path: Path) -> None:
    profile = ObjectProfile(character_set=CharacterSet.SOURCE, language=Language.ZH)
    report = parsed(small_order(tmp_path, profile=profile))[Role.SR]
    assert report.SpecificCharacterSet == "ISO_IR 192"
    assert "仅供科研使用" in texts(report)
    assert items(report, "121049")[0].ConceptCodeSequence[0].CodeValue == "zh"


def test_text_that_no_set_can_hold_is_an_error(tmp_path: Path) -> None:
    order = small_order(tmp_path)
    broken = replace(order, reading=replace(order.reading, notes=("half a character \ud83d",)))
    with pytest.raises(ResultError, match="can't hold"):
        write_objects(broken)


def test_segments_hold_the_masks_where_they_are(tmp_path: Path) -> None:
    order = small_order(tmp_path)
    seg = parsed(order)[Role.SEG]
    assert int(seg.NumberOfFrames) == sum(int(m.array.any(axis=(1, 2)).sum()) for m in order.masks.values())
    geometry = ct_geometry()
    rebuilt = {1: np.zeros(geometry.shape, bool), 2: np.zeros(geometry.shape, bool)}
    for frame, group in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        place = geometry.to_index(group.PlanePositionSequence[0].ImagePositionPatient)
        assert np.allclose(place[1:], 0, atol=1e-6)
        rebuilt[number][round(place[0])] |= frame.astype(bool)
    for number, mask in order.masks.items():
        assert np.array_equal(rebuilt[number], mask.to_full())
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(measures.SpacingBetweenSlices) == 2.5
    region = seg.SegmentSequence[0].AnatomicRegionSequence[0]
    assert region.AnatomicRegionModifierSequence[0].CodeValue == codes.RIGHT.value
    assert len(seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 8


def test_only_some_findings_have_a_mask(tmp_path: Path) -> None:
    order = small_order(tmp_path)
    objects = parsed(replace(order, masks={2: order.masks[2]}))
    assert [segment.TrackingID for segment in objects[Role.SEG].SegmentSequence] == ["Nodule 2"]
    reference = items(objects[Role.SR], "121191")
    assert [r.ReferencedSOPSequence[0].ReferencedSegmentNumber for r in reference] == [1]


def test_picture_shows_and_declares_what_it_is(tmp_path: Path) -> None:
    objects = write_objects(small_order(tmp_path))
    picture = next(item for item in objects if item.role is Role.PICTURE)
    ds = dcmread(BytesIO(picture.data))
    assert ds.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert (ds.BurnedInAnnotation, ds.ConversionType, ds.PhotometricInterpretation) == ("YES", "WSD", "RGB")
    assert "research use" in ds.SeriesDescription
    assert "lung-nodule-classical 0.1.0" in ds.DerivationDescription
    assert len(ds.SourceImageSequence) == 2
    assert picture.preview is not None
    assert np.array_equal(np.asarray(Image.open(BytesIO(picture.preview))), ds.pixel_array)
    assert all(item.preview is None for item in objects if item.role is not Role.PICTURE)


def test_enhanced_multi_frame_source(tmp_path: Path) -> None:
    path, geometry = write_enhanced(tmp_path), ct_geometry()
    order = order_for([path], geometry, [((3, 30, 20), 4.0), ((6, 20, 30), 3.0)])
    objects = parsed(order)
    assert check_objects(write_objects(order)) == []
    key = items(objects[Role.SR], "121080")[0].ReferencedSOPSequence[0]
    number = int(key.ReferencedFrameNumber)
    source = dcmread(path, stop_before_pixels=True).PerFrameFunctionalGroupsSequence[number - 1]
    assert float(source.PlanePositionSequence[0].ImagePositionPatient[2]) == -100 + 2.5 * 3
    seg = objects[Role.SEG]
    rebuilt = np.zeros(geometry.shape, bool)
    for frame, group in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 1:
            rebuilt[round(geometry.to_index(group.PlanePositionSequence[0].ImagePositionPatient)[0])] |= frame == 1
    assert np.array_equal(rebuilt, order.masks[1].to_full())


def wrong_study(order: ResultOrder) -> ResultOrder:
    return replace(order, reading=replace(order.reading, study_instance_uid="1.2.3"))


def naive_time(order: ResultOrder) -> ResultOrder:
    return replace(order, written_at=datetime(2026, 1, 1))


def stray_mask(order: ResultOrder) -> ResultOrder:
    return replace(order, masks={**order.masks, 9: order.masks[1]})


def empty_mask(order: ResultOrder) -> ResultOrder:
    return replace(order, masks={1: Mask(np.zeros((1, 2, 2), bool), (0, 0, 0), ct_geometry())})


def other_grid(order: ResultOrder) -> ResultOrder:
    small = ct_geometry().crop((0, 0, 0), (8, 32, 32))
    return replace(order, masks={1: ball(small, (3, 16, 16), 4.0)})


def not_a_number(order: ResultOrder) -> ResultOrder:
    first = order.reading.findings[0]
    spoilt = replace(first, measurements=(replace(first.measurements[0], value=float("nan")),))
    return replace(order, reading=replace(order.reading, findings=(spoilt, order.reading.findings[1])))


def far_key_slice(order: ResultOrder) -> ResultOrder:
    first = replace(order.reading.findings[0], key_slice=99)
    return replace(order, reading=replace(order.reading, findings=(first, order.reading.findings[1])))


def long_meaning(order: ResultOrder) -> ResultOrder:
    code = codes.Code("1", "99RAYSIGHT", "x" * 65)
    first = replace(order.reading.findings[0], assessments=(Assessment(code, OBVIOUS),))
    return replace(order, reading=replace(order.reading, findings=(first, order.reading.findings[1])))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (wrong_study, "its sources of"),
        (naive_time, "no zone"),
        (stray_mask, "masks without a finding"),
        (empty_mask, "is empty"),
        (other_grid, "another grid"),
        (not_a_number, "isn't a number"),
        (far_key_slice, "key slice 99"),
        (long_meaning, "can't be written"),
    ],
)
def test_contradictions_get_a_clear_answer(tmp_path: Path, spoil: Any, message: str) -> None:
    with pytest.raises(ResultError, match=message):
        write_objects(spoil(small_order(tmp_path)))


def test_a_written_time_in_any_zone_is_the_same_time(tmp_path: Path) -> None:
    order = small_order(tmp_path)
    elsewhere = replace(order, written_at=order.written_at.astimezone(timezone(timedelta(hours=-9))))
    assert [i.data for i in write_objects(order)] == [i.data for i in write_objects(elsewhere)]
    assert order.local_time.utcoffset() == BEIJING.utcoffset(None)


def test_a_name_of_one_part_is_kept_and_quoted_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = write_ct(tmp_path, SpecificCharacterSet="GB18030", PatientName="王小东")
    with caplog.at_level("DEBUG"):
        for ds in parsed(order_for(paths, ct_geometry(), [((3, 30, 20), 4.0)])).values():
            assert ds.PatientName == "王小东"
    assert "王小东" not in caplog.text


def test_mends_are_declared_in_the_report(tmp_path: Path) -> None:
    paths = write_ct(tmp_path, StudyTime="8:30")
    report = parsed(order_for(paths, ct_geometry(), [((3, 30, 20), 4.0)]))[Role.SR]
    assert "StudyTime (0008,0030): '8:30' is not allowed; written as '0830'" in texts(report)


def test_no_reason_and_a_reason_are_not_mixed(tmp_path: Path) -> None:
    order = small_order(tmp_path)
    one = finding(1, None, ct_geometry(), (3, 30, 20))
    with pytest.raises(ValueError, match="exactly when"):
        replace(order.reading, findings=(one,), reason=Reason(ReasonKind.TRUNCATED, "short"))


def test_a_part_of_an_organ_is_named_in_report_and_segment(tmp_path: Path) -> None:
    order = small_order(tmp_path)
    part = replace(
        order.reading.findings[0],
        category=codes.ANATOMICAL_STRUCTURE,
        kind=codes.HIPPOCAMPUS,
        site=codes.HIPPOCAMPUS,
        modifier=codes.Code("255549009", "SCT", "Anterior"),
    )
    one = {1: order.masks[1]}
    made = parsed(replace(order, masks=one, reading=replace(order.reading, findings=(part,))))
    (segment,) = made[Role.SEG].SegmentSequence
    (modifier,) = segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence
    assert (modifier.CodeValue, segment.SegmentLabel) == ("255549009", "Hippocampus, anterior 1")
    region = segment.AnatomicRegionSequence[0].AnatomicRegionModifierSequence
    assert [m.CodeMeaning for m in region] == ["Right", "Anterior"]
    (site,) = items(made[Role.SR], "363698007")
    assert [m.ConceptCodeSequence[0].CodeMeaning for m in site.ContentSequence] == ["Right", "Anterior"]
    (done,) = items(made[Role.SR], codes.SUMMARY_OF_ANALYSES.value)
    assert done.ConceptCodeSequence[0].CodeValue == codes.SUCCEEDED.value
    assert "Structures measured by" in texts(made[Role.SR])
    assert "above threshold" not in texts(made[Role.SR])


def test_every_model_is_named_where_it_spoke(tmp_path: Path) -> None:
    order = judged_order(small_order(tmp_path))
    made = parsed(order)
    report, said = made[Role.SR], texts(made[Role.SR])
    for model in order.reading.model.each:
        assert f"Made by {model.name} {model.version} (sha256 {model.sha256}" in said
    groups = items(report, "125007")
    first = groups[0].ContentSequence
    own = [i.TextValue for i in first if i.ConceptNameCodeSequence[0].CodeValue == "111002"]
    assert own[0] == f"sha256 {order.reading.model.sha256}"
    assert own[-2:] == [f"with {m.name} {m.version}, sha256 {m.sha256}" for m in (SEGMENTER, RATER)]
    by = {}
    for number in (i for i in first if i.ValueType == "NUM"):
        names = [
            i.TextValue
            for i in number.ContentSequence
            if i.ValueType == "TEXT" and i.ConceptNameCodeSequence[0].CodeValue == "111001"
        ]
        by[number.ConceptNameCodeSequence[0].CodeValue] = names
    assert by[codes.VOLUME.value] == by[codes.PLANE_DIAMETER.value] == [SEGMENTER.name]
    assert (by[codes.READER_SUSPICION.value], by[codes.DOUBLING_TIME.value]) == ([RATER.name], [RULES.name])
    segments = made[Role.SEG].SegmentSequence
    names = [s.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName for s in segments]
    assert names == [SEGMENTER.name, order.reading.model.name]


def test_what_no_code_says_and_the_earlier_place_are_said(tmp_path: Path) -> None:
    order = judged_order(small_order(tmp_path))
    made = parsed(order)
    said = texts(made[Role.SR])
    assert "Nodule 1: Agreement with readers' rating: 34 % (18 to 52 %). Not a probability of cancer." in said
    assert "Nodule 1 in the earlier examination, slice 3: 7.9 × 6.1 mm, 0.19 ml" in said
    assert "Nodule 1, Description of Change = Increased: grown; volume +57 %" in said
    shown = [s.ReferencedSOPInstanceUID for s in made[Role.PICTURE].SourceImageSequence]
    assert "1.2.840.7.1.2" in shown and len(shown) == 3
