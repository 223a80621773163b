"""The one indexer: reads the receive log into the database. What it writes can be rebuilt from log and spool."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, case, literal, select, update

from dicom_node.blobs import BlobStore
from dicom_node.reader.headers import InstanceHeader, read_header, to_json
from dicom_node.spool.log import START, Committed, Position, Received, read_log
from imaging.errors import HeaderError
from service.database import tables
from service.database.engine import insert_ignore

log = structlog.get_logger(__name__)

LULL = timedelta(seconds=0.5)  # a study that still receives is not judged after every batch
BATCH = 50  # lines a transaction: headers are parsed before it, so it is short


@dataclass(frozen=True)
class Indexer:
    """Tails the receive log.

    Parameters
    ----------
    apply_commitment
        Takes an archive's commitment report into the deliveries.
    """

    database: Engine
    log_folder: Path
    spool: BlobStore
    apply_commitment: Callable[[Connection, Committed], None]

    def catch_up(self) -> int:
        """Index every complete line that isn't; the number of lines taken."""
        taken = 0
        while lines := list(islice(read_log(self.log_folder, self._position()), BATCH)):
            headers = self._headers([entry for entry, _ in lines if isinstance(entry, Received)])
            with self.database.begin() as connection:
                self._received(connection, [e for e, _ in lines if isinstance(e, Received)], headers)
                for entry, _ in lines:
                    if isinstance(entry, Committed):
                        self.apply_commitment(connection, entry)
                _set_position(connection, lines[-1][1])
            taken += len(lines)
        return taken

    def _position(self) -> Position:
        with self.database.connect() as connection:
            p = tables.log_position
            row = connection.execute(select(p.c.file, p.c.offset)).one_or_none()
        return (row.file, row.offset) if row else START

    def _headers(self, entries: list[Received]) -> Mapping[str, InstanceHeader | str]:
        """By blob: the header of each instance that isn't known yet, or why it can't be read."""
        i = tables.instances
        with self.database.connect() as connection:
            known = set(
                connection.execute(
                    select(i.c.blob).where(i.c.blob.in_([e.blob for e in entries]), i.c.released_at.is_(None))
                ).scalars()
            )
        headers: dict[str, InstanceHeader | str] = {}
        for entry in entries:
            if entry.blob in known or entry.blob in headers or not self.spool.exists(entry.blob):
                continue
            try:
                headers[entry.blob] = read_header(self.spool.path(entry.blob), entry.blob, entry.digest)
            except HeaderError as error:
                headers[entry.blob] = str(error)
                log.warning("header unreadable", sop_instance_uid=entry.sop_instance_uid, problem=str(error))
            except Exception as error:
                # the log must go on behind an instance that trips over a defect
                headers[entry.blob] = f"a defect of the software ({type(error).__name__}); see the log"
                log.exception("header unreadable", sop_instance_uid=entry.sop_instance_uid)
        return headers

    def _received(
        self, connection: Connection, entries: Sequence[Received], headers: Mapping[str, InstanceHeader | str]
    ) -> None:
        """The lines of a batch: what is known is counted, what isn't becomes a row, and its study gets something new.

        A statement for each of these steps, not for each line: composing statements takes longer than the database.
        """
        known = _known(connection, entries)
        rows: list[dict[str, Any]] = []
        again: list[Received] = []
        studies: dict[str, _Arrivals] = {}
        for entry in entries:
            place = (entry.study_instance_uid, entry.sop_instance_uid)
            digests = known.digests.setdefault(place, set())
            if entry.digest in digests:
                again.append(entry)
                continue
            if digests:
                log.warning("same UID, other bytes: kept beside the first", sop_instance_uid=entry.sop_instance_uid)
            header = headers.get(entry.blob)
            row = _instance(entry, header, conflict=bool(digests), ours=entry.sop_instance_uid in known.ours)
            rows.append(row)
            digests.add(entry.digest)
            arrivals = studies.setdefault(entry.study_instance_uid, _Arrivals(entry))
            if row["is_image"] and not row["ours"]:
                arrivals.image = header if isinstance(header, InstanceHeader) else arrivals.image
                if not entry.retrieved_by:
                    arrivals.last_image = entry
        if rows:
            connection.execute(tables.instances.insert(), rows)
        for entry in again:
            self._again(connection, entry, headers.get(entry.blob))
        for arrivals in studies.values():
            _study_received(connection, arrivals)

    def _again(self, connection: Connection, entry: Received, header: InstanceHeader | str | None) -> None:
        """One more arrival of a known instance, whose file may have been released, its header lost in a rebuild."""
        i = tables.instances
        same = (
            (i.c.digest == entry.digest)
            & (i.c.study_instance_uid == entry.study_instance_uid)
            & (i.c.sop_instance_uid == entry.sop_instance_uid)
        )
        released = None if self.spool.exists(entry.blob) else _received_at(entry)
        # one that comes back after its release is kept as long as a new one: there must be time to ask for it
        now = literal(_received_at(entry), i.c.received_at.type)
        since = case((i.c.released_at.is_not(None), now), else_=i.c.received_at)
        values: dict[str, Any] = {
            "times_received": i.c.times_received + 1,
            "released_at": released,
            "received_at": since,
        }
        if isinstance(header, InstanceHeader):
            values |= {"header": to_json(header), "is_image": header.instance.is_image}
            if header.instance.is_image and not header.instance.ours:
                _describe(connection, header)
        connection.execute(update(i).where(same).values(values))


