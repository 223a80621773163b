"""Images go when their work is done, oldest first; digests stay."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update

from dicom_node.blobs import LocalBlobStore
from service.database import tables
from service.database.engine import connect, upgrade
from service.node.retention import release_images
from service.settings import RetentionSettings

NOW = datetime.now(UTC)
KEEP = RetentionSettings(days=14, watermark_mb=0)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path / 'x.db'}")
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def spool(tmp_path: Path) -> LocalBlobStore:
    return LocalBlobStore(tmp_path / "spool")


def add(engine: Engine, spool: LocalBlobStore, uid: str, days_ago: float, *, reading: str, delivery: str) -> None:
    at = NOW - timedelta(days=days_ago)
    blob = f"{uid}/1.dcm"
    spool.put(blob, b"image")
    with engine.begin() as connection:
        connection.execute(
            tables.studies.insert().values(
                study_instance_uid=uid,
                first_received_at=at,
                last_received_at=at,
                complete_at=at,
                source_ae="A",
                waiting_for="",
            )
        )
        connection.execute(
            tables.instances.insert().values(
                digest=uid,
                study_instance_uid=uid,
                sop_instance_uid=uid,
                series_instance_uid="1",
                sop_class_uid="1",
                blob=blob,
                size=5,
                received_at=at,
                calling_ae="A",
                peer="",
                is_image=True,
                ours=False,
            )
        )
        connection.execute(
            tables.readings.insert().values(
                key=uid,
                study_instance_uid=uid,
                pipeline="p",
                pipeline_version="1",
                model_name="m",
                model_version="1",
                images=uid,
                state=reading,
                requested_at=at,
            )
        )
        connection.execute(
            tables.deliveries.insert().values(
                key=uid,
                study_instance_uid=uid,
                pipeline="p",
                destination="d",
                profile="q",
                state=delivery,
                created_at=at,
                next_attempt_at=at,
                confirmed_at=at if delivery == "confirmed" else None,
            )
        )


def kept(engine: Engine) -> set[str]:
    i = tables.instances
    with engine.connect() as connection:
        return set(connection.execute(select(i.c.study_instance_uid).where(i.c.released_at.is_(None))).scalars())


def test_only_what_is_finished_for_long_enough_goes(engine: Engine, spool: LocalBlobStore, tmp_path: Path) -> None:
    add(engine, spool, "1", 30, reading="read", delivery="confirmed")
    add(engine, spool, "2", 30, reading="reading", delivery="confirmed")
    add(engine, spool, "3", 30, reading="read", delivery="sent")
    add(engine, spool, "4", 30, reading="not read", delivery="parked")
    add(engine, spool, "5", 1, reading="read", delivery="confirmed")
    assert release_images(engine, spool, tmp_path / "spool", KEEP) == 1
    assert kept(engine) == {"2", "3", "4", "5"}
    assert not spool.exists("1/1.dcm")
    assert spool.exists("2/1.dcm")
    assert release_images(engine, spool, tmp_path / "spool", KEEP) == 0


def test_short_of_space_the_finished_ones_go_early(engine: Engine, spool: LocalBlobStore, tmp_path: Path) -> None:
    add(engine, spool, "1", 1, reading="read", delivery="confirmed")
    add(engine, spool, "2", 1, reading="read", delivery="pending")
    plenty = RetentionSettings(days=14, watermark_mb=10**9)
    assert release_images(engine, spool, tmp_path / "spool", plenty) == 1
    assert kept(engine) == {"2"}


def test_a_study_with_new_images_is_kept(engine: Engine, spool: LocalBlobStore, tmp_path: Path) -> None:
    add(engine, spool, "1", 30, reading="read", delivery="confirmed")
    with engine.begin() as connection:
        connection.execute(update(tables.studies).values(check_at=NOW))
    assert release_images(engine, spool, tmp_path / "spool", KEEP) == 0


def test_what_a_dying_node_left_half_done_is_finished(engine: Engine, spool: LocalBlobStore, tmp_path: Path) -> None:
    add(engine, spool, "1", 30, reading="read", delivery="confirmed")
    spool.delete("1/1.dcm")  # as far as it came: the table doesn't know yet
    assert release_images(engine, spool, tmp_path / "spool", KEEP) == 1
    assert kept(engine) == set()


def test_what_came_back_after_its_release_is_kept_as_long_as_a_new_image(
    engine: Engine, spool: LocalBlobStore, tmp_path: Path
) -> None:
    add(engine, spool, "1", 30, reading="read", delivery="confirmed")
    add(engine, spool, "2", 30, reading="read", delivery="confirmed")
    i = tables.instances
    with engine.begin() as connection:
        connection.execute(update(i).where(i.c.digest == "1").values(received_at=NOW - timedelta(days=1)))
    assert release_images(engine, spool, tmp_path / "spool", KEEP) == 1
    assert kept(engine) == {"1"}


def test_an_earlier_examination_goes_when_nothing_reads_with_it(
    engine: Engine, spool: LocalBlobStore, tmp_path: Path
) -> None:
    """One that was fetched is never complete; one that was sent is finished by itself."""
    for uid in ("fetched", "sent"):
        add(engine, spool, uid, 30, reading="read", delivery="confirmed")
        add(engine, spool, f"after {uid}".replace(" ", "-"), 1, reading="queued", delivery="confirmed")
    s, i, r = tables.studies, tables.instances, tables.readings
    with engine.begin() as connection:
        connection.execute(r.delete().where(r.c.key == "fetched"))
        connection.execute(update(s).where(s.c.study_instance_uid == "fetched").values(complete_at=None))
        connection.execute(update(i).where(i.c.study_instance_uid == "fetched").values(retrieved_by="C-GET"))
        for uid in ("fetched", "sent"):
            of_it = update(r).where(r.c.key == f"after-{uid}")
            connection.execute(of_it.values(prior_study_instance_uid=uid))
    assert release_images(engine, spool, tmp_path / "spool", KEEP) == 0
    with engine.begin() as connection:
        connection.execute(update(r).values(state="read"))
    assert release_images(engine, spool, tmp_path / "spool", KEEP) == 2
    assert kept(engine) == {"after-fetched", "after-sent"}
