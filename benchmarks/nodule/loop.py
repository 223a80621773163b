"""One way of one study: an archive forwards it to a fresh Raysight, which reads it and delivers what it wrote."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from dicom_node.network.echo import verify
from dicom_node.network.peers import RemoteAE
from dicom_node.network.store import send_files
from dicom_node.reader.headers import read_header
from imaging.errors import PeerError
from service.configuration import load
from service.database.engine import connect
from service.demo.archive import AE_TITLE, Archive, free_port, running_archive
from service.status.records import DeliveryStatus, PipelineStatus, StudyState, StudyStatus
from service.status.studies import study_status

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120
LOOK_SECONDS = 0.05
ENDED = (StudyState.CONFIRMED, StudyState.PARKED, StudyState.FAILED, StudyState.NOT_READ)
WITHIN = ("decode", "volume", "lungs", "find", "measure", "compare")
"""Stages inside the worker's first step, in their order; what it spends beside them is its rest."""


@dataclass(frozen=True)
class Way:
    """What one study's way took.

    Parameters
    ----------
    finder
        As the configuration names it.
    model
        Name and version of what read.
    findings
        Their number.
    evidence
        Why the study counted as complete.
    seconds
        By stage, in their order; they follow each other and add up to ``whole`` but for what lies between steps.
    whole
        From the last C-STORE's answer to the archive's proof that it has the report.
    peak_mb
        Most memory (resident) of each of Raysight's processes.
    """

    finder: str
    model: str
    findings: int
    evidence: str
    seconds: Mapping[str, float]
    whole: float
    peak_mb: Mapping[str, float]


def run_way(files: Sequence[Path], folder: Path, finder: str, *, models: Path | None, patience: float) -> Way:
    """Archive and Raysight start on an empty folder; the study is forwarded and followed to its end.

    Raises
    ------
    RuntimeError
        It doesn't end as a confirmed reading in time; the log's end says more.
    """
    node = RemoteAE("RAYSIGHT", "127.0.0.1", free_port())
    with running_archive(folder / "archive", node) as archive:
        send_files(archive.remote, "BENCHCT", files)
        uid = read_header(files[0], "scan").instance.study_instance_uid
        with _raysight(folder / "raysight", node, archive, finder, models) as (configs, process):
            memory = Memory(process.pid)
            memory.start()
            archive.forward(uid)
            status = _follow(configs, uid, patience, folder / "raysight" / "log")
            memory.stop()
    return way_of(status, finder, memory.peak_mb)


def way_of(status: StudyStatus, finder: str, peak_mb: Mapping[str, float]) -> Way:
    """The figures of a confirmed study."""
    (reading,) = status.readings
    (delivery,) = reading.deliveries
    assert status.complete_at and reading.started_at and reading.finished_at
    assert delivery.sent_at and delivery.confirmed_at
    return Way(
        finder=finder,
        model=f"{reading.model_name} {reading.model_version}",
        findings=reading.findings or 0,
        evidence=status.evidence.kind if status.evidence else "",
        seconds=stages(status, reading, delivery),
        whole=_between(status.last_received_at, delivery.confirmed_at),
        peak_mb=dict(peak_mb),
    )


def stages(status: StudyStatus, reading: PipelineStatus, delivery: DeliveryStatus) -> dict[str, float]:
    """Seconds by stage; ``receive`` comes before what is counted."""
    assert status.complete_at and reading.started_at and reading.finished_at
    assert delivery.sent_at and delivery.confirmed_at
    timed = dict(reading.timings or {})
    found = {
        "receive": _between(status.first_received_at, status.last_received_at),
        "complete": _between(status.last_received_at, status.complete_at),
        "queue": _between(status.complete_at, reading.started_at),
    }
    found |= {name: timed.pop(name) for name in WITHIN if name in timed}
    found["read, the rest"] = timed.pop("read", 0.0)
    found |= timed  # write, and whatever is new
    working = sum(found.values()) - found["receive"] - found["complete"] - found["queue"]
    found["keep and record"] = _between(reading.started_at, reading.finished_at) - working
    found["send"] = _between(reading.finished_at, delivery.sent_at)
    found["confirm"] = _between(delivery.sent_at, delivery.confirmed_at)
    return found


