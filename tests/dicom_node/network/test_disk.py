"""A disk that fills up: refused early, and never acknowledged when it is full after all."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dicom_node.network.store import send_files


def test_below_the_watermark(start_node: Callable[..., Any], make_file: Callable[..., Path]) -> None:
    node = start_node(free_bytes=1 << 60)
    outcomes = send_files(node.remote, "MODALITY", [make_file(), make_file()])
    assert [(outcome.status, outcome.comment) for outcome in outcomes] == [
        (0xA700, "free disk space is below the watermark")
    ] * 2
    assert node.stored == node.logged == node.scratch == []
    assert not node.scp.has_room()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("a small file system can be mounted by root only")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip("a small file system can't be mounted here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk(small_disk: Path, start_node: Callable[..., Any], make_file: Callable[..., Path]) -> None:
    node = start_node(small_disk / "home")
    large = [make_file(PixelData=bytes(700_000)) for _ in range(4)]
    outcomes = send_files(node.remote, "MODALITY", large)
    assert [outcome.status for outcome in outcomes] == [0x0000, 0x0000, 0xA700, 0xA700]
    assert outcomes[-1].comment == "spool can't be written: No space left on device"
    assert len(node.stored) == len(node.logged) == 2
    assert node.scratch == []
    # the same association and the same node go on as soon as there is room
    node.blobs.delete(node.stored[0])
    assert send_files(node.remote, "MODALITY", large[3:])[0].status == 0x0000
