"""Radiographs: sense of brightness, look-up tables, spacing and what it means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ComputedRadiographyImageStorage

from dicom_node.reader.headers import read_header
from dicom_node.reader.images import load_images
from dicom_node.reader.study import assemble_study
from imaging.errors import ImageError
from imaging.images import SliceSource
from imaging.reasons import ReasonKind

STORED = np.arange(16)[:, None] * 20 + np.arange(12) + 400


@pytest.fixture
def load(tmp_path, make_ct, save):
    def load(**changes):
        values = {
            "SOPClassUID": ComputedRadiographyImageStorage,
            "Modality": "CR",
            "BitsStored": 10,
            "HighBit": 9,
            "PixelRepresentation": 0,
            "RescaleSlope": None,
            "RescaleIntercept": None,
            "PixelSpacing": None,
            "ImagePositionPatient": None,
            "ImageOrientationPatient": None,
        }
        path = save(make_ct(**(values | changes)), tmp_path / "cr")
        (image,) = load_images(assemble_study([read_header(path, str(path))]).series, Path)
        return image

    return load


def test_stored_values(load):
    image = load()
    assert image.array.dtype == np.float32
    assert np.array_equal(image.array, STORED)
    assert not image.array.flags.writeable
    assert image.source == SliceSource("2.25.3.1")
    assert (image.pixel_spacing, image.spacing_kind) == (None, "none")


def test_monochrome1_is_turned_over(load):
    image = load(PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(image.array, 1023 - STORED)
    assert any("MONOCHROME1" in note for note in image.notes)
    rescaled = load(PhotometricInterpretation="MONOCHROME1", RescaleSlope=2, RescaleIntercept=-100)
    assert np.array_equal(rescaled.array, (1023 - STORED) * 2 - 100)
    signed = load(PhotometricInterpretation="MONOCHROME1", PixelRepresentation=1)
    assert np.array_equal(signed.array, -1 - np.where(STORED > 511, STORED - 1024, STORED))


def test_unused_high_bits_are_no_value(load):
    with_overlay = (STORED | 0x8000).astype("<u2")
    assert np.array_equal(load(PixelData=with_overlay.tobytes()).array, STORED)


def test_a_modality_lut(load):
    lut = Dataset()
    lut.add_new("LUTDescriptor", "US", [512, 400, 12])
    lut.add_new("LUTData", "OW", (np.arange(512) * 3).astype("<u2").tobytes())
    lut.ModalityLUTType = "OD"
    assert np.array_equal(load(ModalityLUTSequence=[lut]).array, (STORED - 400) * 3)
    turned = load(ModalityLUTSequence=[lut], PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(turned.array, 4095 - (STORED - 400) * 3)


def test_a_malformed_modality_lut(load):
    lut = Dataset()
    lut.ModalityLUTType = "OD"
    with pytest.raises(ImageError, match="Modality LUT"):
        load(ModalityLUTSequence=[lut])


@pytest.mark.parametrize(
    ("changes", "spacing", "kind"),
    [
        ({"PixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "imager"),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "imager"),
        ({"ImagerPixelSpacing": [0.2, 0.1], "PixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "imager"),
        ({"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.18, 0.18]}, (0.18, 0.18), "calibrated"),
        ({"PixelSpacing": [0.18, 0.18], "PixelSpacingCalibrationType": "FIDUCIAL"}, (0.18, 0.18), "calibrated"),
        ({"PixelSpacing": [0.0, 0.0]}, None, "none"),
    ],
)
def test_spacing(load, changes, spacing, kind):
    image = load(**changes)
    assert (image.pixel_spacing, image.spacing_kind) == (spacing, kind)


@pytest.mark.parametrize(
    "changes",
    [
        {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3},
        {"NumberOfFrames": 2, "PixelData": bytes(768)},
    ],
)
def test_what_is_no_radiograph(load, changes):
    with pytest.raises(ImageError) as caught:
        load(**changes)
    assert caught.value.reason.kind is ReasonKind.UNDECODABLE


@pytest.mark.data
def test_real_radiographs(data_dir):
    def image(stem):
        path = data_dir / f"bone_cr/{stem}.dcm"
        (found,) = load_images(assemble_study([read_header(path, str(path))]).series, Path)
        return found

    hip, tibia = image("RG2_JLSL"), image("RG3_JLSL")
    assert (hip.array.shape, hip.pixel_spacing, hip.spacing_kind) == ((2140, 1760), (0.2, 0.2), "imager")
    assert (tibia.array.shape, tibia.array.max(), tibia.spacing_kind) == ((1760, 1760), 1023, "none")
    # bone is bright: the shaft, in the middle of the picture, outshines the soft tissue beside it
    from pydicom import dcmread

    assert np.array_equal(tibia.array, 1023 - dcmread(data_dir / "bone_cr/RG3_JLSL.dcm").pixel_array)
