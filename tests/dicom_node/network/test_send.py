"""Sending stored files, unchanged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, generate_uid
from pynetdicom import AllStoragePresentationContexts
from pynetdicom.dimse import DIMSEServiceProvider

from dicom_node.network.archive import FakeArchive
from dicom_node.network.store import StoreOutcome, send_files
from imaging.errors import PeerError, PeerRefusal


def test_dataset_bytes_arrive_unchanged(
    archive: FakeArchive, make_file: Callable[..., Path], raw: Callable[[Path], bytes]
) -> None:
    # Group lengths, odd order of private data, padding: a decode and encode would lose them.
    odd = raw(make_file(SOPInstanceUID="1.2.3.5")) + b"\xfc\xff\xfc\xffOB\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00"
    paths = [
        make_file(odd, sop_instance_uid="1.2.3.5"),
        make_file(syntax=ExplicitVRBigEndian),
        make_file(syntax=DeflatedExplicitVRLittleEndian),
        make_file(syntax=UID("1.2.840.10008.1.2.4.90")),
    ]
    outcomes = send_files(archive.remote, "RAYSIGHT", paths)
    assert [outcome.status for outcome in outcomes] == [0x0000] * 4
    assert all(outcome.stored for outcome in outcomes)
    kept = archive.instances()
    for path, outcome in zip(paths, outcomes, strict=True):
        assert raw(kept[outcome.sop_instance_uid]) == raw(path)


def test_what_cannot_be_sent_has_an_outcome(
    archive: FakeArchive, make_file: Callable[..., Path], tmp_path: Path
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not DICOM")
    good = make_file()
    seen: list[tuple[int, int]] = []
    outcomes = send_files(
        archive.remote,
        "RAYSIGHT",
        [text, tmp_path / "absent.dcm", make_file(SOPClassUID="1.2.3.4.5.6"), good],
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert [(outcome.path.name, outcome.status) for outcome in outcomes] == [
        ("notes.txt", None),
        ("absent.dcm", None),
        (outcomes[2].path.name, None),
        (good.name, 0x0000),
    ]
    assert outcomes[0].comment == "not a DICOM file"
    assert outcomes[1].comment == "can't be read: No such file or directory"
    assert "accepts no context" in outcomes[2].comment
    assert not any(outcome.stored for outcome in outcomes[:3])
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_refusal_is_an_outcome_and_the_rest_goes_on(archive: FakeArchive, make_file: Callable[..., Path]) -> None:
    paths = [make_file(SOPInstanceUID=f"1.2.{number}") for number in range(3)]
    archive.refuse = lambda sop_class, uid: {"1.2.1": 0xA900, "1.2.2": 0xB000}.get(uid)
    outcomes = send_files(archive.remote, "RAYSIGHT", paths)
    assert [(outcome.status, outcome.stored) for outcome in outcomes] == [(0, True), (0xA900, False), (0xB000, True)]


def test_more_than_128_contexts_take_several_associations(start_node: Any, make_file: Callable[..., Path]) -> None:
    node = start_node()
    classes = [context.abstract_syntax for context in AllStoragePresentationContexts][:130]
    outcomes = send_files(node.remote, "MODALITY", [make_file(SOPClassUID=uid) for uid in classes])
    assert {outcome.status for outcome in outcomes} == {0x0000}
    assert len({entry.association for entry in node.logged}) == 2


def test_a_lost_association_keeps_the_outcomes_so_far(archive: FakeArchive, make_file: Callable[..., Path]) -> None:
    paths = [make_file(SOPInstanceUID=generate_uid()) for _ in range(3)]
    known: list[StoreOutcome] = []

    def note(outcome: StoreOutcome) -> None:
        known.append(outcome)
        if len(known) == 2:
            archive.stop()

    with pytest.raises(PeerError, match="ended the association") as caught:
        send_files(archive.remote, "RAYSIGHT", paths, on_outcome=note)
    assert not isinstance(caught.value, PeerRefusal)
    assert [outcome.path for outcome in known] == paths[:2]


def test_nothing_to_send_opens_nothing(archive: FakeArchive) -> None:
    remote = archive.remote
    archive.stop()
    assert send_files(remote, "RAYSIGHT", []) == []


def test_answers_reach_who_asked_even_when_threads_are_slow(
    archive: FakeArchive, make_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine may halt a thread after any step: the association's after each wait, the asker's once it asked.
    wait, get_msg = threading.Event.wait, DIMSEServiceProvider.get_msg

    def slow_wait(event: threading.Event, timeout: float | None = None) -> bool:
        ended = wait(event, timeout)
        time.sleep(0.1)
        return ended

    def late_look(provider: DIMSEServiceProvider, block: bool = False) -> Any:
        time.sleep(0.3 if block else 0)
        return get_msg(provider, block)

    monkeypatch.setattr(threading.Event, "wait", slow_wait)
    monkeypatch.setattr(DIMSEServiceProvider, "get_msg", late_look)
    remote = replace(archive.remote, answer_seconds=2)
    outcomes = send_files(remote, "RAYSIGHT", [make_file() for _ in range(4)])
    assert [outcome.status for outcome in outcomes] == [0x0000] * 4
