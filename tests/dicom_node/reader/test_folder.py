"""Folders of files, some of them no DICOM."""

from __future__ import annotations

import pytest

from dicom_node.reader.folder import read_folder
from imaging.errors import UsageError


def test_every_instance_below_a_folder(tmp_path, make_ct, save):
    (tmp_path / "a/b").mkdir(parents=True)
    for k, name in enumerate(("1.dcm", "a/IM0002", "a/b/3.jpg"), 1):
        save(make_ct(k, float(k)), tmp_path / name)
    save(make_ct(9), tmp_path / "DICOMDIR")
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / "a/empty.dcm").touch()
    seen = []
    headers, unreadable = read_folder(tmp_path, on_progress=lambda done, of: seen.append((done, of)))
    assert [h.instance.blob for h in headers] == [str(tmp_path / n) for n in ("1.dcm", "a/IM0002", "a/b/3.jpg")]
    assert [p.name for p, _ in unreadable] == ["empty.dcm", "readme.txt"]
    assert all("DICM" in why for _, why in unreadable)
    assert seen == [(n, 5) for n in range(1, 6)]


def test_an_empty_folder_and_none(tmp_path):
    assert read_folder(tmp_path) == ([], [])
    with pytest.raises(UsageError, match="is no folder"):
        read_folder(tmp_path / "absent")
