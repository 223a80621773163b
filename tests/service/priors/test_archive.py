"""What is asked of the archive, and what of its answers is fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from time import monotonic
from typing import Any

import pytest
from pydicom.dataset import Dataset

from dicom_node.network.peers import RemoteAE
from dicom_node.network.retrieve import Wanted
from dicom_node.reader.identity import PatientIdentity
from imaging.errors import PeerError
from service.node.retrieval import Service
from service.priors.archive import Fetched, PriorArchive
from service.priors.choose import Wish
from service.settings import PriorSettings
from tests.dicom_node.network.test_retrieve import Peer

ANNA = PatientIdentity("P1", "HOSPITAL", "19600203", "F", "Smith^Anna")


def dataset(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def series(number: int, images: int | None, modality: str = "CT", description: str = "") -> Dataset:
    count = {} if images is None else {"NumberOfSeriesRelatedInstances": str(images)}
    return dataset(SeriesInstanceUID=f"1.2.{number}", Modality=modality, SeriesDescription=description, **count)


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer(services=("find",))
    yield peer
    peer.stop()


@pytest.fixture
def ordered() -> list[Wanted]:
    return []


@pytest.fixture
def archive_at(ordered: list[Wanted]) -> Callable[..., PriorArchive]:
    def make(peer: Peer, brings: int = 100, **rules: Any) -> PriorArchive:
        remote = peer.start()

        def retrieve(_archive: RemoteAE, _service: Service, wanted: Wanted) -> int:
            ordered.append(wanted)
            return brings

        place = {"ae_title": remote.ae_title, "host": remote.host, "port": remote.port}
        archive = PriorArchive.configured(PriorSettings(**place | rules), "RAYSIGHT", retrieve)
        assert archive is not None
        return archive

    return make


def test_none_is_configured() -> None:
    assert PriorArchive.configured(PriorSettings(), "RAYSIGHT", lambda *_: 0) is None


def test_studies_whose_words_contradict_ours_are_another_patients(
    peer: Peer, archive_at: Callable[..., PriorArchive]
) -> None:
    peer.answers = [
        dataset(StudyInstanceUID=f"1.{n}", PatientID="P1", StudyDate="20250301", **said)
        for n, said in enumerate(
            [
                {},
                {"IssuerOfPatientID": "HOSPITAL", "PatientBirthDate": "19600203", "PatientName": "SMITH^ANNA"},
                {"IssuerOfPatientID": "ELSEWHERE"},
                {"PatientBirthDate": "19700203"},
                {"PatientName": "Jones^Bob"},
            ]
        )
    ]
    found = archive_at(peer).studies(ANNA, date(2024, 1, 1), date(2025, 6, 1), monotonic() + 20)
    assert [study.study_instance_uid for study in found] == ["1.0", "1.1"]


def test_an_id_that_cannot_be_asked_for(peer: Peer, archive_at: Callable[..., PriorArchive]) -> None:
    wild = PatientIdentity("P*", "", "", "", "")
    with pytest.raises(PeerError, match="holds a wildcard"):
        archive_at(peer).studies(wild, date(2024, 1, 1), date(2025, 6, 1), monotonic() + 20)


def fetch(archive: PriorArchive, wish: Wish, kept: dict[str, int] | None = None, seconds: float = 20) -> Any:
    from tests.service.priors.test_look import answer

    return archive.fetch(answer("1.2", "2025-03-01"), wish, lambda: kept or {}, monotonic() + seconds)


def test_series_that_may_be_selected_and_are_not_here(
    peer: Peer, archive_at: Callable[..., PriorArchive], ordered: list[Wanted], wish_for: Callable[..., Wish]
) -> None:
    peer.answers = [
        series(1, 2, description="scout"),
        series(2, 60),
        series(3, 120),
        series(4, 1, "SR"),
        series(5, None),
        series(6, 30),
    ]
    archive = archive_at(peer)
    fetched = fetch(archive, wish_for(), {"1.2.2": 60, "1.2.6": 29})
    assert fetched == Fetched(("1.2.3", "1.2.6", "1.2.5"), 100)
    assert ordered[0].study_instance_uid == "1.2"
    assert (ordered[0].images, ordered[0].size, ordered[0].modality) == (2000, 2048 << 20, "CT")
    assert 0 < ordered[0].seconds <= 20
    assert fetched.all_in({"1.2.3": 70, "1.2.6": 30})
    assert not fetched.all_in({"1.2.3": 70, "1.2.2": 60})


def test_nothing_is_missing(
    peer: Peer, archive_at: Callable[..., PriorArchive], wish_for: Callable[..., Wish]
) -> None:
    peer.answers = [series(2, 60)]
    assert fetch(archive_at(peer), wish_for(), {"1.2.2": 60}) is None


def test_what_is_too_much(
    peer: Peer, archive_at: Callable[..., PriorArchive], ordered: list[Wanted], wish_for: Callable[..., Wish]
) -> None:
    peer.answers = [series(1, 80), series(2, 60), series(3, 50)]
    archive = archive_at(peer, images=130)
    assert fetch(archive, wish_for()).series_instance_uids == ("1.2.1", "1.2.3")
    peer.answers = [series(1, 200), series(2, 160)]
    with pytest.raises(PeerError, match="its series have 160 images or more, and at most 130 are fetched"):
        fetch(archive, wish_for())


def test_an_archive_that_sends_nothing(
    peer: Peer, archive_at: Callable[..., PriorArchive], wish_for: Callable[..., Wish]
) -> None:
    peer.answers = [series(1, 80)]
    archive = archive_at(peer, brings=0)
    with pytest.raises(PeerError, match="sent none of its images"):
        fetch(archive, wish_for())
    with pytest.raises(PeerError, match="no time left"):
        fetch(archive, wish_for(), seconds=0)
