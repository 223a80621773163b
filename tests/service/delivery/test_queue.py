"""Rows: who gets them, which is due, and which changes are allowed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from service.database import tables
from service.database.engine import connect, upgrade
from service.delivery import queue
from service.delivery.queue import Delivery, Proof, State
from service.settings import DestinationSettings, Mode, SwitchSettings

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
DELIVER = SwitchSettings(mode=Mode.DELIVER, responsible="Dr Li", since=date(2026, 11, 1))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path / 'x.db'}")
    upgrade(engine)
    yield engine
    engine.dispose()


def destination(pipelines: dict[str, SwitchSettings] | None = None, **changes: bool) -> DestinationSettings:
    switches = {"lung_nodule": DELIVER} if pipelines is None else pipelines
    return DestinationSettings(name="pacs", ae_title="PACS", host="h", port=1, pipelines=switches, **changes)


def create(engine: Engine, key: str, *names: str, pipeline: str = "lung_nodule") -> int:
    with engine.begin() as connection:
        return queue.create_deliveries(
            connection,
            key=key,
            study_instance_uid="1.2",
            pipeline=pipeline,
            profiles=dict.fromkeys(names, "profile"),
            now=NOW,
        )


def due(engine: Engine, where: DestinationSettings, now: datetime = NOW) -> Delivery | None:
    with engine.connect() as connection:
        return queue.next_due(connection, where, now)


def due_now(engine: Engine) -> Delivery:
    found = due(engine, destination())
    assert found is not None
    return found


def state(engine: Engine, delivery: Delivery) -> State:
    with engine.connect() as connection:
        found = queue.find_delivery(connection, delivery.id)
    assert found is not None
    return found.state


def test_rows_are_made_once_for_the_named_destinations(engine: Engine) -> None:
    assert create(engine, "k", "pacs", "mirror") == 2
    assert create(engine, "k", "pacs", "mirror", "third") == 1
    assert create(engine, "k") == 0
    with engine.connect() as connection:
        rows = connection.execute(select(tables.deliveries.c.destination, tables.deliveries.c.state)).all()
    assert {tuple(r) for r in rows} == {("pacs", "pending"), ("mirror", "pending"), ("third", "pending")}


def test_the_oldest_comes_first_and_a_postponed_one_is_overtaken(engine: Engine) -> None:
    create(engine, "a", "pacs")
    create(engine, "b", "pacs")
    first = due_now(engine)
    assert first.key == "a"
    with engine.begin() as connection:
        queue.postpone(connection, first, LATER, "busy")
    assert due_now(engine).key == "b"
    again = due(engine, destination(), LATER)
    assert again is not None
    assert (again.key, again.comment) == ("a", "busy")


def test_hold_stop_and_an_unnamed_pipeline_keep_rows_pending(engine: Engine) -> None:
    create(engine, "a", "pacs")
    assert due(engine, destination({"lung_nodule": SwitchSettings()})) is None
    assert due(engine, destination({})) is None
    row = {"pipeline": "lung_nodule", "stopped_at": NOW, "stopped_by": "me", "note": ""}
    with engine.begin() as connection:
        connection.execute(tables.stops.insert().values(row))
    assert due(engine, destination()) is None
    with engine.begin() as connection:
        connection.execute(tables.stops.delete())
    assert due_now(engine).key == "a"


def test_what_was_sent_is_confirmed_even_when_its_pipeline_is_stopped(engine: Engine) -> None:
    create(engine, "a", "pacs")
    row = due_now(engine)
    with engine.begin() as connection:
        queue.mark_sent(connection, row, NOW, 0.5, "")
    found = due(engine, destination({}))
    assert found is not None
    assert found.state is State.SENT


def test_without_any_means_of_confirmation_nothing_is_due_after_sending(engine: Engine) -> None:
    create(engine, "a", "pacs")
    row = due_now(engine)
    with engine.begin() as connection:
        queue.mark_sent(connection, row, NOW, 0.5, "")
    assert due(engine, destination(commitment=False, query=False)) is None
    assert due(engine, destination(commitment=False)) is not None


def test_confirmed_once_stays_confirmed(engine: Engine) -> None:
    create(engine, "a", "pacs")
    row = due_now(engine)
    with engine.begin() as connection:
        assert not queue.mark_confirmed(connection, row, Proof.QUERY, NOW, "")  # it wasn't sent
        queue.mark_sent(connection, row, NOW, 0.5, "")
        assert queue.mark_confirmed(connection, row, Proof.COMMITMENT, NOW, "")
        assert not queue.mark_confirmed(connection, row, Proof.QUERY, LATER, "")
        assert not queue.send_again(connection, row, LATER, "")
        queue.park(connection, row, "too late")
    assert state(engine, row) is State.CONFIRMED


def test_only_a_parked_row_is_unparked_and_its_identity_is_checked_again(engine: Engine) -> None:
    create(engine, "a", "pacs")
    row = due_now(engine)
    with engine.begin() as connection:
        queue.identity_checked(connection, row, NOW, "")
        assert not queue.unpark(connection, row.id, LATER)
        queue.park(connection, row, "refused")
    assert due(engine, destination(), LATER) is None
    with engine.begin() as connection:
        assert queue.unpark(connection, row.id, LATER)
    found = due(engine, destination(), LATER)
    assert found is not None
    assert (found.state, found.identity_checked_at) == (State.PENDING, None)


def test_a_report_goes_after_what_it_refers_to(engine: Engine) -> None:
    create(engine, "a", "pacs")
    delivery = due_now(engine)
    with engine.begin() as connection:
        for number, (role, profile) in enumerate(
            [("picture", "profile"), ("sr", "profile"), ("seg", "profile"), ("sr", "other")]
        ):
            row = {"sop_instance_uid": f"1.{number}", "key": "a", "profile": profile, "role": role}
            row |= {"sop_class_uid": "1.2", "series_instance_uid": "1.3", "blob": role, "digest": "d"}
            connection.execute(tables.objects.insert().values(row))
        found = queue.queued_objects(connection, delivery)
    assert [item.role for item in found] == ["seg", "sr", "picture"]
