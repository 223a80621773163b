"""A running service reads hippocampus crops, each with the version that was champion when it was asked for."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread

from dicom_node.network.store import send_files
from imaging import codes
from imaging.geometry import Geometry
from models.publish import point
from models.store import ModelStore
from tests.integration.raysight import Raysight
from tests.integration.validators import assert_clean, measured, read_report, validate_file
from tests.pipelines.hippocampus.crops import MODEL, load_crop, release, study_uid, write_mr

pytestmark = pytest.mark.data
FIRST, SECOND = "101", "102"
THRESHOLDS = {FIRST: 0.4, SECOND: 0.8}
RELEASED = "1"
"""The version that is shipped: trained, and promoted by the gate."""


@dataclass
class House:
    """A running Raysight without a destination, its models, and a case to be sent under many names."""

    raysight: Raysight
    store: ModelStore
    crop: tuple[Any, Geometry]
    sent: list[str] = field(default_factory=list)

    def send(self, name: str) -> str:
        """C-STORE the crop as a study of its own; its UID."""
        array, geometry = self.crop
        files = write_mr(array, geometry, self.raysight.folder / name, name)
        outcomes = send_files(self.raysight.remote, "MODALITY", files)
        assert all(outcome.status == 0 for outcome in outcomes), outcomes
        self.sent.append(study_uid(name))
        return self.sent[-1]

    def read(self, name: str) -> Any:
        """Send, and wait until it is read; the reading's status."""
        (reading,) = self.raysight.wait_for(self.send(name))["readings"]
        assert reading["state"] == "read", reading
        return reading

    def objects(self, reading: Any) -> dict[str, Path]:
        folder = self.raysight.home / "results" / reading["key"]
        return {item["role"]: folder / item["profile"] / f"{item['role']}.dcm" for item in reading["objects"]}

    def asked(self, uid: str) -> Any:
        """The study's only reading as soon as it was asked for."""
        return self.raysight.wait_until(uid, lambda s: len(s["readings"]) == 1, "it is asked for")["readings"][0]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Iterator[House]:
    raysight = Raysight(
        tmp_path_factory.mktemp("hippocampus"),
        settings={
            "pipelines": ["hippocampus"],
            "completeness": {"quiet_seconds": 0.5, "count_interval_seconds": 0.2},
            "engine": {"threads": 1, "spinning": False},
        },
    )
    store = ModelStore.of_home(raysight.home)
    case = min((data_dir / "hippocampus" / "images").glob("*.nii.gz"))
    with raysight:
        yield House(raysight, store, load_crop(case))


@pytest.fixture(scope="module")
def first(house: House) -> Any:
    """A study that came while no version was champion, then read by the first."""
    point(house.store, MODEL, "champion", None)
    uid = house.send("early")
    waiting = house.asked(uid)
    assert (waiting["state"], waiting["starts"]) == ("queued", 0)
    assert waiting["reason"] == f"model {MODEL} has no champion: none was promoted"
    for version, threshold in THRESHOLDS.items():
        release(house.store, version, threshold)
    point(house.store, MODEL, "champion", FIRST)
    status = house.raysight.wait_for(uid)
    old, new = sorted(status["readings"], key=lambda r: r["state"] == "read")
    assert (old["state"], old["superseded"]) == ("superseded", True)
    assert new["state"] == "read"
    return new


def algorithm(report: Path) -> tuple[str, str, str]:
    """Name, version and first parameter, as the report's first group gives them."""
    group = hd.sr.srread(report).content.get_volumetric_roi_measurement_groups()[0]
    found: dict[str, str] = {}
    for item in group[0].ContentSequence:
        found.setdefault(str(item.ConceptNameCodeSequence[0].CodeValue), str(item.get("TextValue", "")))
    return found["111001"], found["111003"], found["111002"]


def test_nothing_is_lost_without_a_model(first: Any) -> None:
    assert first["model_version"] == FIRST


