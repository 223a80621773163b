"""The threads: they wake, they survive, they end; and reports that mean nothing to us."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from dicom_node.network.archive import FakeArchive
from dicom_node.spool import Committed
from service.database import tables
from service.delivery.channel import utc_now
from service.delivery.confirming import apply_commitment
from service.delivery.queue import State
from tests.service.delivery.house import House, destination, steps, wait_for

StartArchive = Callable[..., FakeArchive]


def test_threads_deliver_what_other_processes_queue(house: House, start_archive: StartArchive) -> None:
    one, other = start_archive("ONE"), start_archive("OTHER")
    service = house.service(destination(one, "one"), destination(other, "other"), clock=utc_now, poll_seconds=0.05)
    service.start()
    try:
        key = house.add(1, "one", "other")
        wait_for(lambda: house.state(key, "one") is house.state(key, "other") is State.CONFIRMED)
    finally:
        service.stop()


def test_notify_wakes_at_once(house: House, start_archive: StartArchive) -> None:
    service = house.service(destination(start_archive()), clock=utc_now, poll_seconds=3600)
    service.start()
    try:
        key = house.add(1, "pacs")
        service.notify()
        wait_for(lambda: house.state(key) is State.CONFIRMED)
    finally:
        service.stop()


def test_a_row_that_trips_over_a_defect_neither_kills_the_thread_nor_blocks_the_rest(
    house: House, start_archive: StartArchive
) -> None:
    def broken_for_one(study: str) -> None:
        if study == "1.2.1":
            raise ZeroDivisionError("a name that must not be logged")

    service = house.service(destination(start_archive()), clock=utc_now, poll_seconds=0.05)
    bad, good = house.add(1, "pacs"), house.add(2, "pacs")
    object.__setattr__(service.queues[0].channel, "source_identity", broken_for_one)
    with capture_logs() as logs:
        service.start()
        try:
            wait_for(lambda: house.state(good) is State.CONFIRMED)
        finally:
            service.stop()
    assert house.row(bad).comment == "unexpected ZeroDivisionError; the log says where"
    (line,) = [entry for entry in logs if entry["log_level"] == "critical"]
    assert line["error"] == "ZeroDivisionError"
    assert "test_service.py" in line["where"]
    assert "must not be logged" not in str(logs)
    assert ("unexpected", {"destination": "pacs", "error": "ZeroDivisionError"}) in house.events


def test_a_thread_outlives_a_database_that_fails(house: House, start_archive: StartArchive) -> None:
    service = house.service(destination(start_archive()), clock=utc_now, poll_seconds=0.05)
    key = house.add(1, "pacs")
    house.change(text("ALTER TABLE deliveries RENAME TO elsewhere"))
    service.start()
    try:
        wait_for(lambda: any(name == "unexpected" for name, _ in house.events))
        house.change(text("ALTER TABLE elsewhere RENAME TO deliveries"))
        wait_for(lambda: house.state(key) is State.CONFIRMED)
    finally:
        service.stop()


def test_a_missing_result_file_postpones_its_row_only(house: House, start_archive: StartArchive) -> None:
    bad, good = house.add(1, "pacs"), house.add(2, "pacs")
    o = tables.objects
    house.change(o.update().where(o.c.key == bad, o.c.role == "sr").values(blob="nowhere.dcm"))
    steps(house.service(destination(start_archive())))
    assert house.state(good) is State.CONFIRMED
    row = house.row(bad)
    assert row.state == "pending"
    assert "not at hand" in row.comment
    assert row.next_attempt_at > house.clock()


@pytest.fixture
def sent(house: House) -> str:
    """The key of a delivery that was sent and waits for transaction 1.9."""
    key = house.add(1, "pacs")
    d = tables.deliveries
    house.change(d.update().values(state="sent", sent_at=house.clock(), transaction_uid="1.9"))
    return key


def report(house: House, transaction: str, *, committed: tuple[str, ...] = (), failed: tuple[str, ...] = ()) -> None:
    entry = Committed(
        transaction, committed, tuple((uid, 0x0112) for uid in failed), "PACS", house.clock().isoformat()
    )
    with house.engine.begin() as connection:
        apply_commitment(connection, entry)


def test_a_report_is_applied_once_whatever_is_read_again(house: House, sent: str) -> None:
    uids = tuple(house.files_of(sent))
    report(house, "1.9", committed=uids)
    row = house.row(sent)
    assert (row.state, row.confirmed_by) == ("confirmed", "commitment")
    house.clock.advance(hours=1)
    report(house, "1.9", committed=uids)
    report(house, "1.9", failed=uids)
    assert house.row(sent) == row


def test_an_unknown_transaction_changes_nothing(house: House, sent: str) -> None:
    before = house.row(sent)
    report(house, "1.8", committed=tuple(house.files_of(sent)))
    assert house.row(sent) == before


def test_a_report_that_leaves_objects_out_confirms_nothing(house: House, sent: str) -> None:
    report(house, "1.9", committed=tuple(house.files_of(sent))[:2])
    assert house.state(sent) is State.SENT
    assert "left objects out" in house.row(sent).comment


def test_a_report_while_the_index_is_being_rebuilt_confirms_nothing(house: House, sent: str) -> None:
    uids = tuple(house.files_of(sent))
    house.change(tables.objects.delete())
    report(house, "1.9", committed=uids)
    assert house.state(sent) is State.SENT
