"""The receiver as a process: it says who is connected, comes back when it is killed, and ends with its node."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic, sleep

import pytest
from pynetdicom import build_context
from pynetdicom.sop_class import Verification

from dicom_node.network.association import associate
from dicom_node.network.echo import verify
from dicom_node.network.peers import Limits, RemoteAE
from dicom_node.network.store import send_files
from dicom_node.objects.ct import write_ct
from dicom_node.spool.log import Received, read_log
from imaging.errors import PeerError, StorageError
from imaging.phantom import chest_phantom
from service.node.receiver import Receiver, Task
from service.roles import RECEIVER, role_alive


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = monotonic() + 60
    while not happened():
        assert monotonic() < deadline, "never observed"
        sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    return Task(
        home=str(tmp_path / "home"),
        spool=str(tmp_path / "home" / "spool"),
        log=str(tmp_path / "home" / "log"),
        version="1",
        ae_title="RAYSIGHT",
        host="127.0.0.1",
        port=free_port(),
        peers=(("MODALITY", ("127.0.0.1",)),),
        limits=Limits(free_bytes=0),
    )


@pytest.fixture
def receiver(task: Task) -> Iterator[Receiver]:
    receiver = Receiver(task)
    assert receiver.start() == task.port
    yield receiver
    receiver.stop()


@pytest.fixture
def slices(tmp_path: Path) -> list[Path]:
    phantom = chest_phantom((40.0, 8.0, 8.0), (), noise_hu=0)
    return write_ct(phantom.hu, phantom.geometry, tmp_path / "ct")


def remote(task: Task) -> RemoteAE:
    return RemoteAE("RAYSIGHT", "127.0.0.1", task.port, connect_seconds=3)


def pid(task: Task) -> int:
    return int(json.loads((Path(task.home) / "run" / "receiver.lock").read_text())["pid"])


def logged(task: Task) -> set[str]:
    return {entry.sop_instance_uid for entry, _ in read_log(Path(task.log)) if isinstance(entry, Received)}


def answers(task: Task) -> bool:
    try:
        verify(remote(task), "MODALITY")
    except PeerError:
        return False
    return True


def test_it_tells_the_node_who_is_connected(task: Task, receiver: Receiver) -> None:
    with associate(remote(task), "MODALITY", [build_context(Verification)]):
        wait_until(lambda: receiver.open_associations("MODALITY") == 1)
        assert receiver.open_associations("OTHER") == 0
    wait_until(lambda: receiver.open_associations("MODALITY") == 0)


def test_killed_it_comes_back_and_has_what_it_acknowledged(
    task: Task, receiver: Receiver, slices: list[Path]
) -> None:
    first = send_files(remote(task), "MODALITY", slices[:2])
    killed = pid(task)
    with associate(remote(task), "MODALITY", [build_context(Verification)]) as assoc:
        wait_until(lambda: receiver.open_associations("MODALITY") == 1)
        os.kill(killed, signal.SIGKILL)
        # nobody is connected to a receiver that isn't there, whatever it said last
        wait_until(lambda: receiver.open_associations("MODALITY") == 0)
        wait_until(lambda: not assoc.is_established)
    wait_until(lambda: answers(task))
    assert pid(task) != killed
    second = send_files(remote(task), "MODALITY", slices[2:])
    assert all(outcome.stored for outcome in first + second)
    assert logged(task) == {outcome.sop_instance_uid for outcome in first + second}


def test_a_port_that_is_taken_is_said(task: Task) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = Receiver(replace(task, port=other.getsockname()[1]))
        with pytest.raises(StorageError, match=r"can't listen on 127\.0\.0\.1"):
            taken.start()
    assert not role_alive(Path(task.home), RECEIVER)


def test_it_ends_with_the_node(task: Task, repo_root: Path) -> None:
    node = (
        "import json, sys, time\nfrom service.node.receiver import *\ntold = json.loads(sys.argv[1])\n"
        "Receiver(Task(**told | {'limits': Limits(**told['limits'])})).start()\nprint('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", node, json.dumps(asdict(task))]
    with subprocess.Popen(command, cwd=repo_root, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert role_alive(Path(task.home), RECEIVER)
        process.kill()
    wait_until(lambda: not role_alive(Path(task.home), RECEIVER))
