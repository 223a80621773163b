"""The loop with PostgreSQL for the tables and for the journal of the workflows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from time import sleep

import pytest
from sqlalchemy import Connection, create_engine, event, make_url, text

from dicom_node.network.archive import FakeArchive
from dicom_node.network.store import send_files
from service.database.engine import connect, upgrade
from tests.integration.postgresql import ABSENT, binaries, running_cluster
from tests.integration.raysight import Raysight, deliver_to
from tests.integration.studies import copy_study

pytestmark = pytest.mark.data


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    if binaries() is None:
        pytest.skip(ABSENT)
    with running_cluster() as url:
        yield url


def test_processes_that_start_together_make_the_tables_once(postgresql: str, tmp_path: Path) -> None:
    server = create_engine(postgresql, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("CREATE DATABASE together"))
    url = make_url(postgresql).set(database="together").render_as_string(hide_password=False)
    first, made, may_commit = connect(url), Event(), Event()

    @event.listens_for(first, "commit")
    def _hold(_connection: Connection) -> None:
        made.set()
        assert may_commit.wait(60)

    thread = Thread(target=upgrade, args=(first,))
    thread.start()
    assert made.wait(60)
    environment = os.environ | {"RAYSIGHT_HOME": str(tmp_path / "home"), "RAYSIGHT_DATABASE_URL": url}
    command = [sys.executable, "-m", "service.cli", "db", "upgrade"]
    second = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE datname = 'together' AND wait_event_type = 'Lock'")
    with server.connect() as connection:
        while connection.execute(waiting).scalar_one() == 0:
            assert second.poll() is None, second.communicate()[0]
            sleep(0.05)
    may_commit.set()
    thread.join()
    said, _ = second.communicate()
    assert second.returncode == 0, said
    first.dispose()
    server.dispose()


def test_the_loop_on_postgresql(postgresql: str, data_dir: Path, tmp_path: Path) -> None:
    slices = sorted((data_dir / "ct" / "lidc-0001-slab").glob("*.dcm"))[:3]
    study = copy_study(slices, tmp_path, "study")
    archive = FakeArchive("ARCHIVE", tmp_path / "archive")
    raysight = Raysight(
        tmp_path / "raysight",
        variables={"RAYSIGHT_DATABASE_URL": postgresql, "RAYSIGHT_JOURNAL_URL": postgresql},
    )
    archive.known_aes[raysight.ae_title] = ("127.0.0.1", raysight.port)
    archive.start()
    try:
        raysight.settings = {
            "completeness": {"quiet_seconds": 0.5, "count_interval_seconds": 0.2},
            "destinations": [deliver_to("archive", "ARCHIVE", archive.address[1])],
        }
        with raysight:
            send_files(raysight.remote, "CT", list(study.files))
            raysight.wait_until(
                study.uid,
                lambda s: any(d["state"] == "confirmed" for r in s["readings"] for d in r["deliveries"]),
                "its report is confirmed",
            )
            status = raysight.study(study.uid)
            (reading,) = status["readings"]
            assert (reading["state"], reading["starts"]) == ("not read", 1)
            assert reading["deliveries"][0]["confirmed_by"] == "commitment"
            # the same again starts nothing
            send_files(raysight.remote, "OTHER", list(study.files))
            raysight.wait("all came twice", lambda: raysight.times_received(study.uid) == {2})
            assert raysight.study(study.uid) == status
            assert not list(raysight.home.glob("*.db"))
        raysight.run("index", "rebuild")
        rebuilt = raysight.study(study.uid)
        assert (rebuilt["state"], rebuilt["readings"][0]["key"]) == (status["state"], reading["key"])
        assert raysight.times_received(study.uid) == {2}
        raysight.stop()
    finally:
        archive.stop()
