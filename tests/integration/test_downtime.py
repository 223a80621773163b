"""An archive that is down for a while gets everything when it is back, in order; nobody else waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def deliveries(status: Any) -> dict[str, Any]:
    """The deliveries of a study's only reading, by destination."""
    (reading,) = status["readings"] or [{"deliveries": []}]
    return {d["destination"]: d for d in reading["deliveries"]}


def test_ten_studies_during_a_downtime(orthanc: Orthanc, other: FakeArchive, data_dir: Path, tmp_path: Path) -> None:
    slices = sorted((data_dir / "ct" / "lidc-0001-slab").glob("*.dcm"))[:2]
    studies = [copy_study(slices, tmp_path / "studies", f"downtime {n}") for n in range(STUDIES)]
    raysight = Raysight(
        tmp_path / "raysight",
        settings={
            "completeness": {"quiet_seconds": 0.5, "count_interval_seconds": 0.2},
            "destinations": [
                # a report that is lost on its way is not waited for as long as this test waits
                deliver_to("pacs", orthanc.ae_title, orthanc.dicom_port, commitment_wait_seconds=60),
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
            waits = deliveries(status)
            assert (waits["other"]["state"], waits["pacs"]["state"]) == ("confirmed", "pending")
        assert other.store_requests == reports
        raysight.wait_until(
            studies[0].uid,
            lambda s: "can't be reached" in deliveries(s)["pacs"]["comment"],
            "it says what it waits for",
        )

        orthanc.start()
        means = set()
        for study in studies:
            status = raysight.wait_until(
                study.uid, lambda s: deliveries(s)["pacs"]["state"] == "confirmed", "the archive has confirmed"
            )
            found = deliveries(status)
            assert (found["pacs"]["attempts"], found["other"]["attempts"]) == (1, 1)
            assert found["other"]["confirmed_by"] == "query"
            means.add(found["pacs"]["confirmed_by"])
        assert orthanc.arrivals() == reports
        assert "commitment" in means <= {"commitment", "query"}
        assert other.store_requests == reports
