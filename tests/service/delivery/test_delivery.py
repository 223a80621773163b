"""Sending and confirming with real SCPs, one step at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance
from sqlalchemy import select

from dicom_node.network.archive import FakeArchive
from dicom_node.network.find import StudyIdentity
from dicom_node.network.store import send_files
from service.database import tables
from service.delivery.queue import State
from service.settings import DestinationSettings, SwitchSettings
from tests.service.delivery.house import (
    CLASSES,
    DELIVER,
    PIPELINE,
    House,
    destination,
    digest_of,
    steps,
    wait_for,
    write_object,
)

StartArchive = Callable[..., FakeArchive]


def answer(status: int, comment: str) -> Dataset:
    dataset = Dataset()
    dataset.Status, dataset.ErrorComment = status, comment
    return dataset


def stored(archive: FakeArchive, key: str, house: House) -> dict[str, str]:
    """Digests of the archive's files among a result's."""
    ours = house.files_of(key)
    return {uid: digest_of(path) for uid, path in archive.instances().items() if uid in ours}


def test_the_stored_bytes_arrive_in_order_and_a_query_confirms(house: House, start_archive: StartArchive) -> None:
    archive = start_archive()
    key = house.add(1, "pacs")
    service = house.service(destination(archive))
    steps(service)
    row = house.row(key)
    assert (row.state, row.confirmed_by, row.attempts) == ("confirmed", "query", 1)
    assert row.seconds > 0
    assert row.sent_at and row.confirmed_at and row.identity_checked_at
    assert stored(archive, key, house) == house.files_of(key)
    assert archive.store_requests == ["2.25.101", "2.25.100", "2.25.102"]  # SEG, SR, picture
    attempts = house.attempts()
    assert [(a.sop_instance_uid, a.status) for a in attempts] == [(uid, 0) for uid in archive.store_requests]
    assert {a.sop_instance_uid: a.digest for a in attempts} == house.files_of(key)
    assert [name for name, _ in house.events] == ["sent"] * 3 + ["confirmed"]


def test_a_destination_that_is_down_delays_nobody_and_gets_all_in_order(
    house: House, start_archive: StartArchive
) -> None:
    up = start_archive("UP")
    down = start_archive("DOWN")
    places = destination(down, "down"), destination(up, "up")
    down.stop()
    keys = [house.add(number, "down", "up") for number in range(1, 5)]
    service = house.service(*places)
    steps(service)
    assert [house.state(key, "up") for key in keys] == [State.CONFIRMED] * 4
    assert [house.state(key, "down") for key in keys] == [State.PENDING] * 4
    assert "can't be reached" in house.row(keys[0], "down").comment
    assert "next attempt at" in house.row(keys[0], "down").comment
    assert house.row(keys[1], "down").comment == ""  # only the oldest probes
    for _ in range(3):
        house.clock.advance(minutes=2)
        steps(service)
    back = start_archive("DOWN", port=places[0].port)
    house.clock.advance(minutes=2)
    steps(service)
    assert [house.state(key, "down") for key in keys] == [State.CONFIRMED] * 4
    assert back.store_requests == up.store_requests
    assert [house.row(key, "down").attempts for key in keys] == [1] * 4


def test_a_silent_destination_is_not_tried_before_its_time(house: House, start_archive: StartArchive) -> None:
    archive = start_archive()
    place = destination(archive)
    archive.stop()
    house.add(1, "pacs")
    service = house.service(place)
    assert service.queues[0].step()
    assert not service.queues[0].step()
    house.clock.advance(seconds=2)
    assert service.queues[0].step()
    assert [name for name, _ in house.events] == ["unreachable"] * 2


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0x0122, 0x0124])
def test_a_refusal_parks_its_row_with_the_comment_and_is_overtaken(
    house: House, start_archive: StartArchive, status: int
) -> None:
    archive = start_archive()
    archive.refuse = lambda _cls, uid: answer(status, "no such patient") if uid == "2.25.101" else None
    refused, next_one = house.add(1, "pacs"), house.add(2, "pacs")
    service = house.service(destination(archive))
    steps(service)
    row = house.row(refused)
    assert row.state == "parked"
    assert row.comment == f"not taken, seg: {status:04X}H no such patient"
    assert archive.store_requests[0] == "2.25.101"
    assert "2.25.100" not in archive.store_requests  # the SR would refer to a SEG that isn't there
    assert house.state(next_one) is State.CONFIRMED
    attempt = house.attempts()[0]
    assert (attempt.status, attempt.comment) == (status, "no such patient")


@pytest.mark.parametrize("status", [0xB000, 0xB007, 0x0111])
def test_a_warning_and_a_duplicate_count_as_taken(house: House, start_archive: StartArchive, status: int) -> None:
    archive = start_archive()
    key = house.add(1, "pacs")
    service = house.service(destination(archive))
    steps(service)
    d = tables.deliveries
    house.change(d.update().values(state="pending"))
    archive.refuse = lambda _cls, _uid: answer(status, "noted")
    steps(service)
    assert house.state(key) is State.CONFIRMED
    assert {a.status for a in house.attempts()} == {0, status}


def test_a_class_that_the_archive_does_not_take_parks(house: House) -> None:
    """An archive that knows SR and pictures, and no SEG."""
    peer = Peer(with_commitment=False, classes=[CLASSES["sr"], CLASSES["picture"]])
    try:
        key = house.add(1, "pacs")
        service = house.service(peer.destination(query=False, commitment=False))
        steps(service)
        row = house.row(key)
        assert row.state == "parked"
        assert row.comment.startswith("not taken, seg: not stored")
        assert house.attempts()[0].status is None
    finally:
        peer.stop()


def test_out_of_resources_is_the_destinations_trouble(house: House, start_archive: StartArchive) -> None:
    archive = start_archive()
    keys = [house.add(number, "pacs") for number in (1, 2)]
    archive.refuse = lambda _cls, uid: answer(0xA700, "disk full") if uid == "2.25.100" else None
    service = house.service(destination(archive))
    steps(service)
    assert [house.state(key) for key in keys] == [State.PENDING] * 2
    assert "A700H disk full" in house.row(keys[0]).comment
    assert set(archive.store_requests) == {"2.25.101", "2.25.100"}  # nobody overtakes: there is no room for anyone
    house.clock.advance(seconds=2)
    steps(service)
    assert [house.state(key) for key in keys] == [State.PENDING] * 2
    archive.refuse = None
    house.clock.advance(seconds=5)
    steps(service)
    assert [house.state(key) for key in keys] == [State.CONFIRMED] * 2


def test_what_ends_its_association_every_time_is_overtaken_and_tried_again(house: House) -> None:
    """An object that makes the archive abort is that object's trouble; an archive that is down is not."""
    peer = Peer(with_commitment=False, aborts_on="2.25.101")
    try:
        poison, next_one = house.add(1, "pacs"), house.add(2, "pacs")
        service = house.service(peer.destination(query=False, commitment=False))
        for _ in range(4):
            steps(service)
            house.clock.advance(seconds=1.2)
        assert house.state(next_one) is State.SENT
        row = house.row(poison)
        assert row.state == "pending"
        assert row.attempts >= 1
        assert "ended the association" in row.comment
        assert house.attempts()[0].status is None
        peer.aborts_on = ""
        house.clock.advance(minutes=1)
        steps(service)
        assert house.state(poison) is State.SENT
    finally:
        peer.stop()