def _between(earlier: datetime, later: datetime) -> float:
    return (later - earlier).total_seconds()


@contextmanager
def _raysight(
    folder: Path, node: RemoteAE, archive: Archive, finder: str, models: Path | None
) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    configs, home = folder / "configs", folder / "home"
    (configs / "pipelines").mkdir(parents=True)
    home.mkdir()
    if models is not None:
        (home / "models").symlink_to(models.resolve())
    pipeline = yaml.safe_load((ROOT / "configs" / "pipelines" / "lung_nodule.yaml").read_text(encoding="utf-8"))
    (configs / "pipelines" / "lung_nodule.yaml").write_text(yaml.safe_dump(pipeline | {"finder": finder}))
    (configs / "raysight.yaml").write_text(yaml.safe_dump(_settings(node, archive)), encoding="utf-8")
    variables = {"RAYSIGHT_HOME": str(home), "RAYSIGHT_CONFIG": str(configs), "PYTHONPATH": str(ROOT)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "serve"],
            cwd=ROOT,
            env=os.environ | variables,
            stdout=log,
            stderr=log,
        )
    os.environ["RAYSIGHT_HOME"] = str(home)
    try:
        _wait_for(node, process, folder / "log")
        yield configs, process
    finally:
        process.terminate()
        process.wait()


def _settings(node: RemoteAE, archive: Archive) -> dict[str, Any]:
    """As shipped, but for addresses: so completeness is counted with the shipped interval."""
    where = {"ae_title": AE_TITLE, "host": archive.remote.host, "port": archive.remote.port}
    switch = {"mode": "deliver", "responsible": "the benchmark", "since": "2026-01-01"}
    return {
        "node": {"ae_title": node.ae_title, "port": node.port, "limits": {"free_mb": 200}},
        "api": {"port": free_port()},
        "sources": [where],
        "retention": {"watermark_mb": 0},
        "destinations": [where | {"name": "archive", "pipelines": {"lung_nodule": switch}}],
    }


def _wait_for(node: RemoteAE, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            verify(node, AE_TITLE)
        except PeerError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Raysight did not start: {_end(log)}") from None
            time.sleep(0.2)
        else:
            return


def _follow(configs: Path, uid: str, patience: float, log: Path) -> StudyStatus:
    configuration = load(configs)
    engine = connect(configuration.home.database_url)
    deadline = time.monotonic() + patience
    try:
        while time.monotonic() < deadline:
            status = study_status(engine, configuration.settings, uid)
            if status is not None and status.state in ENDED:
                if status.state is not StudyState.CONFIRMED:
                    raise RuntimeError(f"it ended as {status.state.value}: {_end(log)}")
                return status
            time.sleep(LOOK_SECONDS)
    finally:
        engine.dispose()
    raise RuntimeError(f"it wasn't confirmed within {patience:.0f} s: {_end(log)}")


def _end(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-3000:]


class Memory(threading.Thread):
    """Watches the most resident memory of every process of a tree."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._ended = threading.Event()
        self.peak_mb: dict[str, float] = {}

    def run(self) -> None:
        """Look until stopped; the kernel keeps each process's own peak, so nothing between looks is missed."""
        while not self._ended.wait(LOOK_SECONDS):
            for pid in tree(self._pid):
                self._look(pid)

    def stop(self) -> None:
        """End it."""
        self._ended.set()
        self.join()

    def _look(self, pid: int) -> None:
        try:
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return  # it ended meanwhile
        peak = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), "0")
        name = f"{_role(words)} {pid}"
        self.peak_mb[name] = max(self.peak_mb.get(name, 0.0), int(peak) / 1024)


def _role(words: Sequence[bytes]) -> str:
    told = [word.decode(errors="replace") for word in words if word]
    if "service.node.receiver" in told:
        return "receiver"
    return told[-1] if told else "?"


def tree(pid: int) -> set[int]:
    """A process and its descendants."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            parents[int(folder.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found
