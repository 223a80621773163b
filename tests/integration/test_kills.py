"""`kill -9` of node, worker or all at states chosen by a seed: nothing is lost, nothing is made twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.network.archive import FakeArchive
from imaging.phantom import PhantomNodule, chest_phantom
from tests.integration.kills import Rounds
from tests.integration.orthanc import Orthanc
from tests.integration.raysight import Raysight, deliver_to

SHORT_SEED = 20261124
LONG_SEED = int(os.environ.get("RAYSIGHT_KILL_SEED", "7"))


@pytest.fixture
def rounds(orthanc: Orthanc, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Rounds]:
    raysight = Raysight(tmp_path / "raysight")
    second_folder = tmp_path / "second"
    known = {raysight.ae_title: ("127.0.0.1", raysight.port)}
    second = FakeArchive("SECOND", second_folder, known_aes=known, delay=0.02)
    second.start()
    raysight.settings = {
        "destinations": [
            deliver_to("orthanc", orthanc.ae_title, orthanc.dicom_port, commitment_wait_seconds=3),
            deliver_to("second", "SECOND", second.address[1], commitment_wait_seconds=3),
        ],
    }
    orthanc.know("raysight", raysight.ae_title, raysight.port)
    phantom = chest_phantom((4.0, 2.5, 2.5), (PhantomNodule((-95.0, -15.0, 25.0), (12.0, 12.0, 12.0)),), noise_hu=0)
    with raysight:
        yield Rounds(raysight, orthanc, second, second_folder, phantom, tmp_path / "sent", request.param)
    second.stop()


@pytest.mark.parametrize("rounds", [SHORT_SEED], indirect=True)
def test_five_kills(rounds: Rounds) -> None:
    for number in range(5):
        rounds.run(number)


@pytest.mark.long
@pytest.mark.parametrize("rounds", [LONG_SEED], indirect=True)
def test_two_hundred_kills(rounds: Rounds) -> None:
    for number in range(int(os.environ.get("RAYSIGHT_KILL_ROUNDS", "200"))):
        print(f"round {number}: killed {rounds.run(number)}", flush=True)
