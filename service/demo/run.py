"""The demo from beginning to end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep

import yaml
from rich.console import Console

from dicom_node.blobs import LocalBlobStore
from dicom_node.network.echo import verify
from dicom_node.network.peers import RemoteAE
from dicom_node.reader.headers import read_header
from imaging.errors import PeerError, UsageError
from service.cli.reading import findings_table
from service.configuration import Configuration, load
from service.database.engine import connect
from service.demo.archive import AE_TITLE, Archive, archive_scan, free_port, running_archive
from service.demo.scan import Scan, fetch_scan
from service.status.records import PipelineStatus, StudyState, StudyStatus
from service.status.studies import study_status
from service.workflows.results import ResultStore

FOLDER = Path(".demo")
START_SECONDS = 120
READ_SECONDS = 900
ENDED = (StudyState.CONFIRMED, StudyState.PARKED, StudyState.FAILED, StudyState.NOT_READ)


def run_demo(*, once: bool) -> None:
    """An archive, Raysight, a chest CT, and what came back; then it serves until Ctrl-C unless ``once``.

    Everything lies in `.demo` of the present folder, which is emptied first.
    """
    console = Console()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    node = RemoteAE("RAYSIGHT", "127.0.0.1", free_port())
    with console.status("Fetching a chest CT (67 MB, once) …"):
        scan = fetch_scan(FOLDER)
    console.print(f"Scan      {len(scan.files)} images: {scan.title}")
    with running_archive(FOLDER / "archive", node) as archive:
        console.print(f"Archive   {archive.name}: {archive.remote}")
        with _raysight(node, archive) as configuration:
            api = f"http://127.0.0.1:{configuration.settings.api.port}"
            console.print(f"Raysight  {node}, REST at {api}/docs\n")
            study = _follow(console, configuration, archive, scan)
            _show(console, configuration, study)
            if not once:
                console.print(f"\nLook into the archive: {archive.look}")
                console.print(f"Still serving. Send it more: raysight send DIR {node}   (Ctrl-C ends)")
                _until_interrupted()


@contextmanager
def _raysight(node: RemoteAE, archive: Archive) -> Iterator[Configuration]:
    folder = FOLDER / "configs"
    folder.mkdir()
    settings = {
        "node": {"ae_title": node.ae_title, "port": node.port, "limits": {"free_mb": 200}},
        "api": {"port": free_port()},
        "sources": [{"ae_title": AE_TITLE, "host": archive.remote.host, "port": archive.remote.port}],
        "completeness": {"quiet_seconds": 10, "count_interval_seconds": 2},
        "retention": {"watermark_mb": 0},
        "destinations": [
            {
                "name": "archive",
                "ae_title": AE_TITLE,
                "host": archive.remote.host,
                "port": archive.remote.port,
                "pipelines": {
                    "lung_nodule": {
                        "mode": "deliver",
                        "responsible": "whoever runs the demo",
                        "since": datetime.now(UTC).date(),
                    }
                },
            }
        ],
    }
    (folder / "raysight.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    os.environ["RAYSIGHT_HOME"] = str((FOLDER / "home").resolve())
    configuration = load(folder)
    command = [sys.executable, "-m", "service.cli", "--config", str(folder), "serve"]
    with (FOLDER / "raysight.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603
    try:
        _wait_for(node, process)
        yield configuration
    finally:
        process.terminate()
        process.wait()


def _wait_for(node: RemoteAE, process: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + START_SECONDS
    while True:
        try:
            verify(node, AE_TITLE)
        except PeerError:
            if process.poll() is not None or monotonic() > deadline:
                raise UsageError(f"Raysight did not start; its log lies in {FOLDER}/raysight.log") from None
            sleep(0.2)
        else:
            return


def _follow(console: Console, configuration: Configuration, archive: Archive, scan: Scan) -> StudyStatus:
    """Send the scan the way it goes in a hospital, and tell how far it is."""
    uid = read_header(scan.files[0], "scan").instance.study_instance_uid
    begun = monotonic()
    with console.status("A scanner sends the images to the archive …") as line:
        archive_scan(archive, scan.files)
        line.update("The archive forwards them to Raysight …")
        archive.forward(uid)
        engine = connect(configuration.home.database_url)
        try:
            while True:
                study = study_status(engine, configuration.settings, uid)
                if study is not None:
                    line.update(f"{study.state.value}: {_doing(study)}   {monotonic() - begun:.0f} s")
                    if study.state in ENDED:
                        return study
                if monotonic() - begun > READ_SECONDS:
                    raise UsageError(f"no result after {READ_SECONDS} s; the log lies in {FOLDER}/raysight.log")
                sleep(0.25)
        finally:
            engine.dispose()


def _doing(study: StudyStatus) -> str:
    words = {
        StudyState.RECEIVED: "images are coming in",
        StudyState.WAITING: study.waiting_for,
        StudyState.READING: "the lungs are searched for nodules",
        StudyState.PENDING: "results go to the archive",
        StudyState.SENT: "the archive is asked whether it has them",
    }
    return words.get(study.state, "")


def _show(console: Console, configuration: Configuration, study: StudyStatus) -> None:
    results = ResultStore(LocalBlobStore(configuration.home.results))
    for answer in study.readings:
        reading = results.reading(answer.key)
        console.print(f"[bold]{reading.conclusion}[/]")
        console.print(f"Analysed  {reading.analysed or 'nothing'}")
        for note in reading.notes:
            console.print(f"Note      {note}")
        if reading.findings:
            console.print(findings_table(reading.findings))
        for role, path in _copies(results, answer).items():
            console.print(f"{role:<9} {path}")
        stages = {**(answer.timings or {}), **{f"send to {d.destination}": d.seconds for d in answer.deliveries}}
        console.print("Times     " + " · ".join(f"{stage} {s:.1f} s" for stage, s in stages.items() if s is not None))
        for delivery in answer.deliveries:
            means = f" by {delivery.confirmed_by}" if delivery.confirmed_by else f": {delivery.comment}"
            console.print(f"Archive   {delivery.state.value}{means}")


def _copies(results: ResultStore, answer: PipelineStatus) -> dict[str, Path]:
    """The stored objects under short names, and the picture as PNG, by what they are."""
    folder = FOLDER / "results"
    folder.mkdir(exist_ok=True)
    copies = {}
    for profile in {item.profile for item in answer.objects}:
        manifest = results.manifest(answer.key, profile)
        for stored in manifest.objects if manifest else ():
            copies[stored.role.upper()] = _copy(results, stored.blob, folder / f"{stored.role}.dcm")
            preview = f"{stored.blob.removesuffix('.dcm')}.png"
            if results.blobs.exists(preview):
                copies["Look at"] = _copy(results, preview, folder / f"{stored.role}.png")
    return copies


def _copy(results: ResultStore, blob: str, path: Path) -> Path:
    path.write_bytes(results.blobs.get(blob))
    return path


def _until_interrupted() -> None:
    try:
        while True:
            sleep(1)
    except KeyboardInterrupt:
        return
