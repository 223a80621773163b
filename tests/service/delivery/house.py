"""A database, stored results and archives, for deliveries step by step under a clock that the test moves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.dsutils import split_dataset
from sqlalchemy import Engine, select

from dicom_node.blobs import LocalBlobStore
from dicom_node.network.archive import FakeArchive
from dicom_node.network.find import StudyIdentity
from dicom_node.spool import Committed
from service.database import tables
from service.database.engine import connect, upgrade
from service.delivery.confirming import apply_commitment
from service.delivery.loop import DeliveryService
from service.delivery.queue import State, create_deliveries
from service.settings import DestinationSettings, Mode, NodeSettings, Settings, SwitchSettings

OUR_AE = "RAYSIGHT"
PIPELINE = "lung_nodule"
PROFILE = "comprehensive-utf8-en"
CLASSES = {
    "sr": "1.2.840.10008.5.1.4.1.1.88.33",
    "seg": "1.2.840.10008.5.1.4.1.1.66.4",
    "picture": "1.2.840.10008.5.1.4.1.1.7",
}
DELIVER = SwitchSettings(mode=Mode.DELIVER, responsible="Dr Li", since=date(2026, 11, 1))
IDENTITY = StudyIdentity("P1", "HOSPITAL", "A1")


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **amount: float) -> None:
        self.now += timedelta(**amount)


def digest_of(path: Path) -> str:
    """sha256 of the dataset bytes after the file meta."""
    _, offset = split_dataset(path)
    return hashlib.sha256(path.read_bytes()[offset:]).hexdigest()


def wait_for(condition: Callable[[], bool], seconds: float = 15) -> None:
    """Until something that other threads do is observed."""
    give_up = monotonic() + seconds
    while not condition():
        assert monotonic() < give_up, "it did not happen in time"
        sleep(0.02)


class House:
    """What a node has when results are to be delivered."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'house.db'}"
        self.engine: Engine = connect(self.url)
        upgrade(self.engine)
        self.results = LocalBlobStore(folder / "results")
        self.clock = Clock()
        self.folder = folder
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.identity: StudyIdentity | None = IDENTITY

    def add(self, number: int, *destinations: str) -> str:
        """Result ``number`` of study ``1.2.number``: stored files, and a row for each destination; its key."""
        key = f"{number:064x}"
        for place, (role, sop_class) in enumerate(CLASSES.items()):
            uid = f"2.25.{number}0{place}"
            path = write_object(self.folder / f"{uid}.dcm", f"1.2.{number}", sop_class, uid)
            blob = f"{key}/{PROFILE}/{role}.dcm"
            self.results.put(blob, path.read_bytes())
            row = {"sop_instance_uid": uid, "key": key, "profile": PROFILE, "role": role, "blob": blob}
            row |= {"sop_class_uid": sop_class, "series_instance_uid": f"{uid}.1", "digest": digest_of(path)}
            with self.engine.begin() as connection:
                connection.execute(tables.objects.insert().values(row))
        with self.engine.begin() as connection:
            create_deliveries(
                connection,
                key=key,
                study_instance_uid=f"1.2.{number}",
                pipeline=PIPELINE,
                profiles=dict.fromkeys(destinations, PROFILE),
                now=self.clock(),
            )
        return key

    def service(
        self, *destinations: DestinationSettings, engine: Engine | None = None, **changes: Any
    ) -> DeliveryService:
        settings = Settings(node=NodeSettings(ae_title=OUR_AE), destinations=destinations, pipelines=(PIPELINE,))
        return DeliveryService(
            settings,
            engine or self.engine,
            self.results,
            lambda _study: self.identity,
            on_event=lambda name, /, **labels: self.events.append((name, labels)),
            **{"clock": self.clock, **changes},
        )

    def row(self, key: str, destination: str = "pacs") -> Any:
        d = tables.deliveries
        with self.engine.connect() as connection:
            return connection.execute(select(d).where(d.c.key == key, d.c.destination == destination)).one()

    def state(self, key: str, destination: str = "pacs") -> State:
        return State(self.row(key, destination).state)

    def attempts(self) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(select(tables.attempts).order_by(tables.attempts.c.id)))

    def change(self, statement: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(statement)

    def stop(self, stopped: bool = True) -> None:
        row = {"pipeline": PIPELINE, "stopped_at": self.clock(), "stopped_by": "me", "note": ""}
        self.change(tables.stops.insert().values(row) if stopped else tables.stops.delete())

    def files_of(self, key: str) -> dict[str, str]:
        """Digest by SOP Instance UID of a result's stored files."""
        o = tables.objects
        with self.engine.connect() as connection:
            rows = connection.execute(select(o.c.sop_instance_uid, o.c.blob).where(o.c.key == key)).all()
        return {row.sop_instance_uid: digest_of(self.results.path(row.blob)) for row in rows}

    def append(self, entry: object) -> None:
        """As the indexer does with reports in the receive log."""
        if isinstance(entry, Committed):
            with self.engine.begin() as connection:
                apply_commitment(connection, entry)


def write_object(path: Path, study: str, sop_class: str, uid: str, identity: StudyIdentity = IDENTITY) -> Path:
    """A small instance: the least that an archive indexes."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, f"{uid}.1"
    ds.PatientID, ds.IssuerOfPatientID = identity.patient_id, identity.issuer
    ds.AccessionNumber, ds.PatientName = identity.accession_number, "Wang^XiaoDong=王^小东"
    ds.StudyDate = ds.StudyTime = ds.StudyID = ds.PatientBirthDate = ds.PatientSex = ""
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "OT", 1, 1
    dcmwrite(path, ds, enforce_file_format=True)
    return path


def steps(service: DeliveryService, limit: int = 200) -> int:
    """Step every destination until none has anything to do now; how many steps that took."""
    taken = 0
    while sum(queue.step() for queue in service.queues):  # every one of them gets its turn
        taken += 1
        assert taken < limit, "deliveries never come to rest"
    return taken


def destination(archive: FakeArchive, name: str = "pacs", **changes: Any) -> DestinationSettings:
    host, port = archive.address
    values = {"commitment": False, "timeout_seconds": 5, "pipelines": {PIPELINE: DELIVER}} | changes
    return DestinationSettings(name=name, ae_title=archive.ae_title, host=host, port=port, **values)
