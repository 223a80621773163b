"""The peers: how each is started, tuned, and known to have finished its work."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
PDU = 131072
START_SECONDS = 60
TUNED = {"TCP_BUFFER_LENGTH": "1048576", "TCP_NODELAY": "1"}


@dataclass(frozen=True)
class Server(ABC):
    """A peer that is started afresh for every measurement.

    Parameters
    ----------
    name
        As in the tables.
    about
        What it does before it answers.
    """

    name: str
    about: str
    ae_title: str

    @property
    def absent(self) -> str:
        """Why it can't be measured here; empty when it can."""
        return ""

    @abstractmethod
    def command(self, folder: Path, port: int) -> tuple[Sequence[str], dict[str, str]]:
        """What is run, and with which environment beside ours; writes its configuration into ``folder``."""

    def settled(self, folder: Path, images: int) -> bool:
        """Whether what it does after its answers is done too."""
        return True


class Raysight(Server):
    """`raysight node`: receiver, indexer, completeness, delivery."""

    def command(self, folder: Path, port: int) -> tuple[Sequence[str], dict[str, str]]:
        _raysight_configuration(folder, port)
        return [sys.executable, "-m", "service.cli", "node"], _raysight_environment(folder)

    def settled(self, folder: Path, images: int) -> bool:
        database = sqlite3.connect(f"file:{folder / 'home' / 'raysight.db'}?mode=ro", uri=True, timeout=30)
        try:
            (indexed,) = database.execute("SELECT count(*) FROM instances").fetchone()
        finally:
            database.close()
        return bool(indexed >= images)


class Receiver(Server):
    """The node's receiver alone: what is left when nobody indexes."""

    def command(self, folder: Path, port: int) -> tuple[Sequence[str], dict[str, str]]:
        from dicom_node.network.peers import Limits
        from service.node.receiver import Task

        places = {name: str(folder / "home" / name) for name in ("spool", "log")}
        task = Task(
            home=str(folder / "home"),
            version="1",
            ae_title=self.ae_title,
            host="127.0.0.1",
            port=port,
            peers=(("*", ("127.0.0.1",)),),
            limits=Limits(free_bytes=100 << 20),
            **places,
        )
        (folder / "home" / "metrics").mkdir(parents=True)
        command = [sys.executable, "-m", "service.node.receiver", json.dumps(asdict(task))]
        return command, {"PROMETHEUS_MULTIPROC_DIR": str(folder / "home" / "metrics")}


class Orthanc(Server):
    """Orthanc with its SQLite index; ``fsync``: its own default of forcing each file to disk."""

    fsync = False

    @property
    def absent(self) -> str:
        return "" if _binary("Orthanc") else "Orthanc is not installed (Debian package orthanc)"

    def command(self, folder: Path, port: int) -> tuple[Sequence[str], dict[str, str]]:
        settings = {
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "DicomAet": self.ae_title,
            "DicomPort": port,
            "DicomAlwaysAllowStore": True,
            "MaximumPduLength": PDU,
            "HttpServerEnabled": False,
            "StorageCompression": False,
            "SyncStorageArea": self.fsync,
        }
        (folder / "orthanc.json").write_text(json.dumps(settings), encoding="utf-8")
        return [str(_binary("Orthanc")), str(folder / "orthanc.json")], TUNED | {"LC_ALL": "C.UTF-8"}


class SyncingOrthanc(Orthanc):
    """Orthanc as it comes."""

    fsync = True


class StoreSCP(Server):
    """dcmtk's `storescp --fork`."""

    @property
    def absent(self) -> str:
        return "" if _binary("storescp") else "storescp is not installed (Debian package dcmtk)"

    def command(self, folder: Path, port: int) -> tuple[Sequence[str], dict[str, str]]:
        (folder / "received").mkdir()
        options = ["--fork", "--max-pdu", str(PDU), "--disable-host-lookup", "-od", str(folder / "received")]
        return [str(_binary("storescp")), *options, str(port)], TUNED


SERVERS: tuple[Server, ...] = (
    Raysight("raysight node", "file, folder and log line fsynced; indexed in the background", "RAYSIGHT"),
    Receiver("raysight's receiver alone", "file, folder and log line fsynced; no index", "RAYSIGHT"),
    Orthanc("Orthanc", "no fsync (SyncStorageArea false); indexed", "ORTHANC"),
    SyncingOrthanc("Orthanc, its default", "file fsynced (SyncStorageArea true); indexed", "ORTHANC"),
    StoreSCP("storescp --fork", "no fsync; no index", "STORESCP"),
)


@dataclass(frozen=True)
class Running:
    """A server that listens."""

    server: Server
    pid: int
    port: int
    folder: Path


@contextmanager
def running(server: Server, folder: Path, core: int | None) -> Iterator[Running]:
    """The server, on an empty folder; ``core``: the only one it may run on."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port = _free_port()
    command, environment = server.command(folder, port)
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*pinned, *command], cwd=ROOT, env=os.environ | environment, stdin=subprocess.PIPE, stdout=log, stderr=log
        )
    assert process.stdin is not None
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{server.name} didn't start: {(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)
        yield Running(server, process.pid, port, folder)
    finally:
        process.stdin.close()  # what the receiver ends by
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _raysight_configuration(folder: Path, port: int) -> None:
    configs = folder / "configs"
    configs.mkdir()
    node = {"port": port, "limits": {"free_mb": 100}}
    (configs / "raysight.yaml").write_text(yaml.safe_dump({"node": node}), encoding="utf-8")


def _raysight_environment(folder: Path) -> dict[str, str]:
    return {"RAYSIGHT_HOME": str(folder / "home"), "RAYSIGHT_CONFIG": str(folder / "configs")}


def _binary(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
