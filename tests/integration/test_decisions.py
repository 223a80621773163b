"""What people decide takes effect: ask, stop and start, retry; and another patient's study is never written to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from tests.integration.loop import Loop
from tests.integration.studies import Study, copy_study

pytestmark = pytest.mark.data

Small = Callable[..., Study]


@pytest.fixture
def small(data_dir: Path, tmp_path: Path) -> Small:
    """Makes studies of a few real slices by name: too few, so that a not-read report comes of each at once."""
    slices = sorted((data_dir / "ct" / "lidc-0001-slab").glob("*.dcm"))[:3]
    return lambda name, **changes: copy_study(slices, tmp_path, name, **changes)


def deliveries(status: Any) -> dict[str, Any]:
    """Those of the only reading, by destination."""
    (reading,) = status["readings"]
    return {item["destination"]: item for item in reading["deliveries"]}


def delivered(status: Any) -> bool:
    """Whether everybody who gets results has confirmed them."""
    return bool(status["readings"]) and {
        item["state"] for name, item in deliveries(status).items() if name != "held"
    } == {"confirmed"}


def test_a_study_that_is_asked_for_is_read_at_once(loop: Loop, small: Small) -> None:
    study = small("asked for")
    loop.send(study.files, "PATIENT")
    waits = loop.raysight.wait_for(study.uid, ["waiting"])
    assert "quiet" in waits["waiting_for"]
    assert waits["readings"] == []
    loop.raysight.run("ask", study.uid, "--who", "Dr Li")
    status = loop.raysight.wait_until(study.uid, delivered, "its report is delivered")
    assert (status["state"], status["evidence"]["kind"]) == ("not read", "asked")
    assert status["readings"][0]["reason_kind"] == "too-few-slices"


def test_a_stopped_pipeline_sends_nothing_until_it_is_started(loop: Loop, small: Small) -> None:
    studies = [small("stopped 1"), small("stopped 2")]
    loop.raysight.run("stop", "lung_nodule", "--note", "a test", "--who", "Dr Li")
    try:
        for study in studies:
            loop.send(study.files)
        for study in studies:
            status = loop.raysight.wait_for(study.uid, ["stopped"])
            for name in ("pacs", "mirror"):
                found = deliveries(status)[name]
                assert (found["state"], found["attempts"], found["sent_at"]) == ("stopped", 0, None)
        (stop,) = loop.raysight.status()["overview"]["stops"]
        assert (stop["pipeline"], stop["stopped_by"], stop["note"]) == ("lung_nodule", "Dr Li", "a test")
        assert loop.pacs.instances(studies[0].uid) == loop.mirror.instances(studies[0].uid) == {}
    finally:
        loop.raysight.run("start", "lung_nodule", "--who", "Dr Li")
    for study in studies:
        status = loop.raysight.wait_until(study.uid, delivered, "its report is delivered")
        (sr,) = status["readings"][0]["objects"]
        assert (
            list(loop.pacs.instances(study.uid)) == list(loop.mirror.instances(study.uid)) == [sr["sop_instance_uid"]]
        )


def test_a_study_of_another_patient_at_the_archive_parks_the_delivery(loop: Loop, small: Small) -> None:
    def another(ds: Dataset, number: int) -> None:
        ds.PatientID = "SOMEBODY-ELSE"

    wrong = small("wrong", change=another)
    study = small("right", change=lambda ds, number: setattr(ds, "StudyInstanceUID", wrong.uid))
    loop.pacs.upload(wrong.files)
    there = set(loop.pacs.instances(wrong.uid))
    loop.send(study.files)
    status = loop.raysight.wait_for(wrong.uid, ["parked"])
    parked = deliveries(status)["pacs"]
    assert parked["comment"] == "not sent: the archive's study differs from the source in Patient ID"
    assert set(loop.pacs.instances(wrong.uid)) == there
    # nobody else waits for it
    mirrored = loop.raysight.wait_until(
        wrong.uid, lambda s: deliveries(s)["mirror"]["state"] == "confirmed", "the other archive has it"
    )
    assert deliveries(mirrored)["pacs"]["state"] == "parked"

    for instance in loop.pacs.instances(wrong.uid).values():
        loop.pacs.delete(instance)
    loop.pacs.upload(study.files)
    loop.raysight.run("deliveries", "retry", str(parked["id"]), "--who", "Dr Li")
    loop.raysight.wait_until(wrong.uid, delivered, "its report is delivered")
    (sr,) = mirrored["readings"][0]["objects"]
    assert sr["sop_instance_uid"] in loop.pacs.instances(wrong.uid)
