"""One image in every transfer syntax that a PACS sends, and what a damaged stream gives."""

from __future__ import annotations

import shutil
import subprocess
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    HTJ2K,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from dicom_node.reader.headers import read_header
from dicom_node.reader.images import load_images
from dicom_node.reader.study import assemble_study
from dicom_node.reader.volume import build_volume, decode_slices
from imaging.errors import ImageError
from imaging.reasons import ReasonKind


@pytest.fixture
def slab(data_dir, tmp_path):
    """Four slices of a real CT, uncompressed, in a folder."""
    folder = tmp_path / "slab"
    folder.mkdir()
    for path in sorted((data_dir / "ct/lidc-0001-slab").iterdir())[:4]:
        ds = dcmread(path)
        ds.decompress(generate_instance_uid=False)
        ds.save_as(folder / path.name)
    return folder


def transcoded(slab, tmp_path, change):
    folder = tmp_path / "coded"
    folder.mkdir()
    for path in sorted(slab.iterdir()):
        change(path, folder / path.name)
    return folder


def by_pydicom(syntax):
    def change(source, target):
        ds = dcmread(source)
        if syntax.is_encapsulated:
            ds.compress(syntax, generate_instance_uid=False)
            ds.save_as(target)
        else:
            ds.file_meta.TransferSyntaxUID = syntax
            ds.save_as(target, implicit_vr=syntax.is_implicit_VR, little_endian=True)

    return change


def by_dcmtk(*command):
    def change(source, target):
        if shutil.which(command[0]) is None:
            pytest.skip("dcmtk isn't installed")
        subprocess.run([*command, source, target], check=True, capture_output=True)

    return change


LOSSLESS = {
    "implicit": by_pydicom(ImplicitVRLittleEndian),
    "explicit": by_pydicom(ExplicitVRLittleEndian),
    "deflated": by_pydicom(DeflatedExplicitVRLittleEndian),
    "RLE": by_pydicom(RLELossless),
    "JPEG-LS": by_pydicom(JPEGLSLossless),
    "JPEG 2000": by_pydicom(JPEG2000Lossless),
    "big endian by dcmtk": by_dcmtk("dcmconv", "+tb"),
    "deflated by dcmtk": by_dcmtk("dcmconv", "+td"),
    "RLE by dcmtk": by_dcmtk("dcmcrle", "+un"),
    "JPEG lossless by dcmtk": by_dcmtk("dcmcjpeg", "+e1", "+un"),
    "JPEG lossless, any predictor, by dcmtk": by_dcmtk("dcmcjpeg", "+el", "+un"),
    "JPEG-LS by dcmtk": by_dcmtk("dcmcjpls", "+un"),
}


@pytest.mark.data
@pytest.mark.parametrize("coding", sorted(LOSSLESS))
def test_lossless(slab, tmp_path, series_of, coding):
    expected = build_volume(series_of(slab), Path)
    volume = build_volume(series_of(transcoded(slab, tmp_path, LOSSLESS[coding])), Path)
    assert np.array_equal(volume.array, expected.array)
    assert volume.geometry == expected.geometry


