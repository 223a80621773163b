"""Fixtures of the delivery tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dicom_node.blobs import LocalBlobStore
from dicom_node.network.archive import FakeArchive
from dicom_node.network.peers import Limits, Peer
from dicom_node.network.scp import StoreSCP
from tests.service.delivery.house import OUR_AE, House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.engine.dispose()


@pytest.fixture
def our_scp(house: House, tmp_path: Path) -> Iterator[tuple[str, int]]:
    """Our own SCP, as the node runs it: where archives report to."""
    scp = StoreSCP(
        OUR_AE,
        "127.0.0.1",
        0,
        peers=[Peer("PACS", ("127.0.0.1",))],
        limits=Limits(free_bytes=0),
        blobs=LocalBlobStore(tmp_path / "spool"),
        log=house,
    )
    scp.start()
    yield scp.address
    scp.stop()


@pytest.fixture
def start_archive(tmp_path: Path) -> Iterator[Callable[..., FakeArchive]]:
    """Starts archives; those of one ``name`` serve the same folder again."""
    started: list[FakeArchive] = []

    def start(name: str = "PACS", **options: Any) -> FakeArchive:
        options.setdefault("commitment", False)
        archive = FakeArchive(name, tmp_path / "archives" / name, **options)
        archive.start()
        started.append(archive)
        return archive

    yield start
    for archive in started:
        archive.stop()
