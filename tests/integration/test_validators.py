"""Our objects before the public validators, and read back by dcmqi."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from pydicom import dcmread

from dicom_node.objects.order import ResultObject, ResultOrder, Role
from dicom_node.objects.profile import CharacterSet, Language, ObjectProfile, SRClass
from dicom_node.objects.write import write_objects
from imaging import codes
from imaging.geometry import Geometry
from imaging.images import Mask
from tests.dicom_node.objects.orders import (
    ct_geometry,
    finding,
    judged_order,
    not_read_order,
    order_for,
    reading,
    real_volume,
    small_order,
    with_slices,
    write_enhanced,
)
from tests.integration.validators import (
    assert_clean,
    evaluated,
    known_warnings,
    measured,
    on_grid,
    read_report,
    read_segments,
    validate_file,
)

SLAB = "ct/lidc-0001-slab"
NODULE = ((7, 365, 315), 11.0)
SMALL = ((11, 200, 150), 4.0)


@pytest.fixture(scope="module")
def slab(data_dir: Path) -> tuple[list[Path], Geometry, NDArray[np.float32]]:
    return real_volume(data_dir / SLAB)


@pytest.fixture(scope="module")
def order(slab: tuple[list[Path], Geometry, NDArray[np.float32]]) -> ResultOrder:
    paths, geometry, hu = slab
    return with_slices(order_for(paths, geometry, [NODULE, SMALL]), hu)


def save(objects: Sequence[ResultObject], folder: Path) -> dict[Role, Path]:
    paths = {}
    for item in objects:
        paths[item.role] = folder / f"{item.role}.dcm"
        paths[item.role].write_bytes(item.data)
    return paths


@pytest.mark.data
@pytest.mark.parametrize("sr_class", SRClass)
def test_report_of_each_class(order: ResultOrder, sr_class: SRClass, tmp_path: Path) -> None:
    paths = save(write_objects(replace(order, profile=ObjectProfile(sr_class))), tmp_path)
    assert_clean(validate_file(paths[Role.SR]))


@pytest.mark.data
@pytest.mark.parametrize("role", [Role.SEG, Role.PICTURE])
def test_segmentation_and_picture(order: ResultOrder, role: Role, tmp_path: Path) -> None:
    assert_clean(validate_file(save(write_objects(order), tmp_path)[role]))


@pytest.mark.data
def test_what_several_models_and_an_earlier_examination_tell(order: ResultOrder, tmp_path: Path) -> None:
    told = judged_order(order)
    paths = save(write_objects(told), tmp_path)
    for path in paths.values():
        assert_clean(validate_file(path))
    first = read_report(paths[Role.SR], tmp_path)["Measurements"][0]
    assert len(measured(first)) == len(told.reading.findings[0].measurements)
    assert {codes.PART_SOLID.value, codes.INCREASED.value, codes.LUNG_RADS_4B.value} <= evaluated(first)


@pytest.mark.data
def test_nothing_found(
    order: ResultOrder, slab: tuple[list[Path], Geometry, NDArray[np.float32]], tmp_path: Path
) -> None:
    none = replace(order, reading=reading(order.reading.study_instance_uid), masks={}, key_slices={7: slab[2][7]})
    paths = save(write_objects(none), tmp_path)
    assert set(paths) == {Role.SR, Role.PICTURE}
    for path in paths.values():
        assert_clean(validate_file(path))
    group = read_report(paths[Role.SR], tmp_path)["Measurements"][0]
    assert group["measurementItems"] == []
    assert codes.ALL_SUCCEEDED_NO_FINDINGS.value in evaluated(group)


@pytest.mark.data
def test_findings_without_masks(order: ResultOrder, tmp_path: Path) -> None:
    """As a point detector gives them; beside groups with a segment DicomSRValidator takes such for faulty."""
    sure = (replace(order.reading.findings[0], confidence=0.83),)
    paths = save(write_objects(replace(order, masks={}, reading=replace(order.reading, findings=sure))), tmp_path)
    assert set(paths) == {Role.SR, Role.PICTURE}
    assert_clean(validate_file(paths[Role.SR]))


@pytest.mark.data
def test_slice_taken_out(slab: tuple[list[Path], Geometry, NDArray[np.float32]], tmp_path: Path) -> None:
    paths = save(write_objects(not_read_order([*slab[0][:5], *slab[0][6:]])), tmp_path)
    assert set(paths) == {Role.SR}
    assert_clean(validate_file(paths[Role.SR]))
    group = read_report(paths[Role.SR], tmp_path)["Measurements"][0]
    assert {codes.NOT_ATTEMPTED.value, codes.OBJECT_SET_INCOMPLETE.value} <= evaluated(group)


# The same name and description as four kinds of Chinese source write them
CHINESE = {
    "GB18030": ("GB18030", "gb18030", b""),
    "GBK": ("GBK", "gbk", b""),
    "\\ISO 2022 IR 58": ("\\ISO 2022 IR 58", "gb2312", b"\x1b$)A"),
    "ISO_IR 192": ("ISO_IR 192", "utf-8", b""),
}


def chinese_copy(path: Path, target: Path, kind: str) -> Path:
    """A real header with Chinese text written in a source's own set (bytes put in, so no library re-encodes them)."""
    declared, codec, escape = CHINESE[kind]
    ds = dcmread(path)
    ds.SpecificCharacterSet = declared.split("\\")
    ideographs = escape + "王".encode(codec) + b"^" + escape + "小东".encode(codec)
    ds.add_new(0x00100010, "UN", b"Wang^XiaoDong=" + ideographs)
    ds.add_new(0x00081030, "UN", escape + "胸部 CT 平扫".encode(codec))
    for tag, vr in ((0x00100010, "PN"), (0x00081030, "LO")):
        ds[tag].VR = vr
    ds.save_as(target)
    return target


