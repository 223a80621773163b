"""Enhanced multi-frame CT: the same volume as from the classic slices it was made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian, RLELossless, generate_uid

from dicom_node.reader.headers import from_json, read_header, to_json
from dicom_node.reader.study import assemble_study
from dicom_node.reader.volume import build_volume, decode_slices
from imaging.errors import ImageError
from imaging.images import SliceSource
from imaging.reasons import ReasonKind


def item(**values):
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def enhanced(slices, make_ct):
    """An Enhanced CT of classic slices, in the order given: what they share stands in the shared groups."""
    first = slices[0]
    ds = make_ct(
        SOPClassUID=EnhancedCTImageStorage,
        ImageType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        ImagePositionPatient=None,
        ImageOrientationPatient=None,
        PixelSpacing=None,
        SliceThickness=None,
        RescaleSlope=None,
        RescaleIntercept=None,
        GantryDetectorTilt=None,
        ConvolutionKernel=None,
        Rows=first.Rows,
        Columns=first.Columns,
        NumberOfFrames=len(slices),
        PixelData=b"".join(s.pixel_array.astype("<i2").tobytes() for s in slices),
        CTAcquisitionDetailsSequence=[item(GantryDetectorTilt=0.0)],
        CTReconstructionSequence=[item(ConvolutionKernel="B70f")],
    )
    ds.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    measures = item(PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness)
    ds.SharedFunctionalGroupsSequence = [
        item(
            PixelMeasuresSequence=[measures],
            PlaneOrientationSequence=[item(ImageOrientationPatient=first.ImageOrientationPatient)],
            CTImageFrameTypeSequence=[item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "AXIAL"])],
        )
    ]
    ds.PerFrameFunctionalGroupsSequence = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=s.ImagePositionPatient)],
            PixelValueTransformationSequence=[
                item(RescaleSlope=s.RescaleSlope, RescaleIntercept=s.RescaleIntercept, RescaleType="HU")
            ],
        )
        for s in slices
    ]
    return ds


@pytest.fixture
def classic(tmp_path, make_ct, save):
    """Six classic slices in a folder, each with an intercept of its own."""
    folder = tmp_path / "classic"
    folder.mkdir()
    for k in range(6):
        save(make_ct(k + 1, 2.0 * k, RescaleIntercept=-1024 + k), folder / f"{k}")
    return folder


@pytest.fixture
def multiframe(classic, make_ct):
    slices = [dcmread(p) for p in sorted(classic.iterdir())]
    return enhanced([slices[k] for k in (3, 0, 5, 1, 4, 2)], make_ct)


def series(ds, path, save):
    save(ds, path)
    header = read_header(path, str(path))
    assert from_json(to_json(header)) == header
    (found,) = assemble_study([header]).series
    return found


def test_equal_to_the_classic_volume(classic, multiframe, tmp_path, save, series_of):
    expected = build_volume(series_of(classic), Path)
    found = series(multiframe, tmp_path / "enhanced", save)
    assert found.defect is None
    assert (found.orientation, found.spacing, found.thickness, found.kernel) == ("axial", 2.0, 1.0, "B70f")
    assert found.image_type == ("ORIGINAL", "PRIMARY", "VOLUME", "NONE", "AXIAL")
    instance = found.instances[0]
    assert (instance.rescale_type, instance.tilt, len(instance.frames)) == ("HU", 0.0, 6)
    volume = build_volume(found, Path)
    assert np.array_equal(volume.array, expected.array)
    assert volume.geometry == expected.geometry
    assert [s.frame for s in volume.slices] == [2, 4, 6, 1, 5, 3]
    assert volume.slices[0] == SliceSource(instance.sop_instance_uid, 2)
    assert np.array_equal(decode_slices(found, [5, 2], Path)[2], volume.array[2])


def test_compressed(classic, multiframe, tmp_path, save, series_of):
    multiframe.compress(RLELossless, generate_instance_uid=False)
    volume = build_volume(series(multiframe, tmp_path / "enhanced", save), Path)
    assert np.array_equal(volume.array, build_volume(series_of(classic), Path).array)


def test_two_instances_of_one_series(classic, multiframe, tmp_path, save, make_ct, series_of):
    slices = [dcmread(p) for p in sorted(classic.iterdir())]
    folder = tmp_path / "pair"
    folder.mkdir()
    for k, part in enumerate((slices[3:], slices[:3])):
        ds = enhanced(part, make_ct)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"2.25.50.{k}"
        save(ds, folder / f"{k}")
    volume = build_volume(series_of(folder), Path)
    assert np.array_equal(volume.array, build_volume(series_of(classic), Path).array)


def test_a_frame_without_place(multiframe, tmp_path, save):
    del multiframe.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence
    reason = series(multiframe, tmp_path / "enhanced", save).defect
    assert reason.kind is ReasonKind.MISSING_GEOMETRY
    assert "1 of 6" in reason.message


def test_fewer_frames_than_placed(multiframe, tmp_path, save):
    multiframe.NumberOfFrames = 4
    multiframe.PixelData = multiframe.PixelData[: 4 * 384]
    with pytest.raises(ImageError) as caught:
        build_volume(series(multiframe, tmp_path / "enhanced", save), Path)
    assert caught.value.reason.kind is ReasonKind.TRUNCATED


def test_several_frames_without_functional_groups(make_ct, save, tmp_path):
    ds = make_ct(NumberOfFrames=5, PixelData=bytes(5 * 384))
    assert series(ds, tmp_path / "frames", save).defect.kind is ReasonKind.MISSING_GEOMETRY


@pytest.mark.data
def test_a_real_slab_converted_by_highdicom(data_dir, tmp_path, save, series_of):
    from highdicom.legacy import LegacyConvertedEnhancedCTImage

    folder = tmp_path / "classic"
    folder.mkdir()
    slices = []
    for path in sorted((data_dir / "ct/lidc-0001-slab").iterdir()):
        ds = dcmread(path)
        ds.decompress(generate_instance_uid=False)
        # highdicom copies these and wants them present
        for keyword in ("PatientName", "PatientBirthDate", "AccessionNumber", "StudyID", "StudyTime"):
            if keyword not in ds:
                setattr(ds, keyword, "")
        ds.save_as(folder / path.name)
        slices.append(ds)
    uids = [generate_uid() for _ in range(2)]
    converted = LegacyConvertedEnhancedCTImage(
        slices, uids[0], 7, uids[1], 1, transfer_syntax_uid=ExplicitVRLittleEndian
    )
    path = tmp_path / "enhanced"
    converted.save_as(path)
    (found,) = assemble_study([read_header(path, str(path))]).series
    expected, volume = build_volume(series_of(folder), Path), build_volume(found, Path)
    assert np.array_equal(volume.array, expected.array)
    assert volume.geometry == expected.geometry