def test_taken_but_not_found_is_sent_again_with_the_same_bytes(house: House, start_archive: StartArchive) -> None:
    archive = start_archive()
    archive.refuse = lambda _cls, _uid: 0x0000  # it says yes and keeps nothing
    key, next_one = house.add(1, "pacs"), house.add(2, "pacs")
    service = house.service(destination(archive))
    steps(service)
    assert "not yet shown" in house.row(key).comment
    assert len(archive.store_requests) == 6  # the second was not held up
    house.clock.advance(seconds=31)
    steps(service)
    assert house.state(key) is State.PENDING
    assert "not found there: seg, sr, picture; sent again" in house.row(key).comment
    archive.refuse = None
    house.clock.advance(seconds=5)
    steps(service)
    assert [house.state(k) for k in (key, next_one)] == [State.CONFIRMED] * 2
    assert house.row(key).attempts == 2
    assert stored(archive, key, house) == house.files_of(key)
    assert {a.digest for a in house.attempts() if a.sop_instance_uid in house.files_of(key)} == set(
        house.files_of(key).values()
    )


def test_what_cannot_be_confirmed_stays_sent_and_says_so(house: House, start_archive: StartArchive) -> None:
    archive = start_archive()
    key = house.add(1, "pacs")
    service = house.service(destination(archive, query=False))
    steps(service)
    house.clock.advance(days=3)
    assert steps(service) == 0
    row = house.row(key)
    assert row.state == "sent"
    assert "can't be confirmed" in row.comment
    with house.engine.connect() as connection:
        audit = connection.execute(select(tables.audit)).one()
    assert (audit.action, audit.subject) == ("send without identity check", "1.2.1")


# -- storage commitment --


def test_commitment_reported_on_a_new_association(
    house: House, start_archive: StartArchive, our_scp: tuple[str, int]
) -> None:
    archive = start_archive(commitment=True, known_aes={"RAYSIGHT": our_scp})
    key = house.add(1, "pacs")
    steps(house.service(destination(archive, commitment=True)))
    wait_for(lambda: house.state(key) is State.CONFIRMED)
    row = house.row(key)
    assert row.confirmed_by == "commitment"
    assert row.transaction_uid and row.transaction_at


