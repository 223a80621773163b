"""The blob stores keep one contract, the shipped fake included."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.blobs import BlobStore, LocalBlobStore, MemoryBlobStore, check_name
from imaging.errors import StorageError


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobStore]:
    yield LocalBlobStore(tmp_path / "new" / "store") if request.param == "local" else MemoryBlobStore()


def test_first_written_wins(store: BlobStore) -> None:
    assert store.put("a/b.dcm", b"first") is True
    assert store.put("a/b.dcm", b"second") is False
    assert store.get("a/b.dcm") == b"first" == store.path("a/b.dcm").read_bytes()
    assert list(store.scratch.iterdir()) == []


def test_a_finished_file_is_adopted_once(store: BlobStore) -> None:
    for number, made in ((1, True), (2, False)):
        part = store.scratch / "part"
        part.write_bytes(b"%d" % number)
        assert store.adopt("x/y", part) is made
        assert part.exists() is not made
    assert store.get("x/y") == b"1"


def test_names_are_listed_sorted_by_prefix(store: BlobStore) -> None:
    for name in ("b/2", "a/1", "b/1", "ba", "b/c/3"):
        store.put(name, b"")
    assert list(store.list()) == ["a/1", "b/1", "b/2", "b/c/3", "ba"]
    assert list(store.list("b/")) == ["b/1", "b/2", "b/c/3"]
    assert list(store.list("b")) == ["b/1", "b/2", "b/c/3", "ba"]
    assert list(store.list("nowhere/")) == []


def test_delete(store: BlobStore) -> None:
    store.put("a/b", b"x")
    store.path("a/b")
    store.delete("a/b")
    assert not store.exists("a/b")
    assert store.put("a/b", b"y") is True
    assert store.path("a/b").read_bytes() == b"y"


def test_what_is_absent(store: BlobStore) -> None:
    assert not store.exists("no")
    for ask in (store.get, store.path, store.delete):
        with pytest.raises(KeyError):
            ask("no")


@pytest.mark.parametrize(
    "name",
    ["", "/", "/etc/passwd", "..", "a/../b", "a//b", "a/", ".hidden", "a/.b", "a\\b", "a b", "a\0", "é", "a\n"],
)
def test_odd_names_are_refused(store: BlobStore, name: str) -> None:
    for ask in (store.get, store.path, store.delete, store.exists, lambda n: store.put(n, b"")):
        with pytest.raises(ValueError, match="not a blob name"):
            ask(name)


@given(st.text(alphabet="ab./\\ \0~é-_", max_size=12))
def test_an_accepted_name_stays_below_the_root(name: str) -> None:
    try:
        check_name(name)
    except ValueError:
        return
    assert os.path.normpath(f"/base/{name}") == f"/base/{name}"
    assert name.startswith(".") is False


def test_of_many_writers_one_wins(tmp_path: Path) -> None:
    stores = [LocalBlobStore(tmp_path) for _ in range(2)]  # as two processes have them
    start = threading.Barrier(8)
    made: list[int] = []

    def write(number: int) -> None:
        start.wait()
        if stores[number % 2].put("s/blob", b"%d" % number):
            made.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert stores[0].get("s/blob") == b"%d" % made[0]


def test_a_store_that_fails_says_so(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    store.put("file", b"")
    with pytest.raises(StorageError, match="can't store file/below"):
        store.put("file/below", b"")
    (tmp_path / "plain").write_bytes(b"")
    with pytest.raises(StorageError, match="can't use"):
        LocalBlobStore(tmp_path / "plain")


def test_every_new_folder_is_fsynced_with_its_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def note(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink().relative_to(tmp_path)))
        fsync(handle)

    monkeypatch.setattr("os.fsync", note)
    store = LocalBlobStore(tmp_path / "new" / "store")
    assert synced == ["new/store", "new", "."]
    synced.clear()
    store.put("study/a", b"1")
    assert synced[0].startswith("new/store/.incoming/")
    assert synced[1:] == ["new/store", "new/store/study"]
    synced.clear()
    store.put("study/b", b"2")
    assert synced[1:] == ["new/store/study"]
    synced.clear()
    LocalBlobStore(tmp_path / "new" / "store").put("study/a", b"3")  # nobody knows whether its maker came to the end
    assert synced[2:] == ["new/store", "new/store/study"]