@pytest.mark.data
@pytest.mark.parametrize("kind", CHINESE)
@pytest.mark.parametrize("target", [CharacterSet.UTF8, CharacterSet.GB18030])
def test_chinese_sources(
    slab: tuple[list[Path], Geometry, NDArray[np.float32]], kind: str, target: CharacterSet, tmp_path: Path
) -> None:
    paths, geometry, hu = slab
    copies = [chinese_copy(path, tmp_path / path.name, kind) for path in paths]
    profile = ObjectProfile(character_set=target, language=Language.ZH)
    made = save(write_objects(with_slices(order_for(copies, geometry, [SMALL], profile=profile), hu)), tmp_path)
    for role, path in made.items():
        ds = dcmread(path)
        assert str(ds.PatientName) == "Wang^XiaoDong=王^小东"
        assert ds.StudyDescription == "胸部 CT 平扫"
        assert ds.SpecificCharacterSet == ("GB18030" if target is CharacterSet.GB18030 else "ISO_IR 192")
        if role is not Role.SR or kind == "GB18030":  # the SR's tree is the same for all; it takes the tool seconds
            assert_clean(validate_file(path))


@pytest.mark.data
def test_masks_and_measurements_come_back(order: ResultOrder, tmp_path: Path) -> None:
    assert order.geometry is not None
    third = finding(3, None, order.geometry, (4, 250, 140), confidence=0.83)
    order = replace(order, reading=replace(order.reading, findings=(*order.reading.findings, third)))
    paths = save(write_objects(order), tmp_path)
    images, metadata = read_segments(paths[Role.SEG])
    groups = {g["TrackingUniqueIdentifier"]: g for g in read_report(paths[Role.SR], tmp_path)["Measurements"]}
    assert order.geometry is not None
    assert len(groups) == len(order.reading.findings)
    for one in order.reading.findings:
        group = groups[order.tracking_uid(one)]
        items = measured(group)
        for m in one.measurements:
            key = (m.concept.value, m.derivation.value if m.derivation else None)
            assert items[key] == pytest.approx(m.value, rel=1e-12)
        assert group["Laterality"]["CodeValue"] == codes.RIGHT.value
        if one.number not in order.masks:
            assert items[codes.CERTAINTY.value, None] == pytest.approx(83)
            continue
        image = images[group["ReferencedSegment"]]
        assert np.array_equal(on_grid(image, order.geometry), order.masks[one.number].to_full())
        volume = np.count_nonzero(SimpleITK.GetArrayViewFromImage(image)) * float(np.prod(image.GetSpacing()))
        assert volume == pytest.approx(items[codes.VOLUME.value, None], rel=1e-3)
        attributes = metadata["segmentAttributes"][group["ReferencedSegment"] - 1][0]
        assert attributes["TrackingUniqueIdentifier"] == order.tracking_uid(one)


def test_enhanced_source(tmp_path: Path) -> None:
    order = order_for([write_enhanced(tmp_path)], ct_geometry(), [((3, 30, 20), 4.0), ((6, 20, 30), 3.0)])
    for path in save(write_objects(order), tmp_path).values():
        assert_clean(validate_file(path))


def test_every_known_warning_has_its_cause() -> None:
    known = known_warnings()
    assert known
    assert all(len(cause) > 20 for cause in known.values())


def test_overlapping_masks_are_kept_apart(tmp_path: Path) -> None:
    order = small_order(tmp_path)
    geometry = order.geometry
    assert geometry is not None
    full = order.masks[1].to_full()
    shifted = np.roll(full, 1, axis=1)
    both = {1: order.masks[1], 2: Mask.from_full(shifted, geometry)}
    images, _ = read_segments(save(write_objects(replace(order, masks=both)), tmp_path)[Role.SEG])
    assert np.array_equal(on_grid(images[1], geometry), full)
    assert np.array_equal(on_grid(images[2], geometry), shifted)
