"""Delivery to a real Orthanc: confirmed by query and by commitment, over its downtime, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicom_node.blobs import LocalBlobStore
from dicom_node.network.archive import FakeArchive
from dicom_node.network.find import StudyIdentity
from dicom_node.network.peers import Limits, Peer
from dicom_node.network.scp import StoreSCP
from service.delivery.queue import State
from service.settings import DestinationSettings
from tests.integration.orthanc import Orthanc, dataset_digest, free_port
from tests.service.delivery.house import DELIVER, OUR_AE, PIPELINE, House, destination, steps, wait_for, write_object

PICTURE = "1.2.840.10008.5.1.4.1.1.7"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.engine.dispose()


@pytest.fixture
def our_port(house: House, tmp_path: Path) -> Iterator[int]:
    """Where our own SCP takes Orthanc's commitment reports."""
    spool = LocalBlobStore(tmp_path / "spool")
    peers = [Peer("ORTHANC", ("127.0.0.1",))]
    scp = StoreSCP(OUR_AE, "127.0.0.1", 0, peers=peers, limits=Limits(free_bytes=0), blobs=spool, log=house)
    scp.start()
    yield scp.address[1]
    scp.stop()


def pacs(orthanc: Orthanc, **changes: bool | float) -> DestinationSettings:
    values = {"timeout_seconds": 10, "pipelines": {PIPELINE: DELIVER}} | changes
    return DestinationSettings(
        name="pacs", ae_title=orthanc.ae_title, host=orthanc.host, port=orthanc.dicom_port, **values
    )


def copies(orthanc: Orthanc, house: House, number: int) -> dict[str, str]:
    """Digest of the dataset bytes of Orthanc's copies of result ``number``, by SOP Instance UID."""
    ours = house.files_of(f"{number:064x}")
    instances = orthanc.instances(f"1.2.{number}")
    return {uid: dataset_digest(orthanc.download(instance)) for uid, instance in instances.items() if uid in ours}


def test_confirmed_by_query_and_stored_byte_for_byte(house: House, orthanc: Orthanc) -> None:
    key = house.add(1, "pacs")
    steps(house.service(pacs(orthanc, commitment=False)))
    assert (house.state(key), house.row(key).confirmed_by) == (State.CONFIRMED, "query")
    assert copies(orthanc, house, 1) == house.files_of(key)


def test_confirmed_by_commitment(house: House, orthanc: Orthanc, our_port: int) -> None:
    orthanc.know("raysight", OUR_AE, our_port)
    key = house.add(1, "pacs")
    steps(house.service(pacs(orthanc)))
    wait_for(lambda: house.state(key) is State.CONFIRMED)
    assert house.row(key).confirmed_by == "commitment"
    assert copies(orthanc, house, 1) == house.files_of(key)


def test_an_orthanc_that_refuses_commitment_is_queried(house: House, orthanc: Orthanc, our_port: int) -> None:
    orthanc.know("raysight", OUR_AE, our_port, commitment=False)
    key = house.add(1, "pacs")
    steps(house.service(pacs(orthanc)))
    assert (house.state(key), house.row(key).confirmed_by) == (State.CONFIRMED, "query")


def test_what_orthanc_lost_before_it_committed_is_sent_again(house: House, orthanc: Orthanc, our_port: int) -> None:
    key = house.add(1, "pacs")
    service = house.service(pacs(orthanc))
    service.queues[0].step()  # sent, and not yet asked about
    assert house.state(key) is State.SENT
    orthanc.delete(orthanc.instances("1.2.1")["2.25.101"])
    orthanc.know("raysight", OUR_AE, our_port)
    steps(service)
    wait_for(lambda: house.state(key) is State.PENDING)
    assert "did not commit to seg (0112H)" in house.row(key).comment
    house.clock.advance(minutes=1)
    steps(service)
    wait_for(lambda: house.state(key) is State.CONFIRMED)
    assert copies(orthanc, house, 1) == house.files_of(key)


def test_its_downtime_delays_nobody_else_and_keeps_the_order(house: House, orthanc: Orthanc, tmp_path: Path) -> None:
    mirror = FakeArchive("MIRROR", tmp_path / "mirror", commitment=False)
    mirror.start()
    try:
        orthanc.stop()
        keys = [house.add(number, "pacs", "mirror") for number in range(1, 6)]
        service = house.service(pacs(orthanc, commitment=False), destination(mirror, "mirror"))
        steps(service)
        assert [house.state(key, "mirror") for key in keys] == [State.CONFIRMED] * 5
        assert [house.state(key) for key in keys] == [State.PENDING] * 5
        orthanc.start()
        house.clock.advance(minutes=1)
        steps(service)
        assert [house.state(key) for key in keys] == [State.CONFIRMED] * 5
        assert orthanc.arrivals() == mirror.store_requests
    finally:
        mirror.stop()


@pytest.mark.parametrize("end", [Orthanc.stop, Orthanc.kill])
def test_it_goes_down_after_taking_and_is_asked_when_it_is_back(
    house: House, orthanc: Orthanc, end: Callable[[Orthanc], None]
) -> None:
    key = house.add(1, "pacs")
    service = house.service(pacs(orthanc, commitment=False))
    service.queues[0].step()
    end(orthanc)
    steps(service)
    assert house.state(key) is State.SENT
    assert "can't be reached" in house.row(key).comment
    orthanc.start()
    house.clock.advance(minutes=1)
    steps(service)
    assert house.state(key) is State.CONFIRMED
    assert copies(orthanc, house, 1) == house.files_of(key)


def test_another_patients_study_in_orthanc_parks(house: House, orthanc: Orthanc, tmp_path: Path) -> None:
    other = StudyIdentity("P-OTHER", "", "A1")
    orthanc.upload([write_object(tmp_path / "i.dcm", "1.2.1", PICTURE, "2.25.7", other)])
    key = house.add(1, "pacs")
    steps(house.service(pacs(orthanc)))
    assert house.state(key) is State.PARKED
    assert house.row(key).comment == "not sent: the archive's study differs from the source in Patient ID"
    assert list(orthanc.instances("1.2.1")) == ["2.25.7"]


def test_an_archive_with_our_port_closed_to_it_is_queried_after_the_wait(house: House, orthanc: Orthanc) -> None:
    orthanc.know("raysight", OUR_AE, free_port())
    key = house.add(1, "pacs")
    service = house.service(pacs(orthanc, commitment_wait_seconds=30))
    steps(service)
    assert house.state(key) is State.SENT
    house.clock.advance(seconds=31)
    steps(service)
    assert (house.state(key), house.row(key).confirmed_by) == (State.CONFIRMED, "query")
