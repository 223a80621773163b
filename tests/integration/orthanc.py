"""A real Orthanc as the PACS: its own process, folder and ports."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx

BINARY = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
ABSENT = "Orthanc is not installed (Debian package orthanc)"
START_SECONDS = 60


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def dataset_digest(file: bytes) -> str:
    """sha256 of the dataset bytes of a Part 10 file: what follows the file meta, whose length stands at byte 140."""
    return hashlib.sha256(file[144 + int.from_bytes(file[140:144], "little") :]).hexdigest()


@dataclass
class Orthanc:
    """An archive that can be stopped, killed and started again on the same storage.

    Parameters
    ----------
    folder
        Its configuration, storage and log.
    options
        Further settings of Orthanc's configuration file.
    """

    folder: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    ae_title: str = "ORTHANC"
    host: str = "127.0.0.1"
    dicom_port: int = field(default_factory=free_port)
    rest_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self._modalities: dict[str, dict[str, Any]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = httpx.Client(base_url=f"http://{self.host}:{self.rest_port}", timeout=60, trust_env=False)

    def __enter__(self) -> Orthanc:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()  # in order it would take two seconds, for storage that nobody looks at again
        self._rest.close()

    # -- the process --

    def configuration(self) -> dict[str, Any]:
        """What stands in its configuration file. Sockets are tuned: with default ones it is ten times slower."""
        return {
            "Name": "test archive",
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "HttpPort": self.rest_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAet": self.ae_title,
            "DicomPort": self.dicom_port,
            "DicomCheckCalledAet": True,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowFind": True,
            "DicomModalities": self._modalities,
            "StorageCompression": False,
            "SaveJobs": False,
            "StableAge": 1,
            **self.options,
        }

    def start(self) -> None:
        """Start it, on what it had stored before, and wait until it answers."""
        if BINARY is None:
            raise RuntimeError(ABSENT)
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.folder / "orthanc.json"
        settings.write_text(json.dumps(self.configuration()))
        with (self.folder / "orthanc.log").open("ab") as log:
            self._process = subprocess.Popen(
                [BINARY, str(settings)],
                stdout=log,
                stderr=log,
                env={"TCP_BUFFER_LENGTH": "1048576", "TCP_NODELAY": "1", "LC_ALL": "C.UTF-8"},
            )
        give_up = monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or monotonic() > give_up:
                self.kill()
                raise RuntimeError(f"Orthanc did not start; its log: {self.log()[-2000:]}")
            sleep(0.05)

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Let it end in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def log(self) -> str:
        """What it has said so far."""
        return (self.folder / "orthanc.log").read_text(errors="replace")

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=60)
            self._process = None

    def _answers(self) -> bool:
        try:
            self._rest.get("/system").raise_for_status()
        except httpx.HTTPError:
            return False
        with socket.socket() as probe:
            return probe.connect_ex((self.host, self.dicom_port)) == 0

    # -- REST --

    def know(self, name: str, ae_title: str, port: int, *, host: str = "127.0.0.1", commitment: bool = True) -> None:
        """Make a peer known, now and at later starts; ``commitment``: it may ask for storage commitment."""
        modality = {"AET": ae_title, "Host": host, "Port": port, "AllowStorageCommitment": commitment}
        self._modalities[name] = modality
        if self.running:
            self._rest.put(f"/modalities/{name}", json=modality).raise_for_status()

    def clear(self) -> None:
        """Forget every peer and every study."""
        for name in list(self._modalities):
            self._rest.delete(f"/modalities/{name}").raise_for_status()
            del self._modalities[name]
        for study in self._get("/studies").json():
            self._rest.delete(f"/studies/{study}").raise_for_status()
        self._rest.delete("/changes").raise_for_status()

    def upload(self, paths: Iterable[Path]) -> list[str]:
        """Put files into it; Orthanc's own ids of the studies that they belong to."""
        studies = {self._post("/instances", content=path.read_bytes())["ParentStudy"] for path in paths}
        return sorted(studies)

    def study(self, study_instance_uid: str) -> str | None:
        """Orthanc's own id of a study; None when it has none of it."""
        found = self._post("/tools/lookup", content=study_instance_uid.encode())
        return next((item["ID"] for item in found if item["Type"] == "Study"), None)

    def send(self, study_id: str, peer: str) -> None:
        """C-STORE a study to one of the peers, and wait for the end of it."""
        self.send_all([study_id], peer)

    def send_all(self, ids: Iterable[str], peer: str) -> None:
        """C-STORE what these ids name (studies, series, instances) over one association."""
        self._post(f"/modalities/{peer}/store", json={"Resources": list(ids), "Synchronous": True}, timeout=600)

    def instances(self, study_instance_uid: str) -> dict[str, str]:
        """Orthanc's own id of each instance of a study, by SOP Instance UID."""
        study = self.study(study_instance_uid)
        if study is None:
            return {}
        listed = self._get(f"/studies/{study}/instances").json()
        return {item["MainDicomTags"]["SOPInstanceUID"]: item["ID"] for item in listed}

    def download(self, instance_id: str) -> bytes:
        """The file of an instance, as it is stored."""
        return self._get(f"/instances/{instance_id}/file").content

    def delete(self, instance_id: str) -> None:
        """Lose an instance."""
        self._rest.delete(f"/instances/{instance_id}").raise_for_status()

    def arrivals(self) -> list[str]:
        """SOP Instance UIDs of all instances in the order in which they came."""
        changes = self._get("/changes", params={"limit": 100_000}).json()["Changes"]
        ids = [change["ID"] for change in changes if change["ChangeType"] == "NewInstance"]
        return [self._get(f"/instances/{i}").json()["MainDicomTags"]["SOPInstanceUID"] for i in ids]

    def _get(self, path: str, **options: Any) -> httpx.Response:
        return self._rest.get(path, **options).raise_for_status()

    def _post(self, path: str, **options: Any) -> Any:
        return self._rest.post(path, **options).raise_for_status().json()
