"""The one indexer: reads the receive log into the database. What it writes can be rebuilt from log and spool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, exists, select, update

from dicom_node.blobs import BlobStore
from dicom_node.reader.headers import InstanceHeader, read_header, to_json
from dicom_node.spool.log import START, Committed, Position, Received, read_log
from imaging.errors import HeaderError
from service.database import tables
from service.database.engine import insert_ignore

log = structlog.get_logger(__name__)

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
                for entry, _ in lines:
                    if isinstance(entry, Received):
                        self._received(connection, entry, headers.get(entry.blob))
                    elif isinstance(entry, Committed):
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

    def _received(self, connection: Connection, entry: Received, header: InstanceHeader | str | None) -> None:
        at = datetime.fromisoformat(entry.received_at)
        i = tables.instances
        same = (
            (i.c.digest == entry.digest)
            & (i.c.study_instance_uid == entry.study_instance_uid)
            & (i.c.sop_instance_uid == entry.sop_instance_uid)
        )
        again = connection.execute(
            update(i).where(same).values(times_received=i.c.times_received + 1, released_at=self._released(entry, at))
        )
        if again.rowcount:
            return
        row = self._instance(connection, entry, header, at)
        connection.execute(i.insert().values(**row))
        _study_received(connection, entry, at, starts=row["is_image"] and not row["ours"])
        if row["conflict"]:
            log.warning("same UID, other bytes: kept beside the first", sop_instance_uid=entry.sop_instance_uid)

    def _released(self, entry: Received, at: datetime) -> datetime | None:
        return None if self.spool.exists(entry.blob) else at

    def _instance(
        self, connection: Connection, entry: Received, header: InstanceHeader | str | None, at: datetime
    ) -> dict[str, Any]:
        i, o = tables.instances, tables.objects
        parsed = header if isinstance(header, InstanceHeader) else None
        ours = connection.execute(select(exists().where(o.c.sop_instance_uid == entry.sop_instance_uid))).scalar_one()
        other = connection.execute(
            select(
                exists().where(
                    i.c.study_instance_uid == entry.study_instance_uid,
                    i.c.sop_instance_uid == entry.sop_instance_uid,
                )
            )
        ).scalar_one()
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
            "ours": bool(ours) or (parsed is not None and parsed.instance.ours),
            "conflict": bool(other),
            "unreadable": header if isinstance(header, str) else "",
            "header": to_json(parsed) if parsed else None,
            "released_at": None if header is not None else at,
        }


def _study_received(connection: Connection, entry: Received, at: datetime, *, starts: bool) -> None:
    s = tables.studies
    insert_ignore(
        connection,
        s,
        [
            {
                "study_instance_uid": entry.study_instance_uid,
                "first_received_at": at,
                "last_received_at": at,
                "source_ae": entry.calling_ae,
                "waiting_for": "",
            }
        ],
    )
    if starts:
        connection.execute(
            update(s)
            .where(s.c.study_instance_uid == entry.study_instance_uid)
            .values(last_received_at=at, source_ae=entry.calling_ae, check_at=datetime.now(UTC), complete_at=None)
        )


def _set_position(connection: Connection, position: Position) -> None:
    p = tables.log_position
    file, offset = position
    insert_ignore(connection, p, [{"id": 1, "file": file, "offset": offset}])
    connection.execute(update(p).where(p.c.id == 1).values(file=file, offset=offset))
