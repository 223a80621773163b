"""Which earlier examination is found, and what is said when it can't be had."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from time import monotonic

import pytest
from sqlalchemy import update

from dicom_node.network.history import StudyAnswer
from dicom_node.network.peers import RemoteAE
from dicom_node.network.retrieve import Wanted
from dicom_node.reader.headers import read_header
from dicom_node.reader.identity import PatientIdentity
from imaging.errors import PeerError
from imaging.pipeline import PriorRules
from imaging.study import StudyInfo
from service.database import tables
from service.priors.archive import Fetched, PriorArchive
from service.priors.choose import Found, Wish
from service.settings import PriorSettings
from tests.service.priors.conftest import Past

Wishes = Callable[..., Wish]


def nothing_fetched(archive: RemoteAE, service: str, wanted: Wanted) -> int:
    raise AssertionError(f"{wanted} was fetched from {archive} by {service}")


@dataclass(frozen=True)
class Told(PriorArchive):
    """An archive of given answers: what it has, and what comes of fetching each study."""

    has: tuple[StudyAnswer, ...] = ()
    brings: dict[str, Callable[[], Fetched | None]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    down: str = ""

    def studies(self, patient: PatientIdentity, first: date, last: date, until: float) -> list[StudyAnswer]:
        if self.down:
            raise PeerError(self.down)
        return [study for study in self.has if study.study_date and first <= study.study_date <= last]

    def fetch(
        self, study: StudyAnswer, wish: Wish, kept: Callable[[], dict[str, int]], until: float
    ) -> Fetched | None:
        self.asked.append(study.study_instance_uid)
        return self.brings[study.study_instance_uid]()


def told(*has: StudyAnswer, brings: dict[str, Callable[[], Fetched | None]] | None = None, down: str = "") -> Told:
    return Told(
        RemoteAE("PACS", "127.0.0.1", 104), "RAYSIGHT", PriorSettings(), nothing_fetched, has=has,
        brings=brings or {}, down=down,
    )  # fmt: skip


def answer(uid: str, day: str, *modalities: str) -> StudyAnswer:
    return StudyAnswer(uid, date.fromisoformat(day), None, frozenset(modalities), "", "P1", "", "", "", "")


def look(past: Past, study: StudyInfo, wish: Wish, archive: PriorArchive | None = None, seconds: float = 20) -> Found:
    looker = past.looker(archive=archive, fetches=3)
    return looker.look(study, [wish], monotonic() + seconds)["comparing"]


def fails(why: str) -> Callable[[], Fetched | None]:
    def fail() -> Fetched | None:
        raise PeerError(why)

    return fail


def test_the_newest_that_is_old_enough(past: Past, wish_for: Wishes) -> None:
    past.study("old", "20240101")
    newest = past.study("newest", "20250301")
    past.study("too new", "20250610")
    past.study("later", "20250701")
    now = past.study("now", "20250611")
    found = look(past, now, wish_for(PriorRules(30, 800)))
    assert found.prior is not None
    assert (found.prior.study.study_instance_uid, found.prior.days, found.notes) == (
        newest.study_instance_uid,
        102.0,
        (),
    )
    assert found.prior.study.series == ()
    assert found.prior.selection.series == newest.series
    assert look(past, now, wish_for(PriorRules(500, 510))) == Found()


def test_the_order_of_one_day_needs_both_times(past: Past, wish_for: Wishes) -> None:
    now = past.study("now", "20250611", StudyTime="1200")
    past.study("unknown", "20250611", StudyTime="")
    past.study("afternoon", "20250611", StudyTime="1500")
    assert look(past, now, wish_for(PriorRules(0, 800))).prior is None
    morning = past.study("morning", "20250611", StudyTime="0900")
    found = look(past, now, wish_for(PriorRules(0, 800)))
    assert found.prior is not None
    assert (found.prior.study.study_instance_uid, found.prior.days) == (morning.study_instance_uid, 0.125)


@pytest.mark.parametrize(
    "values",
    [
        {"PatientID": ""},
        {"PatientID": "P2"},
        {"IssuerOfPatientID": "ELSEWHERE"},
        {"IssuerOfPatientID": ""},
        {"StudyDate": ""},
        {"SeriesDescription": "scout"},
    ],
)
def test_what_is_no_earlier_examination(past: Past, wish_for: Wishes, values: dict[str, str]) -> None:
    past.study("earlier", "20250301", **values)
    assert look(past, past.study("now", "20250611"), wish_for()) == Found()


def test_two_without_an_id_have_nothing_in_common(past: Past, wish_for: Wishes) -> None:
    past.study("earlier", "20250301", PatientID="")
    assert (
        look(past, past.study("now", "20250611", PatientID=""), wish_for(), told(down="not to be asked")) == Found()
    )


def test_one_that_contradicts_is_named_and_an_older_one_taken(past: Past, wish_for: Wishes) -> None:
    old = past.study("old", "20250201", PatientSex="F")
    past.study("other sex", "20250301", PatientSex="M")
    found = look(past, past.study("now", "20250611", PatientSex="F"), wish_for())
    assert found.prior is not None
    assert found.prior.study.study_instance_uid == old.study_instance_uid
    (note,) = found.notes
    assert note == "The examination of 2025-03-01 under this Patient ID is not compared: it differs in Patient's Sex"


def test_one_that_still_comes_is_waited_for(past: Past, wish_for: Wishes) -> None:
    earlier = past.study("earlier", "20250301", complete=False)
    now = past.study("now", "20250611")
    found = look(past, now, wish_for(), seconds=0.2)
    assert found == Found(None, ("An earlier examination of 2025-03-01 was still being received",))
    threading.Timer(0.3, past.end, [earlier.study_instance_uid]).start()
    assert look(past, now, wish_for()).prior is not None


def test_a_newer_one_is_fetched_and_used_when_it_is_indexed(past: Past, wish_for: Wishes) -> None:
    past.study("here", "20240301")
    files = past.files("there", "20250301")
    now = past.study("now", "20250611")

    def bring() -> Fetched:
        entries = [past.index.receive(path, retrieved_by="C-GET") for path in files]
        threading.Timer(0.3, past.index.indexer.catch_up).start()
        return Fetched((entries[0].series_instance_uid,), len(entries))

    archive = told(answer("1.9", "2025-05-01", "MR"), brings={})
    assert look(past, now, wish_for(), archive).prior is not None
    assert archive.asked == []  # by its modality
    uid = read_header(files[0], "x").instance.study_instance_uid
    archive = told(answer(uid, "2025-03-01"), brings={uid: bring})
    found = look(past, now, wish_for(), archive)
    assert found.prior is not None
    assert (found.prior.study.study_instance_uid, found.notes) == (uid, ())


def test_one_that_cannot_be_fetched_is_named_and_an_older_one_here_is_taken(past: Past, wish_for: Wishes) -> None:
    here = past.study("here", "20240301")
    now = past.study("now", "20250611")
    archive = told(
        answer("1.8", "2025-03-01", "CT"),
        answer("1.7", "2025-02-01", "CT"),
        brings={"1.8": fails("PACS was too slow"), "1.7": fails("it was asked all the same")},
    )
    found = look(past, now, wish_for(), archive)
    assert archive.asked == ["1.8"]
    assert found.notes == ("An earlier examination of 2025-03-01 exists but could not be fetched: PACS was too slow",)
    assert found.prior is not None
    assert found.prior.study.study_instance_uid == here.study_instance_uid


def test_that_there_is_none_is_known_only_where_the_archive_said_so(past: Past, wish_for: Wishes) -> None:
    now = past.study("now", "20250611")
    assert not look(past, now, wish_for()).none
    assert look(past, now, wish_for(), told()).none
    assert look(past, now, wish_for(), told(answer("1.9", "2025-05-01", "MR"))).none
    assert not look(past, now, wish_for(), told(down="PACS can't be reached")).none
    looker = past.looker(archive=told(answer("1.9", "2025-05-01", "CT")), fetches=0)
    assert not looker.look(now, [wish_for()], monotonic() + 20)["comparing"].none
    scout = past.study("scout", "20250301", SeriesDescription="scout")
    assert not look(past, now, wish_for(), told()).none  # the archive doesn't know what we have, or had
    assert look(past, now, wish_for(), told(answer(scout.study_instance_uid, "2025-03-01", "SR"))).none


def test_an_archive_that_is_down_is_named(past: Past, wish_for: Wishes) -> None:
    found = look(past, past.study("now", "20250611"), wish_for(), told(down="PACS can't be reached"))
    assert found.notes == (
        "Whether there is an earlier examination in the archive is not known: PACS can't be reached",
    )


def test_one_whose_images_were_released_is_fetched_again(past: Past, wish_for: Wishes) -> None:
    files = past.files("earlier", "20250301")
    uid = past.take(files).study_instance_uid
    now = past.study("now", "20250611")
    for blob in list(past.index.spool.list(uid)):
        past.index.spool.delete(blob)
    with past.engine.begin() as connection:
        i = tables.instances
        gone = update(i).where(i.c.study_instance_uid == uid).values(released_at=datetime.now(UTC))
        connection.execute(gone)
    assert look(past, now, wish_for()) == Found()

    def bring() -> Fetched:
        entries = [past.index.receive(path, retrieved_by="C-GET") for path in files]
        past.index.indexer.catch_up()
        return Fetched((entries[0].series_instance_uid,), len(entries))

    assert look(past, now, wish_for(), told(answer(uid, "2025-03-01"), brings={uid: bring})).prior is not None
