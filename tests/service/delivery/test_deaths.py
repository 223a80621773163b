"""The process dies at every moment that the database can tell apart, and the next one finishes the work."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import event

from dicom_node.network.archive import FakeArchive
from service.database.engine import connect
from service.delivery.queue import State
from service.settings import DestinationSettings
from tests.service.delivery.house import House, destination, digest_of, steps, wait_for


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


def run_until_killed(house: House, place: DestinationSettings, moment: int) -> bool:
    """Deliver with a new process's means; it dies at the n-th transaction boundary. False: it came to rest before."""
    engine = connect(house.url)
    left = [moment]

    def boundary(_connection: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    event.listen(engine, "begin", boundary)  # what the last transaction wrote stands
    event.listen(engine, "commit", boundary)  # what this one wrote does not
    try:
        steps(house.service(place, engine=engine))
    except Killed:
        return True
    finally:
        event.remove(engine, "begin", boundary)
        event.remove(engine, "commit", boundary)
        engine.dispose()
    return False


@pytest.mark.parametrize(("commitment", "first"), [(False, 1), (True, 14)])  # up to `sent` both ways are the same
def test_whenever_it_dies_the_next_one_finishes(
    house: House, start_archive: Callable[..., FakeArchive], our_scp: tuple[str, int], commitment: bool, first: int
) -> None:
    archive = start_archive(commitment=commitment, known_aes={"RAYSIGHT": our_scp})
    place = destination(archive, commitment=commitment, query=not commitment)
    moment, killed, keys = first - 1, True, []
    while killed:
        moment += 1
        keys.append(house.add(moment, "pacs"))
        killed = run_until_killed(house, place, moment)
        # the successor: whatever was asked for in vain is asked for again
        steps(house.service(place))
        house.clock.advance(seconds=place.commitment_wait_seconds + 1)
        steps(house.service(place))
        wait_for(lambda: house.state(keys[-1]) is State.CONFIRMED)
    assert moment > 16  # identity, three objects and their gates, sent, confirmed: every boundary had its death
    for key in keys:
        ours = house.files_of(key)
        assert {uid: digest_of(path) for uid, path in archive.instances().items() if uid in ours} == ours
    sent = {(a.sop_instance_uid, a.digest) for a in house.attempts()}
    assert sent == {pair for key in keys for pair in house.files_of(key).items()}


def test_a_successor_keeps_waiting_for_the_report_that_its_predecessor_asked_for(
    house: House, start_archive: Callable[..., FakeArchive], our_scp: tuple[str, int]
) -> None:
    archive = start_archive(commitment=True, known_aes={"RAYSIGHT": our_scp}, delay=0.0)
    place = destination(archive, commitment=True, query=False)
    key = house.add(1, "pacs")
    archive.known_aes["RAYSIGHT"] = ("127.0.0.1", 9)  # the node is down when the report is due
    steps(house.service(place))
    transaction = house.row(key).transaction_uid
    assert transaction
    successor = house.service(place)
    assert steps(successor) == 0
    assert house.row(key).transaction_uid == transaction
