"""The demo's PACS: Orthanc where it is installed, else the storage-and-query peer that ships with Raysight."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from urllib.request import Request, urlopen

from dicom_node.network.archive import FakeArchive
from dicom_node.network.echo import verify
from dicom_node.network.peers import RemoteAE
from dicom_node.network.store import send_files
from imaging.errors import PeerError, UsageError

AE_TITLE = "DEMOPACS"
START_SECONDS = 60


@dataclass(frozen=True)
class Archive:
    """A running archive: where it listens, how a person can look into it, and how it is told to forward a study."""

    remote: RemoteAE
    name: str
    look: str
    forward: Callable[[str], object]


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_archive(folder: Path, node: RemoteAE) -> Iterator[Archive]:
    """An archive that knows the node, until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    binary = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
    if binary is not None:
        with _orthanc(binary, folder, node) as archive:
            yield archive
        return
    peer = FakeArchive(AE_TITLE, folder, known_aes={node.ae_title: (node.host, node.port)})
    peer.start()
    try:
        host, port = peer.address
        remote = RemoteAE(AE_TITLE, host, port)
        yield Archive(remote, "Raysight's own test archive", str(folder), lambda uid: peer.send(uid, node))
    finally:
        peer.stop()


@contextmanager
def _orthanc(binary: str, folder: Path, node: RemoteAE) -> Iterator[Archive]:
    port, web = free_port(), free_port()
    settings = {
        "Name": "Raysight demo",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": AE_TITLE,
        "DicomPort": port,
        "HttpPort": web,
        "RemoteAccessAllowed": False,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomModalities": {
            "raysight": {"AET": node.ae_title, "Host": node.host, "Port": node.port, "AllowStorageCommitment": True}
        },
    }
    (folder / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([binary, str(folder / "orthanc.json")], stdout=log, stderr=log)  # noqa: S603
    try:
        remote = RemoteAE(AE_TITLE, "127.0.0.1", port)
        _wait(remote, node.ae_title, process)
        rest = f"http://127.0.0.1:{web}"
        yield Archive(remote, "Orthanc", f"{rest}/app/explorer.html", lambda uid: _forward(rest, uid))
    finally:
        process.terminate()
        process.wait()


def _wait(remote: RemoteAE, calling_ae: str, process: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + START_SECONDS
    while True:
        try:
            verify(remote, calling_ae)
        except PeerError:
            if process.poll() is not None or monotonic() > deadline:
                raise UsageError("Orthanc did not start; its log lies in .demo/archive/orthanc.log") from None
            sleep(0.2)
        else:
            return


def _forward(rest: str, study_instance_uid: str) -> None:
    found = _post(f"{rest}/tools/lookup", study_instance_uid.encode())
    study = next(item["ID"] for item in json.loads(found) if item["Type"] == "Study")
    _post(f"{rest}/modalities/raysight/store", study.encode())


def _post(url: str, body: bytes) -> bytes:
    request = Request(url, data=body, method="POST")  # noqa: S310  our own Orthanc on loopback
    with urlopen(request, timeout=START_SECONDS * 10) as answer:  # noqa: S310
        return bytes(answer.read())


def archive_scan(archive: Archive, files: Sequence[Path]) -> None:
    """Put the scan into the archive, as a scanner would have."""
    send_files(archive.remote, "DEMOCT", files)
