"""Files that are whole or as before."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from imaging.errors import StorageError
from imaging.files import make_folder, replace, sha256_of


def test_a_file_is_replaced_and_its_digest_told(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"old", b"new"):
        assert replace(path, content) == hashlib.sha256(content).hexdigest() == sha256_of(path)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_the_old_one_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    replace(path, b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="file can't be written: No space left on device"):
        replace(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_two_drafts_of_one_file_dont_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One writer stands before its rename while another goes all the way."""
    path, fsync = tmp_path / "file", os.fsync

    def meanwhile(handle: int) -> None:
        monkeypatch.setattr(os, "fsync", fsync)
        replace(path, b"the other's, much longer")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", meanwhile)
    replace(path, b"mine")
    assert path.read_bytes() == b"mine" and list(tmp_path.iterdir()) == [path]


def test_where_nothing_can_be_written_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(StorageError, match=r"a file/file can't be written"):
        replace(tmp_path / "a file" / "file", b"x")


def test_new_folders_are_synced_into_those_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr("imaging.files.sync", synced.append)
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert synced == [tmp_path, tmp_path / "a"] and (tmp_path / "a" / "b").is_dir()
