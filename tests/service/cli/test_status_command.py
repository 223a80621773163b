"""`status` and what a person decides, on a filled database."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dicom_node.blobs import LocalBlobStore
from imaging import codes
from imaging.codes import Code
from imaging.reading import Finding, ModelIdentity, PipelineResult, Reading, ReadingStatus
from service.database import tables
from service.workflows.results import ResultStore

UID = "1.3.6.1.4.1.14519.5.2.1.6279.6001.298806137288633453246975630178"
Run = Callable[..., Any]


def keep(folders: tuple[str, ...], key: str, *categories: Code) -> None:
    """What was read, as the worker stores it: one finding of each category."""
    findings = tuple(
        Finding(n, category, codes.HIPPOCAMPUS, codes.HIPPOCAMPUS, None, "", (0, 0, 0), 0)
        for n, category in enumerate(categories, start=1)
    )
    reading = Reading(
        UID, "p", "1", ModelIdentity("m", "1", ""), ReadingStatus.READ, codes.MR_STUDY, "", findings=findings
    )
    ResultStore(LocalBlobStore(Path(folders[3]) / "results")).put_result(key, PipelineResult(reading, {}))


@pytest.fixture
def filled(hands: Any, folders: tuple[str, ...]) -> Any:
    """One study read and refused by the archive, one not read, one waiting."""
    at = {"complete_at": None, "waiting_for": "12 of 30 instances are here, as CT1 counts"}
    hands.study("9.9.1", minutes=9, check_at=hands.noon, **at)
    hands.study(UID, evidence={"kind": "quiet", "at": "", "detail": "nothing came from CT1 for 60 s"})
    hands.instance(UID)
    hands.instance(UID, conflict=True)
    key = hands.reading(study=UID, timings={"decode": 1.25, "read": 9.0})
    keep(folders, key, codes.ABNORMAL_STRUCTURE, codes.ABNORMAL_STRUCTURE)
    comment = "refused with A700: out of resources"
    hands.delivery(study=UID, state="parked", comment=comment, attempts=2)
    hands.study("9.9.2", minutes=-9)
    hands.reading(
        "n", study="9.9.2", state="not read", findings=None, reason_kind="gantry-tilt", reason="tilted by 12°"
    )
    return hands


def test_the_overview_for_people(raysight: Run, filled: Any) -> None:
    output = raysight("status").stdout
    for words in ("node is down", "1 parked", "1 waiting", "1 not read", "PACS@10.1.2.3:104", "out of resources"):
        assert words in output
    assert f"…{UID[-23:]}" in output and "waits: 12 of 30" in output
    assert max(len(line) for line in output.splitlines()) <= 100


def test_the_overview_for_machines(raysight: Run, filled: Any) -> None:
    found = json.loads(raysight("status", "--json").stdout)
    assert found["overview"]["studies"] == {"parked": 1, "waiting": 1, "not read": 1}
    assert [s["study_instance_uid"] for s in found["studies"]] == ["9.9.1", UID, "9.9.2"]
    assert found["studies"][0]["last_received_at"] == "2026-11-24T12:09:00Z"
    listed = json.loads(raysight("status", "--json", "--state", "parked").stdout)["studies"]
    assert [s["study_instance_uid"] for s in listed] == [UID]


def test_a_study_by_the_end_of_its_uid(raysight: Run, filled: Any) -> None:
    output = raysight("status", UID[-8:]).stdout
    for words in (UID, "quiet: nothing came from CT1 for 60 s", "read, 2 marks above threshold", "decode 1.2 s"):
        assert words in output
    assert "parked" in output and "Conflicts" in output
    found = json.loads(raysight("status", UID, "--json").stdout)
    assert found["readings"][0]["deliveries"][0]["comment"] == "refused with A700: out of resources"


def test_not_read_and_no_mark_are_told_apart(raysight: Run, filled: Any) -> None:
    filled.study("9.9.3")
    filled.reading("zero", study="9.9.3", findings=0)
    assert "read, no mark above threshold" in raysight("status", "9.9.3").stdout
    output = raysight("status", "9.9.2").stdout
    assert "not read" in output and "gantry-tilt: tilted by 12°" in output and "no mark" not in output


def test_measured_structures_are_no_marks(raysight: Run, filled: Any, folders: tuple[str, ...]) -> None:
    filled.study("9.9.5")
    structures = filled.reading("s", study="9.9.5", pipeline="hippocampus", findings=3)
    assert "read, 3 findings" in raysight("status", "9.9.5").stdout
    keep(folders, structures, *[codes.ANATOMICAL_STRUCTURE] * 3)
    assert "read, 3 structures measured" in raysight("status", "9.9.5").stdout


def test_confirmed_says_by_what(raysight: Run, filled: Any) -> None:
    filled.study("9.9.4")
    filled.reading("c", study="9.9.4")
    at = filled.noon + timedelta(minutes=3)
    filled.delivery("c", study="9.9.4", state="confirmed", confirmed_by="commitment", confirmed_at=at)
    assert "confirmed by commitment" in raysight("status", "9.9.4").stdout


def test_an_unknown_study_is_said(raysight: Run, filled: Any) -> None:
    result = raysight("status", "7.7")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "raysight: there is no study '7.7' here; `raysight status` lists the studies\n"


def test_stop_and_start_stand_in_the_audit(raysight: Run, filled: Any) -> None:
    assert "is stopped;" in raysight("stop", "lung_nodule", "--note", "false marks").stdout
    assert "stopped already" in raysight("stop", "lung_nodule").stdout
    assert "lung_nodule by li, " in raysight("status").stdout
    assert "goes again" in raysight("start", "lung_nodule", "--who", "Dr Wang").stdout
    assert "was not stopped" in raysight("start", "lung_nodule").stdout
    assert raysight("stop", "lungs").stderr == "raysight: there is no pipeline 'lungs'; known: lung_nodule\n"
    found = [(a["who"], a["action"], a["subject"], a["detail"]) for a in filled.rows(tables.audit)]
    assert found == [("li", "stop", "lung_nodule", "false marks"), ("Dr Wang", "start", "lung_nodule", "")]
    assert filled.rows(tables.stops) == []


def test_ask_marks_the_study(raysight: Run, filled: Any) -> None:
    result = raysight("ask", "9.9.1")
    assert result.stdout.startswith("Asked: 9.9.1 is taken as complete")
    (study,) = [s for s in filled.rows(tables.studies) if s["study_instance_uid"] == "9.9.1"]
    assert study["asked_at"] is not None
    assert [(a["who"], a["action"], a["subject"]) for a in filled.rows(tables.audit)] == [("li", "ask", "9.9.1")]


def test_a_parked_delivery_is_tried_again(raysight: Run, filled: Any) -> None:
    assert "parked" in raysight("deliveries", "list").stdout
    (parked,) = json.loads(raysight("deliveries", "list", "--state", "parked", "--json").stdout)
    assert "is tried again" in raysight("deliveries", "retry", str(parked["id"])).stdout
    (delivery,) = filled.rows(tables.deliveries)
    assert delivery["state"] == "pending"
    (audit,) = filled.rows(tables.audit)
    assert (audit["action"], audit["detail"]) == ("retry", "refused with A700: out of resources")
    again = raysight("deliveries", "retry", str(parked["id"]))
    assert (again.exit_code, "is pending, not parked" in again.stderr) == (2, True)
    assert raysight("deliveries", "retry", "999").exit_code == 2


def test_a_retry_takes_the_form_that_the_destination_wants_now(raysight: Run, filled: Any, folders: Any) -> None:
    (parked,) = filled.rows(tables.deliveries)
    configuration = Path(folders[1]) / "raysight.yaml"
    text = configuration.read_text(encoding="utf-8")
    configuration.write_text(text.replace("port: 104\n", "port: 104\n    sr_class: enhanced\n"), encoding="utf-8")
    assert raysight("deliveries", "retry", str(parked["id"])).exit_code == 0
    (delivery,) = filled.rows(tables.deliveries)
    assert (delivery["state"], delivery["profile"]) == ("pending", "enhanced-utf8-en")
    (reading,) = [r for r in filled.rows(tables.readings) if r["key"] == parked["key"]]
    assert (reading["state"], reading["attempt"], reading["starts"]) == ("queued", 1, 0)
