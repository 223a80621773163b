"""An archive that is down for a while gets everything when it is back, in order; nobody else waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.network.archive import FakeArchive
from dicom_node.network.store import send_files
from tests.integration.orthanc import Orthanc
from tests.integration.raysight import Raysight, deliver_to
from tests.integration.studies import copy_study

pytestmark = pytest.mark.data

STUDIES = 10


@pytest.fixture
def other(tmp_path: Path) -> Iterator[FakeArchive]:
    archive = FakeArchive("OTHER", tmp_path / "other", commitment=False)
    archive.start()
    yield archive
    archive.stop()


def state(raysight: Raysight, uid: str, destination: str) -> str:
    (reading,) = raysight.study(uid)["readings"] or [{"deliveries": []}]
    return next((d["state"] for d in reading["deliveries"] if d["destination"] == destination), "none")


def test_ten_studies_during_a_downtime(orthanc: Orthanc, other: FakeArchive, data_dir: Path, tmp_path: Path) -> None:
    slices = sorted((data_dir / "ct" / "lidc-0001-slab").glob("*.dcm"))[:2]
    studies = [copy_study(slices, tmp_path / "studies", f"downtime {n}") for n in range(STUDIES)]
    raysight = Raysight(
        tmp_path / "raysight",
        settings={
            "completeness": {"quiet_seconds": 0.5, "count_interval_seconds": 0.2},
            "destinations": [
                deliver_to("pacs", orthanc.ae_title, orthanc.dicom_port),
                deliver_to("other", "OTHER", other.address[1]),
            ],
        },
    )
    orthanc.know("raysight", raysight.ae_title, raysight.port)
    with raysight:
        orthanc.stop()
        reports = []
        for study in studies:
            send_files(raysight.remote, "CT", list(study.files))
            status = raysight.wait_until(
                study.uid,
                lambda s: any(d["state"] == "confirmed" for r in s["readings"] for d in r["deliveries"]),
                "the other archive has confirmed",
            )
            (reading,) = status["readings"]
            reports += [item["sop_instance_uid"] for item in reading["objects"]]
            waits = {d["destination"]: d for d in reading["deliveries"]}
            assert (waits["other"]["state"], waits["pacs"]["state"]) == ("confirmed", "pending")
        assert other.store_requests == reports
        (first,) = raysight.study(studies[0].uid)["readings"]
        assert "can't be reached" in first["deliveries"][0]["comment"]

        orthanc.start()
        for study in studies:
            raysight.wait(f"{study.uid} is confirmed", lambda s=study: state(raysight, s.uid, "pacs") == "confirmed")
        assert orthanc.arrivals() == reports
        for study in studies:
            (reading,) = raysight.study(study.uid)["readings"]
            found = {d["destination"]: d for d in reading["deliveries"]}
            assert (found["pacs"]["attempts"], found["pacs"]["confirmed_by"]) == (1, "commitment")
            assert (found["other"]["attempts"], found["other"]["confirmed_by"]) == (1, "query")
        assert other.store_requests == reports
