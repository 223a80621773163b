"""The receive log: durable lines, shared fsyncs, torn ends."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.spool.log import Committed, Entry, Received, ReceiveLog, decode, encode, read_log
from imaging.errors import StorageError

text = st.text(max_size=20)
received = st.builds(Received, *[text] * 7, st.integers(0, 2**40), *[text] * 6)
committed = st.builds(
    Committed,
    text,
    st.lists(text, max_size=3).map(tuple),
    st.lists(st.tuples(text, st.integers(0, 0xFFFF)), max_size=3).map(tuple),
    text,
    text,
)


def entry(number: int) -> Received:
    return Received(
        "1", "2", str(number), "3", "4", "d", "b", number, "A", "B", "127.0.0.1", "x", "2026-01-01T00:00:00"
    )


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ReceiveLog]:
    log = ReceiveLog(tmp_path / "log")
    yield log
    log.close()


@given(st.one_of(received, committed))
def test_a_line_holds_the_whole_entry(item: Entry) -> None:
    line = encode(item)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode(line) == item


def test_a_line_of_what_was_sent_is_as_it_was_before_there_was_retrieval() -> None:
    assert b"retrieved_by" not in encode(entry(1))
    assert decode(encode(replace(entry(1), retrieved_by="C-GET"))).retrieved_by == "C-GET"  # type: ignore[union-attr]


@given(st.one_of(received, committed), st.data())
def test_a_torn_line_is_never_an_entry(item: Entry, choose: st.DataObject) -> None:
    line = encode(item)
    with pytest.raises(ValueError):
        decode(line[: choose.draw(st.integers(0, len(line) - 2))])


@pytest.mark.parametrize(
    "line", [b"1", b"[]", b'{"kind":"other"}', b'{"kind":"received","size":1}', b"\xff", b"\0\0"]
)
def test_what_is_no_entry(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode(line)


def test_entries_come_back_in_order_and_from_any_position(log: ReceiveLog) -> None:
    assert list(read_log(log.folder)) == []
    report = Committed("1.2", ("1.3",), (("1.4", 0x0112),), "PACS", "2026-01-01T00:00:00+00:00")
    entries: list[Entry] = [entry(1), report, entry(3)]
    for item in entries:
        log.append(item)
    read = list(read_log(log.folder))
    assert [item for item, _ in read] == entries
    for number, (_, position) in enumerate(read, start=1):
        assert [item for item, _ in read_log(log.folder, position)] == entries[number:]


def test_files_are_rolled_and_read_through(tmp_path: Path) -> None:
    log = ReceiveLog(tmp_path, max_file_bytes=500)
    for number in range(10):
        log.append(entry(number))
    log.close()
    assert len(list(tmp_path.iterdir())) > 3
    read = list(read_log(tmp_path))
    assert [item.size for item, _ in read if isinstance(item, Received)] == list(range(10))
    position = read[6][1]
    assert [item.size for item, _ in read_log(tmp_path, position) if isinstance(item, Received)] == [7, 8, 9]


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    for number in range(3):
        log = ReceiveLog(tmp_path)
        log.append(entry(number))
        log.close()
    assert [item.size for item, _ in read_log(tmp_path) if isinstance(item, Received)] == [0, 1, 2]


@pytest.mark.parametrize("left", [b'{"kind":"received","study_in', b"\0\0\0\0", b"{", b"\xff\xfe"])
def test_a_torn_line_is_passed_over(tmp_path: Path, left: bytes) -> None:
    log = ReceiveLog(tmp_path)
    log.append(entry(0))
    log.close()
    with (tmp_path / "receive-000001.jsonl").open("ab") as file:
        file.write(left)
    (first, position), *none = list(read_log(tmp_path))
    assert none == []
    assert list(read_log(tmp_path, position)) == []
    log = ReceiveLog(tmp_path)
    log.append(entry(1))
    log.close()
    assert [item for item, _ in read_log(tmp_path)] == [first, entry(1)]
    assert [item for item, _ in read_log(tmp_path, position)] == [entry(1)]


def test_a_line_that_the_disk_lost_hides_none_that_follows(tmp_path: Path) -> None:
    log = ReceiveLog(tmp_path)
    log.append(entry(0))
    log.append(entry(1))
    log.close()
    *_, (_, position) = read_log(tmp_path)
    os.truncate(tmp_path / "receive-000001.jsonl", len(encode(entry(0))))  # the power failed before the fsync
    log = ReceiveLog(tmp_path)
    log.append(entry(2))
    log.append(entry(3))
    log.close()
    assert [item for item, _ in read_log(tmp_path, position)] == [entry(2), entry(3)]


def test_a_line_that_is_no_entry_is_skipped_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "receive-000001.jsonl").write_bytes(b"{}\n" + encode(entry(0)))
    assert [item for item, _ in read_log(tmp_path)] == [entry(0)]
    assert "skipped a line that is no entry" in capsys.readouterr().out


def test_one_process_appends(log: ReceiveLog) -> None:
    with pytest.raises(StorageError, match="another process writes"):
        ReceiveLog(log.folder)


def test_concurrent_appenders_share_fsyncs(log: ReceiveLog, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync, calls = os.fsync, []
    on_disk_at_return: list[bool] = []

    def slow(handle: int) -> None:
        calls.append(handle)
        time.sleep(0.05)
        fsync(handle)

    def append(number: int) -> None:
        log.append(entry(number))
        on_disk_at_return.append(encode(entry(number)) in (log.folder / "receive-000001.jsonl").read_bytes())

    monkeypatch.setattr("os.fsync", slow)
    threads = [threading.Thread(target=append, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert on_disk_at_return == [True] * 20
    assert len(calls) <= 5
    sizes = [item.size for item, _ in read_log(log.folder) if isinstance(item, Received)]
    assert sorted(sizes) == list(range(20))


def test_a_failed_fsync_is_told_to_everyone_and_the_next_line_is_clean(
    log: ReceiveLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(entry(0))

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", fail)
        with pytest.raises(StorageError, match="No space left"):
            log.append(entry(1))
    log.append(entry(2))
    sizes = [item.size for item, _ in read_log(log.folder) if isinstance(item, Received)]
    assert sizes[0] == 0
    assert sizes[-1] == 2
