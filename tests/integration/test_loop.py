"""A chest CT comes from a real PACS and goes back as confirmed SR, SEG and picture; once, however often it comes."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path
from typing import Any

import pydicom
import pytest

from service.cli.text import console, plain_table
from tests.integration.loop import Loop
from tests.integration.orthanc import Orthanc, dataset_digest

pytestmark = pytest.mark.data

STUDY = "1.3.6.1.4.1.14519.5.2.1.6279.6001.265704884949271879044145982159"
STAGES = ("decode", "volume", "lungs", "find", "measure", "compare", "read", "write", "send", "confirm")


@pytest.fixture(scope="module")
def confirmed(loop: Loop, data_dir: Path) -> Any:
    """The status of lidc-0314 after its way: the PACS sends it by its REST API, and gets the results."""
    images = sorted((data_dir / "ct" / "lidc-0314").glob("*.dcm"))
    for archive in (loop.pacs, loop.mirror):
        archive.upload(images)
    study = loop.pacs.study(STUDY)
    assert study is not None
    loop.pacs.send(study, "raysight")
    loop.raysight.wait_for(STUDY)
    return loop.raysight.status(STUDY)


def delivery(status: Any, destination: str) -> Any:
    (found,) = (d for d in status["readings"][0]["deliveries"] if d["destination"] == destination)
    return found


def archive(loop: Loop, destination: str) -> Orthanc:
    return {"pacs": loop.pacs, "mirror": loop.mirror}[destination]


def test_it_is_counted_and_read(confirmed: Any) -> None:
    assert confirmed["state"] == "confirmed"
    assert confirmed["evidence"]["kind"] == "counted"
    assert confirmed["instances"]["images"] == 275
    (reading,) = confirmed["readings"]
    assert (reading["state"], reading["starts"]) == ("read", 1)
    assert reading["findings"] >= 1


@pytest.mark.parametrize(("destination", "means"), [("pacs", "commitment"), ("mirror", "query")])
def test_the_results_stand_in_the_same_study_confirmed(
    loop: Loop, confirmed: Any, data_dir: Path, destination: str, means: str
) -> None:
    found = delivery(confirmed, destination)
    assert (found["state"], found["confirmed_by"], found["attempts"]) == ("confirmed", means, 1)
    there = archive(loop, destination).instances(STUDY)
    source = pydicom.dcmread(next((data_dir / "ct" / "lidc-0314").glob("*.dcm")), stop_before_pixels=True)
    modalities = set()
    for item in confirmed["readings"][0]["objects"]:
        file = archive(loop, destination).download(there[item["sop_instance_uid"]])
        ds = pydicom.dcmread(io.BytesIO(file))
        modalities.add(str(ds.Modality))
        for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "AccessionNumber", "StudyDate"):
            assert ds[keyword].value == source[keyword].value, keyword
        stored = loop.raysight.home / "results" / confirmed["readings"][0]["key"] / item["profile"]
        assert dataset_digest(file) == dataset_digest((stored / f"{item['role']}.dcm").read_bytes())
    assert modalities == {"SR", "SEG", "OT"}
    assert len(there) == 275 + 3


def test_the_times_by_stage(confirmed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (reading,) = confirmed["readings"]
    sent = delivery(confirmed, "pacs")
    times = reading["timings"] | {"send": sent["seconds"], "confirm": sent["confirm_seconds"]}
    assert set(times) == set(STAGES)
    assert all(seconds > 0 for stage, seconds in times.items() if stage != "compare")  # there is no earlier CT
    first, last, complete, finished = (
        datetime.fromisoformat(moment)
        for moment in (
            confirmed["first_received_at"],
            confirmed["last_received_at"],
            confirmed["complete_at"],
            reading["finished_at"],
        )
    )
    whole = {"receive": (last - first).total_seconds(), "complete": (complete - last).total_seconds()}
    assert sum(reading["timings"].values()) < (finished - complete).total_seconds()
    table = plain_table("Stage", "Seconds", right=("Seconds",))
    for stage in STAGES:
        whole[stage] = times[stage]
    for stage, seconds in whole.items():
        table.add_row(stage, f"{seconds:.2f}")
    with capsys.disabled():
        console().print(f"\n275 slices of lidc-0314 from {confirmed['source_ae']} and back", table, sep="\n")


def test_what_is_on_hold_is_not_sent(confirmed: Any) -> None:
    held = delivery(confirmed, "held")
    assert (held["state"], held["attempts"], held["sent_at"]) == ("held", 0, None)


def test_the_same_study_again_and_by_another_ae_changes_nothing(loop: Loop, confirmed: Any, data_dir: Path) -> None:
    study = loop.pacs.study(STUDY)
    assert study is not None
    before = loop.pacs.instances(STUDY)
    ours = {item["sop_instance_uid"] for item in confirmed["readings"][0]["objects"]}
    images = set(before) - ours
    loop.pacs.send(study, "raysight")
    loop.send(sorted((data_dir / "ct" / "lidc-0314").glob("*.dcm")), "OTHER")
    loop.raysight.wait("all came three times", lambda: loop.raysight.times_received(STUDY, images) == {3})
    after = loop.raysight.status(STUDY)
    assert after["readings"] == confirmed["readings"]
    assert (after["state"], after["check_at"]) == ("confirmed", None)
    assert after["source_ae"] == "ORTHANC"
    assert loop.pacs.instances(STUDY) == before


def test_our_own_results_routed_back_start_nothing(loop: Loop, confirmed: Any, tmp_path: Path) -> None:
    there = loop.pacs.instances(STUDY)
    ours = {item["sop_instance_uid"] for item in confirmed["readings"][0]["objects"]}
    files = []
    for uid in ours:
        files.append(tmp_path / f"{uid}.dcm")
        files[-1].write_bytes(loop.pacs.download(there[uid]))
    (already,) = loop.raysight.times_received(STUDY, ours) or {0}
    for _ in range(10):
        loop.send(files, "ORTHANC")
    loop.raysight.wait("all came ten times more", lambda: loop.raysight.times_received(STUDY, ours) == {already + 10})
    after = loop.raysight.status(STUDY)
    assert after["instances"]["ours"] == len(ours) == 3
    assert after["readings"] == confirmed["readings"]
    assert (after["state"], after["check_at"]) == ("confirmed", None)
