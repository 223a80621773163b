"""Rounds of `kill -9` at observed states, and what must be true after each."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep

from sqlalchemy import Engine, func, select

from dicom_node.blobs import LocalBlobStore
from dicom_node.network.archive import FakeArchive
from dicom_node.network.peers import RemoteAE
from dicom_node.network.store import StoreOutcome, send_files
from dicom_node.objects.ct import write_ct
from dicom_node.reader.files import dataset_digest
from dicom_node.reader.headers import read_header
from dicom_node.spool.log import Received, read_log
from imaging.errors import PeerError
from imaging.phantom import ChestPhantom
from service.database.engine import connect, reading
from service.database.tables import attempts, deliveries, instances, objects, readings
from tests.integration.orthanc import Orthanc
from tests.integration.raysight import Raysight

ROLES = ("node", "receiver", "worker-0", "group")
PATIENCE_SECONDS = 240
LOOK_SECONDS = 0.002


@dataclass
class Study:
    """One made-up study on its way: its files, and what the sender was told."""

    uid: str
    files: Mapping[str, Path]
    acknowledged: set[str] = field(default_factory=set)


@dataclass
class Rounds:
    """One Raysight, an Orthanc and a second archive; each round sends a study and kills something on the way."""

    raysight: Raysight
    orthanc: Orthanc
    second: FakeArchive
    second_folder: Path
    phantom: ChestPhantom
    folder: Path
    seed: int

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._results = LocalBlobStore(self.raysight.home / "results")
        self._spool = LocalBlobStore(self.raysight.home / "spool")
        self.database: Engine = connect(f"sqlite:///{self.raysight.home / 'raysight.db'}")

    # -- what can be observed --

    def states(self, study: Study) -> dict[str, Callable[[], bool]]:
        """By name: whether a study has come so far. In the order in which they come."""
        r, d, a = readings, deliveries, attempts
        some = self._random.randint(1, len(study.files) - 1)
        of_study = r.c.study_instance_uid == study.uid
        mine = d.c.study_instance_uid == study.uid
        sent_of = self._random.choice(["orthanc", "second"])
        here = (d.c.study_instance_uid == study.uid) & (d.c.destination == sent_of)
        tried = select(func.count()).select_from(a.join(d, a.c.delivery == d.c.id)).where(mine)
        return {
            f"{some} images acknowledged": lambda: len(study.acknowledged) >= some,
            "all images acknowledged": lambda: len(study.acknowledged) == len(study.files),
            "reading queued": lambda: self._count(select(func.count()).select_from(r).where(of_study)) > 0,
            "reading begun": lambda: self._count(select(func.count()).where(of_study, r.c.starts > 0)) > 0,
            "reading stored": lambda: self._file(study, "reading.json"),
            "objects being written": lambda: self._file(study, "comprehensive-utf8-en/sr.dcm"),
            "objects written": lambda: self._file(study, "comprehensive-utf8-en/objects.json"),
            "delivery recorded": lambda: self._count(select(func.count()).where(mine)) > 0,
            "first object sent": lambda: self._count(tried) > 0,
            f"all sent to {sent_of}": lambda: (
                self._count(select(func.count()).where(here, d.c.sent_at.is_not(None))) > 0
            ),
            "commitment asked for": lambda: (
                self._count(select(func.count()).where(mine, d.c.transaction_uid.is_not(None))) > 0
            ),
            "one destination confirmed": lambda: (
                self._count(select(func.count()).where(mine, d.c.confirmed_at.is_not(None))) > 0
            ),
        }

    def _count(self, query: object) -> int:
        with reading(self.database).connect() as connection:
            return int(connection.execute(query).scalar_one())  # type: ignore[call-overload]

    def _file(self, study: Study, name: str) -> bool:
        with reading(self.database).connect() as connection:
            query = select(readings.c.key).where(readings.c.study_instance_uid == study.uid)
            keys = connection.execute(query).scalars().all()
        return any(self._results.exists(f"{key}/{name}") for key in keys)

    # -- one round --

    def run(self, number: int) -> str:
        """Send a study, kill at one or two observed states, wait for the end, check; what was killed when."""
        study = self._study(number)
        states = self.states(study)
        chosen = sorted(self._random.sample(range(len(states)), self._random.choice([1, 1, 2])))
        plan = [(list(states)[i], self._random.choice(ROLES)) for i in chosen]
        done = Event()
        sender = Thread(target=self._send, args=(study, done))
        sender.start()
        try:
            for state, role in plan:
                self._observe(state, states[state])
                self._kill(role)
        finally:
            done.set()
        sender.join()
        what = " and ".join(f"{role} at '{state}'" for state, role in plan)
        self._settle(study, what)
        self.check(study, what)
        return what

    def _study(self, number: int) -> Study:
        # UIDs follow from the folder, so each round has its own study
        files = write_ct(self.phantom.hu, self.phantom.geometry, self.folder / f"{self.seed}-{number:04d}")
        headers = [read_header(path, path.name) for path in files]
        by_uid = {h.instance.sop_instance_uid: path for h, path in zip(headers, files, strict=True)}
        return Study(headers[0].instance.study_instance_uid, by_uid)

    def _send(self, study: Study, done: Event) -> None:
        """Send as a PACS does: what was not acknowledged is sent again until all is."""
        remote = RemoteAE(self.raysight.ae_title, "127.0.0.1", self.raysight.port, connect_seconds=3)

        def keep(outcome: StoreOutcome) -> None:
            if outcome.stored:
                study.acknowledged.add(outcome.sop_instance_uid)

        deadline = monotonic() + PATIENCE_SECONDS
        while len(study.acknowledged) < len(study.files) and monotonic() < deadline:
            rest = [path for uid, path in study.files.items() if uid not in study.acknowledged]
            try:
                send_files(remote, "MODALITY", rest, on_outcome=keep)
            except PeerError:
                done.wait(0.1)

    def _observe(self, state: str, seen: Callable[[], bool]) -> None:
        deadline = monotonic() + PATIENCE_SECONDS
        while not seen():
            assert monotonic() < deadline, f"never observed: {state}\n{self.raysight.log()[-6000:]}"
            sleep(LOOK_SECONDS)

    def _kill(self, role: str) -> None:
        if role == "group":
            self.raysight.kill_group()
            self.raysight.start()
            return
        self.raysight.kill(role)

    def _settle(self, study: Study, what: str) -> None:
        d = deliveries
        mine = d.c.study_instance_uid == study.uid
        confirmed = select(func.count()).where(mine, d.c.state == "confirmed")
        self.raysight.wait(
            f"both deliveries confirmed ({what})", lambda: self._count(confirmed) == 2, PATIENCE_SECONDS
        )

    # -- what must be true --

    def check(self, study: Study, what: str) -> None:
        """Nothing acknowledged is missing, one reading, the same bytes everywhere."""
        assert study.acknowledged == set(study.files), what
        logged = {e.sop_instance_uid: e for e, _ in read_log(self.raysight.home / "log") if isinstance(e, Received)}
        for uid, path in study.files.items():
            stored = self._spool.path(logged[uid].blob)
            assert dataset_digest(stored) == dataset_digest(path), what
        i, r, o = instances, readings, objects
        of_study = i.c.study_instance_uid == study.uid
        assert self._count(select(func.count()).where(of_study)) == len(study.files), what
        with reading(self.database).connect() as connection:
            rows = connection.execute(select(r.c.key, r.c.state).where(r.c.study_instance_uid == study.uid)).all()
            assert [row.state for row in rows] == ["read"], (what, rows)
            ours = connection.execute(
                select(o.c.sop_instance_uid, o.c.blob, o.c.digest).where(o.c.key == rows[0].key)
            ).all()
            tried = connection.execute(
                select(attempts.c.sop_instance_uid, attempts.c.digest)
                .join(deliveries, attempts.c.delivery == deliveries.c.id)
                .where(deliveries.c.key == rows[0].key)
            ).all()
        digests = {row.sop_instance_uid: row.digest for row in ours}
        assert len(digests) == 3, what
        assert digests == {row.sop_instance_uid: dataset_digest(self._results.path(row.blob)) for row in ours}, what
        assert set(digests) == {row.sop_instance_uid for row in tried}, what
        assert all(digests[row.sop_instance_uid] == row.digest for row in tried), what
        assert self._in_orthanc(study.uid) == digests, what
        assert self._in_second(study.uid) == set(digests.items()), what

    def _in_orthanc(self, study: str) -> dict[str, str]:
        copies = {}
        for uid, number in self.orthanc.instances(study).items():
            path = self.folder / "copy.dcm"
            path.write_bytes(self.orthanc.download(number))
            copies[uid] = dataset_digest(path)
        return copies

    def _in_second(self, study: str) -> set[tuple[str, str]]:
        """Every distinct dataset that was ever sent to the second archive (it keeps other bytes beside the first)."""
        paths = (self.second_folder / study).glob("*.dcm")
        return {(path.name.rsplit("-", 1)[0], dataset_digest(path)) for path in paths}
