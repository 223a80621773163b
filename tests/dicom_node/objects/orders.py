"""Sources and result orders for the writers' tests: a small written CT, or real slices."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
from highdicom import legacy
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dicom_node.objects.order import Device, EarlierSlice, PriorStudy, ResultOrder
from dicom_node.objects.sources import read_sources
from dicom_node.objects.uids import derive_uid
from imaging import codes
from imaging.codes import Code
from imaging.geometry import Geometry
from imaging.images import Mask
from imaging.reading import (
    Assessment,
    EarlierPlace,
    Finding,
    Measurement,
    ModelIdentity,
    Reading,
    ReadingStatus,
)
from imaging.reasons import Reason, ReasonKind
from imaging.study import InstanceInfo, SeriesInfo

DEVICE = Device("Raysight", "0.1.0", "RS-1", derive_uid("test", "device"), "server room")
MODEL = ModelIdentity("lung-nodule-classical", "0.1.0", "0" * 63 + "1")
SUBTLETY = codes.Code("112998", "99RAYSIGHT", "Subtlety class")
OBVIOUS = codes.Code("112999", "99RAYSIGHT", "Obvious")
WRITTEN = datetime(2026, 11, 24, 6, 30, 15, 250000, tzinfo=UTC)
BEIJING = timezone(timedelta(hours=8))
SHAPE = (8, 64, 48)


def ct_header(index: int, **attributes: Any) -> Dataset:
    """A small CT image: slice ``index`` of 8, 0.8×0.7×2.5 mm, head upwards."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = f"1.2.826.0.1.3680043.8.498.1.{index + 1}"
    ds.StudyDate, ds.StudyTime = "20260301", "083000"
    ds.AccessionNumber = "A1"
    ds.Modality, ds.Manufacturer = "CT", "Maker"
    ds.StudyDescription = "Chest"
    ds.ReferringPhysicianName = ""
    ds.PatientName, ds.PatientID = "Doe^Jane", "P1"
    ds.PatientBirthDate, ds.PatientSex = "19700101", "F"
    ds.SliceThickness = "2.5"
    ds.StudyInstanceUID = "1.2.826.0.1.3680043.8.498.2"
    ds.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.3"
    ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = "S1", 3, 8 - index
    ds.SeriesDescription = "Lung 2.5"
    ds.FrameOfReferenceUID = "1.2.826.0.1.3680043.8.498.4"
    ds.PositionReferenceIndicator = ""
    ds.ImagePositionPatient = [-20, -30, -100 + 2.5 * index]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing = [0.8, 0.7]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = SHAPE[1:]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.WindowCenter, ds.WindowWidth = -600, 1600
    ds.RescaleIntercept, ds.RescaleSlope = 0, 1
    ds.PixelData = np.zeros(SHAPE[1:], np.int16).tobytes()
    for keyword, value in attributes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # malformed values are given on purpose
                setattr(ds, keyword, value)
    return ds


def write_file(ds: Dataset, path: Path) -> Path:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcmwrite(path, ds, enforce_file_format=True)
    return path


def write_ct(
    folder: Path, change: Callable[[int, Dataset], None] = lambda i, ds: None, **attributes: Any
) -> list[Path]:
    """Eight slices as files, feet first; ``change`` may alter each before it is written."""
    paths = []
    for index in range(SHAPE[0]):
        ds = ct_header(index, **attributes)
        change(index, ds)
        paths.append(write_file(ds, folder / f"{index}.dcm"))
    return paths


def write_enhanced(folder: Path) -> Path:
    """The eight slices as one enhanced multi-frame CT, head first."""
    datasets = [dcmread(path) for path in write_ct(folder)]
    for ds in datasets:
        ds.AcquisitionNumber = 1
    path = folder / "enhanced.dcm"
    legacy.LegacyConvertedEnhancedCTImage(datasets[::-1], "1.2.3.9", 7, "1.2.3.10", 1).save_as(path)
    return path


def ct_geometry() -> Geometry:
    positions = np.array([[-20, -30, -100 + 2.5 * i] for i in range(SHAPE[0])], dtype=float)
    return Geometry.from_stack(SHAPE, positions, [1, 0, 0, 0, 1, 0], [0.8, 0.7])


def ball(geometry: Geometry, centre: Sequence[float], radius: float) -> Mask:
    """The voxels within ``radius`` mm of an index."""
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in geometry.shape), indexing="ij"), axis=-1)
    away = np.linalg.norm(geometry.to_mm(grid) - geometry.to_mm(centre), axis=-1)
    return Mask.from_full(away <= radius, geometry)