def test_the_objects_are_valid_and_come_back_equal(house: House, first: Any, tmp_path: Path) -> None:
    paths = house.objects(first)
    assert set(paths) == {"sr", "seg", "picture"}
    for path in paths.values():
        assert_clean(validate_file(path))
    report = hd.sr.srread(paths["sr"])
    segmentation = hd.seg.segread(paths["seg"])
    groups = {g["TrackingUniqueIdentifier"]: g for g in read_report(paths["sr"], tmp_path)["Measurements"]}
    modifiers, volumes = {}, []
    for number in segmentation.segment_numbers:
        described = segmentation.get_segment_description(number)
        kind = described.SegmentedPropertyTypeCodeSequence[0]
        assert described.segmented_property_category.value == codes.ANATOMICAL_STRUCTURE.value
        assert kind.CodeValue == codes.HIPPOCAMPUS.value
        modifiers[number] = [
            (m.CodeValue, m.CodeMeaning) for m in kind.get("SegmentedPropertyTypeModifierCodeSequence", ())
        ]
        pixels = segmentation.get_pixels_by_source_instance(
            [str(dcmread(p).SOPInstanceUID) for p in sorted((house.raysight.folder / "early").iterdir())],
            segment_numbers=[number],
            assert_missing_frames_are_empty=True,
        )
        volume = float(np.count_nonzero(pixels))  # 1 mm³ each
        volumes.append(volume)
        assert measured(groups[described.tracking_uid])[codes.VOLUME.value, None] == pytest.approx(volume)
    assert modifiers == {1: [("255549009", "Anterior")], 2: [("255551008", "Posterior")], 3: []}
    assert min(volumes) > 100
    assert volumes[0] + volumes[1] == volumes[2]
    found = report.content.get_volumetric_roi_measurement_groups()
    assert [g.tracking_identifier for g in found] == [
        "Hippocampus, anterior 1",
        "Hippocampus, posterior 2",
        "Hippocampus 3",
    ]
    parts = [g.finding_sites[0].topographical_modifier for g in found]
    assert [part and part.meaning for part in parts] == ["Anterior", "Posterior", None]


def test_each_result_names_the_version_that_read_it(house: House, first: Any) -> None:
    """Promoted, and rolled back: the next reading takes it, without a restart."""
    readings = [first]
    for version in (SECOND, RELEASED, FIRST):
        point(house.store, MODEL, "champion", version)
        readings.append(house.read(f"after {version}"))
    named = []
    for reading in readings:
        name, version, parameter = algorithm(house.objects(reading)["sr"])
        assert (name, parameter) == (MODEL, f"sha256 {house.store.version(MODEL, version).sha256}")
        segment = dcmread(house.objects(reading)["seg"]).SegmentSequence[0]
        assert segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion == version
        assert reading["model_version"] == version
        named.append(version)
    assert named == [FIRST, SECOND, RELEASED, FIRST]


def test_a_reading_ends_with_the_version_that_it_was_asked_for(house: House, first: Any) -> None:
    point(house.store, MODEL, "champion", FIRST)
    worker = house.raysight.pid("worker-0")
    assert worker is not None
    os.kill(worker, signal.SIGSTOP)
    try:
        uid = house.send("under way")
        assert house.asked(uid)["model_version"] == FIRST
        point(house.store, MODEL, "champion", SECOND)
    finally:
        os.kill(worker, signal.SIGCONT)
    (reading,) = house.raysight.wait_for(uid)["readings"]
    assert (reading["state"], reading["model_version"]) == ("read", FIRST)
    assert algorithm(house.objects(reading)["sr"])[1] == FIRST


def test_an_altered_version_is_waited_for_and_named(house: House, first: Any) -> None:
    point(house.store, MODEL, "champion", SECOND)
    file = house.store.version(MODEL, SECOND).path
    content = file.read_bytes()
    worker = house.raysight.pid("worker-0")
    assert worker is not None
    os.kill(worker, signal.SIGSTOP)
    try:
        uid = house.send("altered")
        assert house.asked(uid)["model_version"] == SECOND
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    finally:
        os.kill(worker, signal.SIGCONT)
    status = house.raysight.wait_until(
        uid, lambda s: "was altered" in (s["readings"][0]["reason"] or ""), "it says that the file was altered"
    )
    assert status["readings"][0]["state"] in ("queued", "reading")
    file.write_bytes(content)
    (reading,) = house.raysight.wait_for(uid)["readings"]
    assert (reading["state"], reading["model_version"], reading["reason"]) == ("read", SECOND, None)


def test_no_reading_failed(house: House, first: Any) -> None:
    """The last test of the file: of all that was sent."""
    for uid in house.sent:
        states = {r["state"] for r in house.raysight.study(uid)["readings"]}
        assert states <= {"read", "superseded"}