@pytest.mark.data
def test_near_lossless_jpeg_ls(slab, tmp_path, series_of):
    expected = build_volume(series_of(slab), Path)

    def change(source, target):
        ds = dcmread(source)
        # pydicom refuses to code signed values lossily, so they are coded as unsigned ones
        ds.PixelData = (np.frombuffer(ds.PixelData, "<i2").astype(int) + 2048).astype("<u2").tobytes()
        ds.PixelRepresentation, ds.BitsStored, ds.HighBit = 0, 16, 15
        ds.RescaleIntercept -= 2048
        del ds.PixelPaddingValue
        ds.add_new("PixelPaddingValue", "US", 48)
        ds.compress(JPEGLSNearLossless, jls_error=4, generate_instance_uid=False)
        ds.save_as(target)

    coded = transcoded(slab, tmp_path, change)
    volume = build_volume(series_of(coded), Path)
    assert volume.padded is not None
    difference = np.abs(volume.array.astype(int) - expected.array)
    assert difference.max() <= 4
    assert np.array_equal(volume.padded, expected.padded)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "worst", "mean"),
    [
        ("RG2_JPLY", 101, 4),  # JPEG Extended, 12 bits: lossy
        ("RG3_J2KR", 0, 0),
        ("RG3_JPLL", 0, 0),
        ("RG3_JPLY", 60, 2),
        ("RG3_RLE", 0, 0),
    ],
)
def test_radiographs_equal_their_lossless_sibling(data_dir, name, worst, mean):
    def image(stem):
        path = data_dir / f"bone_cr/{stem}.dcm"
        (found,) = load_images(assemble_study([read_header(path, str(path))]).series, Path)
        return found

    difference = np.abs(image(name).array - image(f"{name[:3]}_JLSL").array)
    assert difference.max() <= worst
    assert difference.mean() <= mean


def damaged(slab, syntax, cut):
    """The slab with one slice whose compressed frame lost the bytes that ``cut`` takes."""
    path = sorted(slab.iterdir())[1]
    ds = dcmread(path)
    ds.compress(syntax, generate_instance_uid=False)
    (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
    ds.PixelData = encapsulate([cut(frame)])
    ds.save_as(path)
    return slab


@pytest.mark.data
@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_a_compressed_frame_cut_short(slab, series_of, syntax):
    series = series_of(damaged(slab, syntax, lambda frame: frame[: len(frame) // 2]))
    with pytest.raises(ImageError) as caught:
        build_volume(series, Path)
    assert caught.value.reason.kind in {ReasonKind.TRUNCATED, ReasonKind.UNDECODABLE}


@pytest.mark.data
@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_a_compressed_frame_of_garbage(slab, series_of, syntax):
    series = series_of(damaged(slab, syntax, lambda frame: bytes(frame[:2]) + bytes(500) + b"\xff\xd9"))
    with pytest.raises(ImageError) as caught:
        decode_slices(series, [0, 1, 2, 3], Path)
    assert caught.value.reason.kind is ReasonKind.UNDECODABLE


@pytest.mark.data
def test_no_frame_at_all(slab, series_of):
    path = sorted(slab.iterdir())[1]
    ds = dcmread(path)
    ds.compress(JPEGLSLossless, generate_instance_uid=False)
    ds.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0"  # an offset table and no frame
    ds.save_as(path)
    with pytest.raises(ImageError) as caught:
        build_volume(series_of(slab), Path)
    assert caught.value.reason.kind is ReasonKind.TRUNCATED


# 16 x 12 values row * 20 + column + 400, coded losslessly by OpenJPH 0.26.3
HTJ2K_STREAM = (
    "/0//UQApQAAAAAAMAAAAEAAAAAAAAAAAAAAADAAAABAAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQkJCQkJCQ"
    "iIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAGIAAf+TwAAmHfwFB3QAAMAAEsAAEoDwAMd0AGwBh3QAoAAJgLS0AENUAMAAEsAA"
    "FSDir9t0AFgM+8AIQIy2AMAAJoAAVoAA3ilL5QCmMcaY/AAA9gAB7LkA/9k="
)


@pytest.mark.parametrize("syntax", [HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K])
def test_high_throughput_jpeg_2000(tmp_path, make_ct, save, series_of, syntax):
    for k in range(3):
        ds = make_ct(k + 1, float(k), PixelRepresentation=0)
        ds.file_meta.TransferSyntaxUID = syntax
        ds.PixelData = encapsulate([b64decode(HTJ2K_STREAM)])
        ds["PixelData"].VR = "OB"
        save(ds, tmp_path / f"{k}")
    volume = build_volume(series_of(tmp_path), Path)
    assert np.array_equal(volume.array[0], np.arange(16)[:, None] * 20 + np.arange(12) + 400 - 1024)