def test_a_failed_commitment_sends_again(house: House, start_archive: StartArchive, our_scp: tuple[str, int]) -> None:
    archive = start_archive(commitment=True, known_aes={"RAYSIGHT": our_scp})
    archive.refuse = lambda _cls, uid: 0x0000 if uid == "2.25.100" else None
    key = house.add(1, "pacs")
    service = house.service(destination(archive, commitment=True))
    steps(service)
    wait_for(lambda: house.state(key) is State.PENDING)
    assert house.row(key).comment == "the archive did not commit to sr (0112H); sent again"
    assert house.row(key).transaction_uid is None
    archive.refuse = None
    house.clock.advance(seconds=30)
    steps(service)
    wait_for(lambda: house.state(key) is State.CONFIRMED)
    assert stored(archive, key, house) == house.files_of(key)


def test_a_report_that_never_comes_is_replaced_by_a_query(house: House, start_archive: StartArchive) -> None:
    archive = start_archive(commitment=True, known_aes={"RAYSIGHT": ("127.0.0.1", 9)})  # nobody listens there
    key = house.add(1, "pacs")
    service = house.service(destination(archive, commitment=True, commitment_wait_seconds=60))
    steps(service)
    house.clock.advance(seconds=59)
    assert steps(service) == 0
    assert house.state(key) is State.SENT
    house.clock.advance(seconds=2)
    steps(service)
    assert (house.state(key), house.row(key).confirmed_by) == (State.CONFIRMED, "query")


def test_without_query_a_lost_report_is_asked_for_again_and_waited_for_longer(
    house: House, start_archive: StartArchive, our_scp: tuple[str, int]
) -> None:
    archive = start_archive(commitment=True, known_aes={"RAYSIGHT": ("127.0.0.1", 9)})
    key = house.add(1, "pacs")
    service = house.service(destination(archive, commitment=True, query=False, commitment_wait_seconds=60))
    steps(service)
    transactions, waits = {house.row(key).transaction_uid}, []
    for _ in range(3):
        house.clock.now = house.row(key).next_attempt_at
        steps(service)
        row = house.row(key)
        transactions.add(row.transaction_uid)
        waits.append(row.next_attempt_at - row.transaction_at)
    assert len(transactions) == 4
    assert waits == [timedelta(seconds=s) for s in (60, 120, 240)]
    archive.known_aes["RAYSIGHT"] = our_scp
    house.clock.now = house.row(key).next_attempt_at
    steps(service)
    wait_for(lambda: house.state(key) is State.CONFIRMED)


def test_refused_commitment_falls_back_to_a_query(house: House, start_archive: StartArchive) -> None:
    archive = start_archive(commitment=False)
    key = house.add(1, "pacs")
    steps(house.service(destination(archive, commitment=True)))
    assert (house.state(key), house.row(key).confirmed_by) == (State.CONFIRMED, "query")


def test_refused_commitment_without_query_says_that_it_cannot_be_confirmed(
    house: House, start_archive: StartArchive
) -> None:
    archive = start_archive(commitment=False)
    key = house.add(1, "pacs")
    service = house.service(destination(archive, commitment=True, query=False))
    steps(service)
    row = house.row(key)
    assert row.state == "sent"
    assert row.comment.startswith("can't be confirmed: storage commitment is refused")
    waits = []
    for _ in range(4):
        waits.append(house.row(key).next_attempt_at - house.clock())
        house.clock.now = house.row(key).next_attempt_at
        steps(service)
    assert waits[-1] > 3 * waits[0]


def test_an_abort_on_the_request_is_a_refusal_if_the_archive_is_still_there(house: House) -> None:
    peer = Peer(with_commitment=True, aborts_on="request")
    try:
        key = house.add(1, "pacs")
        steps(house.service(peer.destination(query=False, commitment=True)))
    finally:
        peer.stop()
    row = house.row(key)
    assert (row.state, row.transaction_uid) == ("sent", None)
    assert "can't be confirmed: storage commitment is refused" in row.comment


def test_an_archive_that_is_gone_when_commitment_is_due_is_asked_when_it_is_back(
    house: House, start_archive: StartArchive, our_scp: tuple[str, int]
) -> None:
    archive = start_archive(commitment=True, known_aes={"RAYSIGHT": our_scp})
    place = destination(archive, commitment=True, query=False)
    key = house.add(1, "pacs")
    service = house.service(place)
    service.queues[0].step()
    archive.stop()
    steps(service)
    row = house.row(key)
    assert (row.state, row.transaction_uid) == ("sent", None)
    assert "can't be reached" in row.comment
    start_archive(commitment=True, known_aes={"RAYSIGHT": our_scp}, port=place.port)
    house.clock.advance(seconds=2)
    steps(service)
    wait_for(lambda: house.state(key) is State.CONFIRMED)


