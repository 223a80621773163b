"""The ingest benchmark's own parts, on a few images: no figure is asserted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread

from benchmarks.ingest.__main__ import describe, report
from benchmarks.ingest.disk import sync_seconds
from benchmarks.ingest.images import batches
from benchmarks.ingest.measure import measure, tree_cpu_seconds
from benchmarks.ingest.sender import Association
from benchmarks.ingest.servers import SERVERS, Server
from dicom_node.network.archive import FakeArchive


@pytest.mark.data
def test_the_sender_sends_what_it_says(data_dir: Path, tmp_path: Path) -> None:
    (images,) = batches(data_dir / "ct" / "lidc-0001-slab", senders=1, images=3)
    archive = FakeArchive("ARCHIVE", tmp_path)
    archive.start()
    try:
        association = Association("ARCHIVE", archive.address[1], images[0].sop_class_uid)
        for number, image in enumerate(images, start=520):  # message ids whose bytes look like a status's tag
            association.store(image, number)
        association.release()
        stored = archive.instances()
        assert set(stored) == {image.sop_instance_uid for image in images}
        for image in images:
            dataset = dcmread(stored[image.sop_instance_uid])
            assert dataset.pixel_array.shape == (512, 512)
            assert len(dataset.PixelData) == 512 * 512 * 2
        archive.refuse = lambda _sop_class, _uid: 0xA700
        association = Association("ARCHIVE", archive.address[1], images[0].sop_class_uid)
        with pytest.raises(ConnectionError, match="image 1 was answered 0xA700"):
            association.store(images[0], 1)
        association.release()
    finally:
        archive.stop()


@pytest.mark.data
@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_every_server_is_measured(server: Server, data_dir: Path, tmp_path: Path) -> None:
    if server.absent:
        pytest.skip(server.absent)
    studies = batches(data_dir / "ct" / "lidc-0001-slab", senders=2, images=3)
    one = measure(server, studies, tmp_path / "server", pinned=False)
    assert (one.senders, one.images) == (2, 6)
    assert one.seconds > 0
    assert one.server_cpu_seconds >= one.answer_cpu_seconds
    lines = report(describe(tmp_path, cores=1), [server], [one])
    assert any(line.startswith(f"| {server.name} |") for line in lines)


def test_processor_time_of_a_whole_tree() -> None:
    busy = "import time, subprocess, sys\nwhile time.process_time() < 0.3: pass\n"
    run = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy!r}])\n"
    parent = f"{run}print('done', flush=True)\nsys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used = tree_cpu_seconds(process.pid)
        process.communicate()
    assert used >= 0.2  # its ended child's time included, in the kernel's ticks of 10 ms
    assert tree_cpu_seconds(os.getpid()) > 0


def test_the_disk_is_timed_and_left_clean(tmp_path: Path) -> None:
    assert sync_seconds(tmp_path, images=3) > 0
    assert list(tmp_path.iterdir()) == []
