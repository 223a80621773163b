"""Every object of whole scans: clean for the validators, equal when read back, the same by network and by folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from pydicom import Dataset, dcmread

from dicom_node.network.peers import RemoteAE
from dicom_node.network.store import send_files
from dicom_node.objects.encode import TIME_ATTRIBUTES
from dicom_node.reader.folder import read_folder
from dicom_node.reader.images import load_images
from dicom_node.reader.study import assemble_study
from imaging import codes
from imaging.geometry import Geometry
from imaging.images import Volume
from imaging.pipeline import NoEngine, Selection
from imaging.reading import PipelineResult
from service.configuration import SHIPPED, load
from tests.integration.raysight import Raysight
from tests.integration.validators import (
    assert_clean,
    evaluated,
    measured,
    on_grid,
    read_report,
    read_segments,
    validate_file,
)

pytestmark = pytest.mark.data

SCANS = [
    "lidc-0001",
    "lidc-0314",
    pytest.param("lidc-0002", marks=pytest.mark.long),
    pytest.param("lidc-0003", marks=pytest.mark.long),
    pytest.param("lidc-0050", marks=pytest.mark.long),
]
READ = {"lung_nodule-sr.dcm", "lung_nodule-seg.dcm", "lung_nodule-picture.dcm"}
NOTHING_MARKED = READ - {"lung_nodule-seg.dcm"}


def read(folder: Path, place: Path, **pipeline: Any) -> tuple[Any, dict[str, Path]]:
    """`raysight read`: its one result as JSON, and the objects by file name."""
    raysight = Raysight(place / "raysight", pipelines={"lung_nodule": pipeline} if pipeline else {})
    raysight.write_configuration()
    answer = json.loads(raysight.run("read", str(folder), "--out", str(place / "out"), "--json").stdout)
    (result,) = answer["results"]
    return result, {path.name: path for path in (place / "out").rglob("*.dcm")}


def interpret(folder: Path) -> tuple[PipelineResult, Geometry]:
    """What the pipeline itself says about a scan, and the grid on which it says it."""
    pipeline = load(SHIPPED).pipelines["lung_nodule"]
    headers, _ = read_folder(folder)
    selection = pipeline.select(assemble_study(headers))
    assert isinstance(selection, Selection)
    images = load_images(selection.series, Path)
    assert isinstance(images[0], Volume)
    return pipeline.read(images, selection, NoEngine()), images[0].geometry


@pytest.mark.parametrize("scan", SCANS)
def test_objects_are_clean_and_come_back_equal(data_dir: Path, tmp_path: Path, scan: str) -> None:
    folder = data_dir / "ct" / scan
    answer, objects = read(folder, tmp_path)
    assert answer["status"] == "read"
    for path in objects.values():
        assert_clean(validate_file(path))
    result, geometry = interpret(folder)
    findings = result.reading.findings
    groups = read_report(objects["lung_nodule-sr.dcm"], tmp_path)["Measurements"]
    if not findings:
        assert objects.keys() == NOTHING_MARKED
        assert codes.ALL_SUCCEEDED_NO_FINDINGS.value in evaluated(groups[0])
        return
    assert objects.keys() == READ
    assert len(groups) == len(findings)
    images, _ = read_segments(objects["lung_nodule-seg.dcm"])
    for finding, group in zip(findings, groups, strict=True):
        items = measured(group)
        assert items == {
            (m.concept.value, m.derivation.value if m.derivation else None): pytest.approx(m.value, rel=1e-9)
            for m in finding.measurements
        }
        image = images[group["ReferencedSegment"]]
        assert np.array_equal(on_grid(image, geometry), result.masks[finding.number].to_full())
        volume = np.count_nonzero(SimpleITK.GetArrayViewFromImage(image)) * float(np.prod(image.GetSpacing()))
        assert volume == pytest.approx(items[codes.VOLUME.value, None], rel=1e-3)


def test_report_about_what_is_not_ours(data_dir: Path, tmp_path: Path) -> None:
    folder = data_dir / "ct" / "ircadb-17"
    answer, objects = read(folder, tmp_path / "as shipped")
    assert answer["reading"]["reason"]["kind"] == "wrong-body-part"
    assert objects == {}
    answer, objects = read(folder, tmp_path / "told", **shipped_pipeline(report_not_ours=True))
    assert answer["reading"]["reason"]["kind"] == "wrong-body-part"
    assert objects.keys() == {"lung_nodule-sr.dcm"}
    assert_not_read(objects["lung_nodule-sr.dcm"], tmp_path, codes.OBJECT_TYPES_NOT_SUPPORTED)


def test_report_about_a_missing_slice(data_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scan"
    shutil.copytree(data_dir / "ct" / "lidc-0001", folder)
    sorted(folder.iterdir(), key=lambda path: dcmread(path, stop_before_pixels=True).ImagePositionPatient[2])[
        60
    ].unlink()
    answer, objects = read(folder, tmp_path)
    assert answer["reading"]["reason"]["kind"] == "missing-slice"
    assert objects.keys() == {"lung_nodule-sr.dcm"}
    assert_not_read(objects["lung_nodule-sr.dcm"], tmp_path, codes.OBJECT_SET_INCOMPLETE)


def shipped_pipeline(**changes: Any) -> dict[str, Any]:
    """The shipped pipeline's configuration with changes."""
    return {**load(SHIPPED).pipelines["lung_nodule"].configuration, **changes}


def assert_not_read(report: Path, folder: Path, reason: codes.Code) -> None:
    assert_clean(validate_file(report))
    (group,) = read_report(report, folder)["Measurements"]
    assert group["measurementItems"] == []
    assert evaluated(group) >= {codes.NONE_SUCCEEDED_NO_FINDINGS.value, codes.NOT_ATTEMPTED.value, reason.value}


@pytest.fixture
def raysight(tmp_path: Path) -> Iterator[Raysight]:
    with Raysight(tmp_path / "raysight") as running:
        yield running


def test_network_and_folder_make_the_same_objects(raysight: Raysight, data_dir: Path, tmp_path: Path) -> None:
    files = sorted((data_dir / "ct" / "lidc-0001").iterdir())
    outcomes = send_files(RemoteAE(raysight.ae_title, "127.0.0.1", raysight.port), "MODALITY", files)
    assert all(outcome.status == 0x0000 for outcome in outcomes)
    study = str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    raysight.wait_for(study, ["read", "held"])
    raysight.run("read", str(files[0].parent), "--out", str(tmp_path / "out"))
    by_network = {path.name: dcmread(path) for path in (raysight.home / "results").rglob("*.dcm")}
    by_folder = {path.name.removeprefix("lung_nodule-"): dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")}
    assert by_network.keys() == by_folder.keys() == {"sr.dcm", "seg.dcm", "picture.dcm"}
    for name, one in by_network.items():
        other = by_folder[name]
        assert one.file_meta == other.file_meta
        differing = set(differences(one, other))
        assert differing  # they were written at different times
        assert differing <= TIME_ATTRIBUTES


def differences(one: Dataset, other: Dataset) -> Iterator[str]:
    """Keywords of the elements, at any depth, that aren't equal."""
    for tag in one.keys() | other.keys():
        mine, theirs = one.get(tag), other.get(tag)
        if mine is None or theirs is None or mine.VR != theirs.VR:
            yield f"{tag} in one of them only"
        elif mine.VR != "SQ":
            if mine.value != theirs.value:
                yield mine.keyword
        elif len(mine.value) != len(theirs.value):
            yield f"{mine.keyword}: number of items"
        else:
            for own, foreign in zip(mine.value, theirs.value, strict=True):
                yield from differences(own, foreign)