def finding(number: int, mask: Mask | None, geometry: Geometry, centre: Sequence[float], **changes: Any) -> Finding:
    volume = mask.volume if mask is not None else 100.0
    values: dict[str, Any] = {
        "number": number,
        "category": codes.ABNORMAL_STRUCTURE,
        "kind": codes.NODULE,
        "site": codes.LUNG,
        "laterality": codes.RIGHT,
        "place": f"right lung, slice {int(centre[0]) + 1}",
        "centre": tuple(float(v) for v in geometry.to_mm(centre)),
        "key_slice": int(centre[0]),
        "measurements": (
            Measurement(codes.LONG_AXIS, 9.25, codes.MM, error=0.7),
            Measurement(codes.SHORT_AXIS, 7.125, codes.MM),
            Measurement(codes.DIAMETER, 8.1875, codes.MM, derivation=codes.MEAN),
            Measurement(codes.VOLUME, volume, codes.MM3),
            Measurement(codes.ATTENUATION, -12.5, codes.HU, derivation=codes.MEAN),
        ),
        "assessments": (Assessment(SUBTLETY, OBVIOUS, "volume above 80 mm³"),),
    }
    return Finding(**{**values, **changes})


def reading(study: str, findings: Sequence[Finding] = (), **changes: Any) -> Reading:
    values: dict[str, Any] = {
        "study_instance_uid": study,
        "pipeline": "lung_nodule",
        "pipeline_version": "0.1.0",
        "model": MODEL,
        "status": ReadingStatus.READ,
        "procedure": codes.CT_STUDY,
        "conclusion": "Marks to be looked at by a radiologist; other disease is not looked for."
        if findings
        else "No mark above threshold by lung-nodule-classical 0.1.0; does not exclude nodules.",
        "analysed": "Both lungs.",
        "findings": tuple(findings),
        "excluded": (Reason(ReasonKind.LOCALIZER, "series 1 (Scout) is a localizer", "1.2.3.4"),),
        "notes": ("slices of 2.5 mm: outside tested range",),
        "window": (-600.0, 1500.0),
    }
    return Reading(**{**values, **changes})


def order_for(
    paths: Sequence[Path], geometry: Geometry, balls: Sequence[tuple[Sequence[float], float]], **changes: Any
) -> ResultOrder:
    """An order on files: a finding with its mask for each (centre index, radius mm)."""
    sources = read_sources(paths)
    masks = {n: ball(geometry, centre, radius) for n, (centre, radius) in enumerate(balls, start=1)}
    findings = [finding(n, masks[n], geometry, centre) for n, (centre, _) in enumerate(balls, start=1)]
    values: dict[str, Any] = {
        "key": "a" * 64,
        "reading": reading(sources.carrier.StudyInstanceUID, findings),
        "sources": sources,
        "device": DEVICE,
        "written_at": WRITTEN,
        "time_zone": BEIJING,
        "masks": masks,
        "geometry": geometry,
        "key_slices": {f.key_slice: np.full(geometry.shape[1:], -800, np.float32) for f in findings},
    }
    return ResultOrder(**{**values, **changes})


def small_order(folder: Path, **changes: Any) -> ResultOrder:
    """Two findings on the written CT."""
    return order_for(write_ct(folder), ct_geometry(), [((3, 30, 20), 4.0), ((6, 20, 30), 3.0)], **changes)


SEGMENTER = ModelIdentity("segmenter", "3", "2" * 64, "float32")
RATER = ModelIdentity("rater", "4", "3" * 64, "float32")
RULES = ModelIdentity("rules", "0.2.0", "4" * 64)
EARLIER_STUDY = "1.2.840.7"


