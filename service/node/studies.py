"""What the index knows of a study's images."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time

from sqlalchemy import Connection, Engine, func, select

from dicom_node.reader.headers import InstanceHeader, from_json
from dicom_node.reader.study import assemble_study
from imaging.study import StudyInfo
from service.database import tables
from service.database.engine import reading


def study_headers(connection: Connection, study_instance_uid: str) -> list[InstanceHeader]:
    """The headers of a study's instances, in order of arrival."""
    i = tables.instances
    rows = connection.execute(
        select(i.c.header)
        .where(i.c.study_instance_uid == study_instance_uid, i.c.header.is_not(None))
        .order_by(i.c.received_at, i.c.digest)
    )
    return [from_json(header) for header in rows.scalars() if header is not None]


@dataclass(frozen=True)
class Made:
    """A study, and when it was made."""

    study_instance_uid: str
    study_date: date
    study_time: time | None


@dataclass(frozen=True)
class Studies:
    """The index, read."""

    database: Engine

    def study(self, study_instance_uid: str) -> StudyInfo:
        """The study as the index knows it; ValueError when it knows no header of it."""
        with reading(self.database).connect() as connection:
            return assemble_study(study_headers(connection, study_instance_uid))

    def released(self, study_instance_uid: str) -> frozenset[str]:
        """Spool names of the study's instances that aren't kept any more."""
        i = tables.instances
        with reading(self.database).connect() as connection:
            rows = connection.execute(
                select(i.c.blob).where(i.c.study_instance_uid == study_instance_uid, i.c.released_at.is_not(None))
            )
            return frozenset(rows.scalars())

    def retrieved(self, study_instance_uid: str) -> frozenset[str]:
        """Spool names of the study's instances that we asked for ourselves."""
        i = tables.instances
        with reading(self.database).connect() as connection:
            rows = connection.execute(
                select(i.c.blob).where(i.c.study_instance_uid == study_instance_uid, i.c.retrieved_by != "")
            )
            return frozenset(rows.scalars())

    def first_image(self, study_instance_uid: str) -> str | None:
        """Spool name of an image that is kept; None when none is."""
        i = tables.instances
        with reading(self.database).connect() as connection:
            return connection.execute(
                select(i.c.blob)
                .where(i.c.study_instance_uid == study_instance_uid, i.c.is_image, i.c.released_at.is_(None))
                .order_by(i.c.ours, i.c.received_at, i.c.digest)
                .limit(1)
            ).scalar_one_or_none()

    def images_kept(self, study_instance_uid: str) -> dict[str, int]:
        """How many instances of each series are in the spool, by Series Instance UID; empty for an unknown study."""
        i = tables.instances
        with reading(self.database).connect() as connection:
            rows = connection.execute(
                select(i.c.series_instance_uid, func.count(i.c.sop_instance_uid.distinct()))
                .where(i.c.study_instance_uid == study_instance_uid, i.c.released_at.is_(None))
                .group_by(i.c.series_instance_uid)
            )
            return {series: int(count) for series, count in rows}

    def collecting(self, study_instance_uid: str) -> bool:
        """Whether the study is still to be judged complete."""
        s = tables.studies
        with reading(self.database).connect() as connection:
            query = select(s.c.check_at).where(s.c.study_instance_uid == study_instance_uid)
            return connection.execute(query).scalar_one_or_none() is not None

    def of_patient(self, patient_digest: str, first: date, last: date) -> list[Made]:
        """A patient's studies that were made between two days.

        Parameters
        ----------
        patient_digest
            As `imaging.study.InstanceInfo.patient_digest`.
        """
        s = tables.studies
        query = select(s.c.study_instance_uid, s.c.study_date, s.c.study_time).where(
            s.c.patient_digest == patient_digest, s.c.study_date.between(first, last)
        )
        with reading(self.database).connect() as connection:
            return [Made(*row) for row in connection.execute(query)]
