"""Index, database or journal are lost: the files tell the same states, nothing is read again and nothing is lost."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from sqlalchemy import delete

from dicom_node.network.archive import FakeArchive
from dicom_node.network.store import send_files
from service.database.tables import DERIVED
from tests.integration.raysight import Raysight, deliver_to
from tests.integration.studies import LUNGS, Composer, copy_study, load_scan

pytestmark = pytest.mark.data


@dataclass(frozen=True)
class Past:
    """A home that was killed while readings were queued.

    Parameters
    ----------
    ended
        Status of each study whose way had ended, by UID.
    queued
        UIDs of studies whose readings were queued.
    """

    folder: Path
    settings: dict[str, Any]
    archive: FakeArchive
    ended: dict[str, Any]
    queued: tuple[str, ...]
    sent: dict[str, tuple[Path, ...]]

    def again(self, folder: Path, **settings: Any) -> Raysight:
        """A copy of the home, not started."""
        raysight = Raysight(folder, settings=self.settings | settings)
        shutil.copytree(self.folder / "home", raysight.home)
        raysight.write_configuration()
        return raysight


@pytest.fixture(scope="module")
def past(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    folder = tmp_path_factory.mktemp("rebuild")
    slices = sorted((data_dir / "ct" / "lidc-0001-slab").glob("*.dcm"))[:3]
    composer = Composer(load_scan(data_dir / "ct" / "lidc-0001", LUNGS), folder, "read")
    *thin, late = composer.thin()

    def magnetic(ds: Dataset, number: int) -> None:
        ds.Modality = "MR"

    few = copy_study(slices, folder, "too few")
    sent = {
        composer.uid: (*composer.scout(), *thin),
        few.uid: few.files,
        (not_ours := copy_study(slices, folder, "not ours", magnetic)).uid: not_ours.files,
    }
    later = [copy_study(slices, folder, f"queued {n}") for n in range(3)]
    archive = FakeArchive("ARCHIVE", folder / "archive", commitment=False)
    archive.start()
    settings = {
        "completeness": {"quiet_seconds": 0.5, "count_interval_seconds": 0.2},
        "destinations": [deliver_to("archive", "ARCHIVE", archive.address[1])],
    }
    raysight = Raysight(folder / "raysight", settings=settings)
    with raysight:
        for files in sent.values():
            send_files(raysight.remote, "CT", list(files))
        for uid in sent:
            raysight.wait_until(uid, _ended, "its way has ended")
        sent[composer.uid] += (late,)
        send_files(raysight.remote, "CT", [late])
        raysight.wait_until(composer.uid, lambda s: len(s["readings"]) == 2 and _ended(s), "it was read again")
        ended = {uid: raysight.study(uid) for uid in sent}
        worker = raysight.pid("worker-0")
        assert worker is not None
        os.kill(worker, signal.SIGSTOP)
        for study in later:
            send_files(raysight.remote, "CT", list(study.files))
        for study in later:
            raysight.wait_for(study.uid, ["reading"])
        raysight.kill_group()
    yield Past(
        raysight.folder,
        settings,
        archive,
        ended,
        tuple(study.uid for study in later),
        sent | {study.uid: study.files for study in later},
    )
    archive.stop()


def _ended(status: Any) -> bool:
    deliveries = [d for r in status["readings"] for d in r["deliveries"]]
    return (
        status["check_at"] is None
        and bool(status["readings"])
        and all(r["state"] in ("read", "not read") for r in status["readings"])
        and all(d["state"] == "confirmed" for d in deliveries)
    )


def told_by_files(status: Any) -> Any:
    """What the receive log, the spool and the results tell of a study."""
    readings = [
        {
            key: reading[key]
            for key in (
                "key",
                "pipeline",
                "pipeline_version",
                "model_version",
                "state",
                "reason_kind",
                "reason",
                "findings",
                "series_instance_uid",
                "predecessor",
                "superseded",
                "requested_at",
                "objects",
            )
        }
        for reading in status["readings"]
    ]
    study = {
        key: status[key]
        for key in (
            "source_ae",
            "first_received_at",
            "last_received_at",
            "check_at",
            "complete_at",
            "evidence",
            "instances",
            "conflicting_instances",
        )
    }
    return study | {"readings": readings}


def delete_journal(raysight: Raysight) -> None:
    for path in raysight.home.glob("journal.db*"):
        path.unlink()


def delete_database(raysight: Raysight) -> None:
    for path in raysight.home.glob("raysight.db*"):
        path.unlink()


def nothing_was_read_again(raysight: Raysight, past: Past) -> None:
    for uid, before in past.ended.items():
        after = raysight.study(uid)
        assert told_by_files(after) == told_by_files(before)
        assert after["state"] == before["state"]
        assert f'"study": "{uid}"' not in raysight.log(), "a reading of it was begun or asked for"


def test_the_derived_tables_and_the_journal_are_lost_and_images_were_released(past: Past, tmp_path: Path) -> None:
    raysight = past.again(tmp_path / "raysight", retention={"days": 0, "watermark_mb": 0})
    with raysight.database.begin() as connection:
        for table in DERIVED:
            connection.execute(delete(table))
    assert raysight.run("index", "rebuild").stdout.startswith("Rebuilt from ")
    for uid, before in past.ended.items():
        after = raysight.study(uid)
        assert told_by_files(after) == told_by_files(before)
        assert (after["state"], _deliveries(after)) == (before["state"], _deliveries(before))
    for uid in past.queued:
        assert raysight.study(uid)["state"] == "reading"

    delete_journal(raysight)
    stored = list(past.archive.store_requests)
    with raysight:
        for uid in past.queued:
            status = raysight.wait_until(uid, _ended, "its way has ended")
            assert [reading["starts"] for reading in status["readings"]] == [1]
        new = past.archive.store_requests[len(stored) :]
        assert len(new) == len(set(new)) == len(past.queued)
        for uid, before in past.ended.items():
            images = before["instances"]["images"]
            released = raysight.wait_until(uid, lambda s, n=images: s["instances"]["released"] == n, "it is released")
            assert released["state"] == before["state"]
        # what comes again after its release is stored, and not read again
        uid = next(iter(past.ended))
        send_files(raysight.remote, "CT", list(past.sent[uid]))
        back = raysight.wait_until(uid, lambda s: s["instances"]["released"] == 0, "its images are back")
        assert (back["state"], back["check_at"]) == (past.ended[uid]["state"], None)
        assert len(back["readings"]) == len(past.ended[uid]["readings"])


def test_the_whole_database_and_the_journal_are_lost(past: Past, tmp_path: Path) -> None:
    raysight = past.again(tmp_path / "raysight")
    delete_database(raysight)
    delete_journal(raysight)
    raysight.run("index", "rebuild")
    for uid, before in past.ended.items():
        assert told_by_files(raysight.study(uid)) == told_by_files(before)
    with raysight:
        for uid in past.ended | dict.fromkeys(past.queued):
            raysight.wait_until(uid, _ended, "its way has ended")
        nothing_was_read_again(raysight, past)
        for uid, files in past.sent.items():
            assert raysight.study(uid)["instances"]["total"] == len(files)


def test_released_images_do_not_change_what_a_rebuild_tells(past: Past, tmp_path: Path) -> None:
    raysight = past.again(tmp_path / "raysight")
    spool = raysight.home / "spool"
    for uid in past.ended:
        for path in spool.rglob("*.dcm"):
            if uid in path.read_bytes()[:4096].decode("latin-1"):
                path.unlink()
    raysight.run("index", "rebuild")
    for uid, before in past.ended.items():
        after = raysight.study(uid)
        assert after["state"] == before["state"]
        assert after["instances"]["released"] == after["instances"]["total"] == before["instances"]["total"]
        assert [r["key"] for r in after["readings"]] == [r["key"] for r in before["readings"]]


def _deliveries(status: Any) -> list[Any]:
    return [reading["deliveries"] for reading in status["readings"]]
