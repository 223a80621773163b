"""The indexer: what the receive log says stands in the tables, once, whenever it is run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, delete, select

from dicom_node.blobs import LocalBlobStore
from dicom_node.objects.ct import write_ct
from dicom_node.reader.files import dataset_digest
from dicom_node.reader.headers import read_header
from dicom_node.spool import blob_name
from dicom_node.spool.log import Committed, Received, ReceiveLog
from imaging.geometry import Geometry
from service.database import tables
from service.database.engine import connect, upgrade
from service.node.indexer import Indexer

GEOMETRY = Geometry((3, 4, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))


class House:
    """A spool, a log and an index over them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = LocalBlobStore(folder / "spool")
        self.log = ReceiveLog(folder / "log")
        self.database: Engine = connect(f"sqlite:///{folder / 'x.db'}")
        upgrade(self.database)
        self.reports: list[Committed] = []
        self.indexer = Indexer(self.database, folder / "log", self.spool, self._report)

    def _report(self, _connection: Connection, report: Committed) -> None:
        self.reports.append(report)

    def receive(self, path: Path, **changes: str) -> Received:
        """Store a file and log it as the SCP does."""
        header = read_header(path, "x").instance
        digest = dataset_digest(path)
        blob = blob_name(header.study_instance_uid, header.sop_instance_uid, digest)
        self.spool.put(blob, path.read_bytes())
        entry = Received(
            study_instance_uid=header.study_instance_uid,
            series_instance_uid=header.series_instance_uid,
            sop_instance_uid=header.sop_instance_uid,
            sop_class_uid=header.sop_class_uid,
            transfer_syntax_uid=header.transfer_syntax_uid,
            digest=digest,
            blob=blob,
            size=path.stat().st_size,
            calling_ae="PACS",
            called_ae="RAYSIGHT",
            peer="127.0.0.1",
            association="1",
            received_at=datetime.now(UTC).isoformat(),
        )
        self.log.append(replace(entry, **changes))
        return entry

    def rows(self) -> list[dict[str, object]]:
        i = tables.instances
        with self.database.connect() as connection:
            return [dict(r._mapping) for r in connection.execute(select(i).order_by(i.c.received_at, i.c.digest))]

    def study(self) -> dict[str, object]:
        with self.database.connect() as connection:
            return dict(connection.execute(select(tables.studies)).one()._mapping)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.log.close()
    house.database.dispose()


def slices(folder: Path, value: int = 0) -> list[Path]:
    return write_ct(np.full((3, 4, 4), value, np.int16), GEOMETRY, folder)


def test_every_line_once_and_a_new_image_makes_the_study_due(house: House) -> None:
    files = slices(house.folder / "a")
    for path in files:
        house.receive(path)
    assert house.indexer.catch_up() == 3
    assert house.indexer.catch_up() == 0
    assert [row["is_image"] for row in house.rows()] == [True] * 3
    study = house.study()
    assert study["check_at"] is not None
    assert study["source_ae"] == "PACS"


def test_the_same_instance_again_starts_nothing(house: House) -> None:
    path = slices(house.folder / "a")[0]
    house.receive(path)
    house.indexer.catch_up()
    with house.database.begin() as connection:
        connection.execute(tables.studies.update().values(check_at=None, complete_at=datetime.now(UTC)))
    house.receive(path, calling_ae="OTHER")
    house.indexer.catch_up()
    assert [row["times_received"] for row in house.rows()] == [2]
    assert house.study()["check_at"] is None
    assert house.study()["complete_at"] is not None


def test_the_same_uid_with_other_bytes_stands_beside_the_first(house: House) -> None:
    house.receive(slices(house.folder / "a")[0])
    house.receive(slices(house.folder / "a", value=7)[0])
    house.indexer.catch_up()
    assert [row["conflict"] for row in house.rows()] == [False, True]
    assert len({row["blob"] for row in house.rows()}) == 2


def test_an_instance_of_ours_by_its_uid_starts_nothing(house: House) -> None:
    entry = house.receive(slices(house.folder / "a")[0])
    ours = {"sop_instance_uid": entry.sop_instance_uid, "key": "k", "profile": "p", "role": "picture"}
    rest = {"sop_class_uid": "1", "series_instance_uid": "1", "blob": "b", "digest": "d"}
    with house.database.begin() as connection:
        connection.execute(tables.objects.insert().values(**ours, **rest))
    house.indexer.catch_up()
    assert house.rows()[0]["ours"]
    assert house.study()["check_at"] is None


def test_a_file_that_is_gone_or_broken_is_indexed_and_said_so(house: House) -> None:
    gone, broken = slices(house.folder / "a")[:2]
    house.spool.delete(house.receive(gone).blob)
    entry = house.receive(broken)
    house.spool.path(entry.blob).write_bytes(b"no DICOM at all")
    house.indexer.catch_up()
    by_uid = {row["sop_instance_uid"]: row for row in house.rows()}
    assert by_uid[entry.sop_instance_uid]["unreadable"]
    assert by_uid[read_header(gone, "x").instance.sop_instance_uid]["released_at"] is not None


def test_commitment_reports_go_to_the_deliveries(house: House) -> None:
    report = Committed("1.2", ("1.3",), (), "PACS", datetime.now(UTC).isoformat())
    house.log.append(report)
    house.indexer.catch_up()
    assert house.reports == [report]


def test_indexing_again_from_the_start_gives_the_same_rows(house: House) -> None:
    for path in slices(house.folder / "a"):
        house.receive(path)
    house.indexer.catch_up()
    before = house.rows()
    with house.database.begin() as connection:
        for table in tables.DERIVED:
            connection.execute(delete(table))
    house.indexer.catch_up()
    assert house.rows() == before


def test_a_released_instance_that_comes_again_has_its_header_again(house: House) -> None:
    (path, *_) = slices(house.folder)
    entry = house.receive(path)
    house.spool.delete(entry.blob)
    house.indexer.catch_up()
    assert house.rows()[0]["header"] is None
    house.receive(path)
    house.indexer.catch_up()
    (row,) = house.rows()
    assert row["header"] is not None
    assert row["is_image"]
    assert row["released_at"] is None


def test_what_was_retrieved_starts_nothing_until_more_is_sent(house: House) -> None:
    first, second, third = slices(house.folder / "a")
    house.receive(first, retrieved_by="C-GET")
    house.indexer.catch_up()
    study = house.study()
    assert (study["check_at"], study["complete_at"]) == (None, None)
    assert study["patient_digest"] == read_header(first, "x").instance.patient_digest
    assert study["study_date"] == read_header(first, "x").study.study_date
    house.receive(first)
    house.indexer.catch_up()
    assert house.study()["check_at"] is None
    house.receive(second, retrieved_by="C-MOVE")
    house.receive(third)
    house.indexer.catch_up()
    assert house.study()["check_at"] is not None
    assert [row["retrieved_by"] for row in house.rows()] == ["C-GET", "C-MOVE", ""]


def test_a_study_that_was_known_without_its_patient_has_it_when_an_image_comes_back(house: House) -> None:
    (path, *_) = slices(house.folder)
    house.spool.delete(house.receive(path).blob)
    house.indexer.catch_up()
    assert house.study()["patient_digest"] is None
    house.receive(path, retrieved_by="C-GET")
    house.indexer.catch_up()
    assert house.study()["patient_digest"] == read_header(path, "x").instance.patient_digest