def test_commitment_reported_on_the_same_association(house: House) -> None:
    peer = Peer(with_commitment=True)
    try:
        key = house.add(1, "pacs")
        steps(house.service(peer.destination(query=False, commitment=True)))
        assert (house.state(key), house.row(key).confirmed_by) == (State.CONFIRMED, "commitment")
    finally:
        peer.stop()


# -- identity, hold, stop --


def test_another_patients_study_parks_without_printing_whose(
    house: House, start_archive: StartArchive, tmp_path: Path
) -> None:
    archive = start_archive()
    other = StudyIdentity("P-OTHER", "HOSPITAL", "A-OTHER")
    image = write_object(tmp_path / "i.dcm", "1.2.1", CLASSES["picture"], "2.25.7", other)
    send_files(archive.remote, "CT", [image])
    archive.store_requests.clear()
    key, next_one = house.add(1, "pacs"), house.add(2, "pacs")
    steps(house.service(destination(archive)))
    row = house.row(key)
    assert row.state == "parked"
    assert row.comment == "not sent: the archive's study differs from the source in Patient ID, Accession Number"
    assert not any(uid in archive.store_requests for uid in house.files_of(key))
    assert house.state(next_one) is State.CONFIRMED


def test_the_right_patients_study_is_sent_and_nothing_is_noted(
    house: House, start_archive: StartArchive, tmp_path: Path
) -> None:
    archive = start_archive()
    image = write_object(tmp_path / "i.dcm", "1.2.1", CLASSES["picture"], "2.25.7", StudyIdentity("P1", "", "A1"))
    send_files(archive.remote, "CT", [image])
    key = house.add(1, "pacs")
    steps(house.service(destination(archive)))
    assert house.state(key) is State.CONFIRMED
    with house.engine.connect() as connection:
        assert connection.execute(select(tables.audit)).all() == []


def test_hold_keeps_rows_pending(house: House, start_archive: StartArchive) -> None:
    archive = start_archive()
    key = house.add(1, "pacs")
    steps(house.service(destination(archive, pipelines={PIPELINE: SwitchSettings()})))
    assert house.state(key) is State.PENDING
    assert archive.store_requests == []
    steps(house.service(destination(archive)))
    assert house.state(key) is State.CONFIRMED


def test_a_stop_between_two_objects_takes_effect_before_the_next(house: House, start_archive: StartArchive) -> None:
    archive = start_archive()

    def stop_now(_cls: str, _uid: str) -> None:
        archive.refuse = None
        house.stop()

    archive.refuse = stop_now
    key = house.add(1, "pacs")
    service = house.service(destination(archive))
    steps(service)
    assert archive.store_requests == ["2.25.101"]
    assert house.state(key) is State.PENDING
    house.stop(False)
    steps(service)
    assert house.state(key) is State.CONFIRMED
    assert stored(archive, key, house) == house.files_of(key)


class Peer:
    """A peer that stores nothing, and does what `FakeArchive` does not.

    It reports on the same association, lacks SOP classes, and aborts at an object.
    """

    def __init__(self, *, with_commitment: bool, classes: list[str] | None = None, aborts_on: str = "") -> None:
        ae = AE("PEER")
        ae.add_supported_context("1.2.840.10008.1.1")
        for sop_class in classes or CLASSES.values():
            ae.add_supported_context(sop_class)
        handlers: list[Any] = [(evt.EVT_C_STORE, self._store)]
        if with_commitment:
            ae.supported_contexts = [*ae.supported_contexts, build_context(StorageCommitmentPushModel)]
            handlers.append((evt.EVT_N_ACTION, self._commit))
        self.aborts_on = aborts_on
        self._server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)

    def destination(self, **changes: Any) -> DestinationSettings:
        port = self._server.socket.getsockname()[1]
        values = {"timeout_seconds": 5, "pipelines": {PIPELINE: DELIVER}} | changes
        return DestinationSettings(name="pacs", ae_title="PEER", host="127.0.0.1", port=port, **values)

    def stop(self) -> None:
        self._server.shutdown()

    def _store(self, event: evt.Event) -> int:
        if event.request.AffectedSOPInstanceUID == self.aborts_on:
            event.assoc.abort()
        return 0x0000

    def _commit(self, event: evt.Event) -> tuple[int, None]:
        asked, assoc = event.action_information, event.assoc
        if self.aborts_on == "request":
            assoc.abort()
            return 0x0000, None

        def report() -> None:
            done = Dataset()
            done.TransactionUID, done.ReferencedSOPSequence = asked.TransactionUID, asked.ReferencedSOPSequence
            assoc.send_n_event_report(done, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)

        threading.Timer(0.2, report).start()
        return 0x0000, None