def judged_order(order: ResultOrder) -> ResultOrder:
    """The order's first finding as several models and an earlier examination tell of it; the others as they are."""
    first, *others = order.reading.findings
    sized = tuple(replace(m, by=SEGMENTER) for m in first.measurements)
    told = (
        Measurement(codes.PLANE_DIAMETER, 8.4, codes.MM, error=0.7, by=SEGMENTER),
        Measurement(codes.MAXIMUM_DIAMETER, 9.9, codes.MM, error=0.7, by=SEGMENTER),
        Measurement(codes.SOLID_SIZE, 4.1, codes.MM, codes.MEAN, 0.6, SEGMENTER),
        Measurement(codes.SOLID_VOLUME, 36.0, codes.MM3, error=9.0, by=SEGMENTER),
        Measurement(codes.READER_SUSPICION, 34.0, codes.PERCENT, by=RATER),
        Measurement(codes.PROBABILITY_OF_CANCER, 8.3, codes.PERCENT, by=RULES),
        Measurement(codes.VOLUME_CHANGE, 57.0, codes.PERCENT, by=RULES),
        Measurement(codes.DOUBLING_TIME, 276.0, codes.DAY, by=RULES),
    )
    row = Code("FL17-S1-GT8", "99RAYSIGHT", "Fleischner 2017, table row S1-GT8")
    coded = (
        Assessment(codes.COMPOSITION, codes.PART_SOLID),
        Assessment(codes.CHANGE, codes.INCREASED, "grown; volume +57 % (95 % +31 to +88 %) in 180 days"),
        Assessment(codes.LUNG_RADS, codes.LUNG_RADS_4B, "Lung-RADS v2022, this nodule, if confirmed: category 4B"),
        Assessment(codes.ASSESSMENT_CATEGORY, row, "Fleischner 2017, this nodule, if confirmed: row FL17-S1-GT8"),
    )
    judged = replace(
        first,
        measurements=sized + told,
        assessments=coded,
        notes=("Agreement with readers' rating: 34 % (18 to 52 %). Not a probability of cancer.",),
        outlined_by=SEGMENTER,
        earlier=EarlierPlace("1.2.840.7.1", 2, 30.0, 20.0, "7.9 × 6.1 mm, 0.19 ml"),
    )
    series = SeriesInfo("1.2.840.7.1", "CT", tuple(_earlier_image(n) for n in range(4)), 3, description="Lung")
    shown = EarlierSlice(
        np.full((60, 50), -700, np.float32), (0.8, 0.7), (1, 0, 0, 0, 1, 0), CTImageStorage, "1.2.840.7.1.2", None, 4
    )
    model = replace(order.reading.model, parts=(SEGMENTER, RATER))
    return replace(
        order,
        reading=replace(
            order.reading, model=model, findings=(judged, *others), prior_study_instance_uid=EARLIER_STUDY
        ),
        prior=PriorStudy(EARLIER_STUDY, date(2026, 5, 1), (series,)),
        earlier_slices={2: shown},
    )


def _earlier_image(number: int) -> InstanceInfo:
    uid = f"1.2.840.7.1.{number}"
    return InstanceInfo(
        EARLIER_STUDY, "1.2.840.7.1", uid, CTImageStorage, "", uid, uid, is_image=True, ours=False, modality="CT"
    )


def not_read_order(paths: Sequence[Path], kind: ReasonKind = ReasonKind.MISSING_SLICE, **changes: Any) -> ResultOrder:
    sources = read_sources(paths)
    study = sources.carrier.StudyInstanceUID
    reason = Reason(kind, "series 3 (Lung): a slice is missing at -95.0 mm; send the series again", "1.2.3.5")
    said = reading(study, (), status=ReadingStatus.NOT_READ, reason=reason, conclusion="", analysed="")
    values: dict[str, Any] = {
        "key": "b" * 64,
        "reading": said,
        "sources": sources,
        "device": DEVICE,
        "written_at": WRITTEN,
        "time_zone": BEIJING,
    }
    return ResultOrder(**{**values, **changes})


def real_volume(folder: Path) -> tuple[list[Path], Geometry, NDArray[np.float32]]:
    """A real classic CT series: files from feet to head, grid, HU."""
    files = sorted(folder.glob("*.dcm"))
    datasets = sorted(((dcmread(f), f) for f in files), key=lambda pair: float(pair[0].ImagePositionPatient[2]))
    first = datasets[0][0]
    hu = np.stack([d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept) for d, _ in datasets])
    positions = np.array([d.ImagePositionPatient for d, _ in datasets], dtype=float)
    shape = (len(datasets), int(first.Rows), int(first.Columns))
    geometry = Geometry.from_stack(shape, positions, first.ImageOrientationPatient, first.PixelSpacing)
    return [f for _, f in datasets], geometry, hu.astype(np.float32)


def with_slices(order: ResultOrder, hu: NDArray[np.float32]) -> ResultOrder:
    """The order with the key slices of its findings taken from a volume."""
    return replace(order, key_slices={f.key_slice: hu[f.key_slice] for f in order.reading.findings})