@dataclass
class _Arrivals:
    """A study's first new instance in a batch, and of its new images that aren't ours the last one that was sent (not
    retrieved by us), and the header of any."""

    first: Received
    last_image: Received | None = None
    image: InstanceHeader | None = None


@dataclass(frozen=True)
class _Known:
    """What the tables say: digests by study and SOP Instance UID, and which SOP Instance UIDs we made."""

    digests: dict[tuple[str, str], set[str]]
    ours: frozenset[str]


def _known(connection: Connection, entries: Sequence[Received]) -> _Known:
    i, o = tables.instances, tables.objects
    uids = {entry.sop_instance_uid for entry in entries}
    digests: dict[tuple[str, str], set[str]] = {}
    query = select(i.c.study_instance_uid, i.c.sop_instance_uid, i.c.digest).where(i.c.sop_instance_uid.in_(uids))
    for study, instance, digest in connection.execute(query):
        digests.setdefault((study, instance), set()).add(digest)
    ours = connection.execute(select(o.c.sop_instance_uid).where(o.c.sop_instance_uid.in_(uids))).scalars()
    return _Known(digests, frozenset(ours))


def _received_at(entry: Received) -> datetime:
    return datetime.fromisoformat(entry.received_at)


def _instance(entry: Received, header: InstanceHeader | str | None, *, conflict: bool, ours: bool) -> dict[str, Any]:
    """The row of an instance that isn't known yet; without a header its file is gone."""
    parsed = header if isinstance(header, InstanceHeader) else None
    at = _received_at(entry)
    return {
        "digest": entry.digest,
        "study_instance_uid": entry.study_instance_uid,
        "sop_instance_uid": entry.sop_instance_uid,
        "series_instance_uid": entry.series_instance_uid,
        "sop_class_uid": entry.sop_class_uid,
        "blob": entry.blob,
        "size": entry.size,
        "received_at": at,
        "calling_ae": entry.calling_ae,
        "peer": entry.peer,
        "times_received": 1,
        "is_image": parsed is not None and parsed.instance.is_image,
        "ours": ours or (parsed is not None and parsed.instance.ours),
        "conflict": conflict,
        "unreadable": header if isinstance(header, str) else "",
        "header": to_json(parsed) if parsed else None,
        "released_at": None if header is not None else at,
        "retrieved_by": entry.retrieved_by,
    }


def _study_received(connection: Connection, arrivals: _Arrivals) -> None:
    s = tables.studies
    first, last = arrivals.first, arrivals.last_image
    insert_ignore(
        connection,
        s,
        [
            {
                "study_instance_uid": first.study_instance_uid,
                "first_received_at": _received_at(first),
                "last_received_at": _received_at(first),
                "source_ae": first.calling_ae,
                "waiting_for": "",
            }
        ],
    )
    if last is not None:
        connection.execute(
            update(s)
            .where(s.c.study_instance_uid == last.study_instance_uid)
            .values(
                last_received_at=_received_at(last),
                source_ae=last.calling_ae,
                check_at=datetime.now(UTC) + LULL,
                complete_at=None,
            )
        )
    if arrivals.image is not None:
        _describe(connection, arrivals.image)


def _describe(connection: Connection, image: InstanceHeader) -> None:
    """Whose study it is and when it was made, so that it is found when a later one of the patient is read."""
    s, instance = tables.studies, image.instance
    connection.execute(
        update(s)
        .where(s.c.study_instance_uid == instance.study_instance_uid, s.c.patient_digest.is_(None))
        .values(
            patient_digest=instance.patient_digest,
            study_date=image.study.study_date,
            study_time=image.study.study_time,
        )
    )


def _set_position(connection: Connection, position: Position) -> None:
    p = tables.log_position
    file, offset = position
    insert_ignore(connection, p, [{"id": 1, "file": file, "offset": offset}])
    connection.execute(update(p).where(p.c.id == 1).values(file=file, offset=offset))
