"""Whose study it is, from the source header: read for the identity check, never kept."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine, select

from dicom_node.blobs import BlobStore
from dicom_node.network.find import StudyIdentity
from dicom_node.reader.identity import read_identity
from service.database import tables
from service.database.engine import reading


def source_identity(database: Engine, spool: BlobStore) -> Callable[[str], StudyIdentity | None]:
    """A function from Study Instance UID to Patient ID, issuer and accession number of its first image.

    None when the study's images are gone (released, so every delivery was confirmed before).
    """

    def identity(study_instance_uid: str) -> StudyIdentity | None:
        i = tables.instances
        with reading(database).connect() as connection:
            blob = connection.execute(
                select(i.c.blob)
                .where(i.c.study_instance_uid == study_instance_uid, i.c.is_image, i.c.released_at.is_(None))
                .order_by(i.c.received_at, i.c.digest)
                .limit(1)
            ).scalar_one_or_none()
        return None if blob is None else read_identity(spool.path(blob))

    return identity
