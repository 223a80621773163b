"""`raysight read`: a folder of DICOM read without a network, by the same select, read and write as the node's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from dicom_node.assembly import Evidence, EvidenceKind
from dicom_node.blobs import MemoryBlobStore
from dicom_node.objects.profile import ObjectProfile
from dicom_node.reader.folder import read_folder
from dicom_node.reader.headers import InstanceHeader
from dicom_node.reader.study import assemble_study
from imaging.errors import EngineError, StorageError
from imaging.reading import Reading, ReadingStatus
from imaging.study import StudyInfo
from pipelines.released import AnyPipeline
from service.configuration import Configuration
from service.device import device_of
from service.engine import make_engine
from service.workflows.requests import ReadingRequest, make_request
from service.workflows.results import ResultStore
from service.workflows.steps import Reader, Stopwatch


@dataclass(frozen=True)
class OfflineResult:
    """What became of one study and pipeline.

    Parameters
    ----------
    objects
        The DICOM files that were written; none when the study isn't the pipeline's to read.
    timings
        Seconds by stage.
    problem
        Why the objects couldn't be written; empty when they could.
    """

    study_instance_uid: str
    pipeline: str
    status: ReadingStatus
    reason: str
    reading: Reading
    objects: tuple[Path, ...]
    picture: Path | None
    timings: Mapping[str, float]
    problem: str = ""


@dataclass(frozen=True)
class OfflineReport:
    """All results, and the files that were no readable DICOM, each with why."""

    results: tuple[OfflineResult, ...]
    unreadable: tuple[tuple[Path, str], ...]


def read_folder_to(
    configuration: Configuration,
    folder: Path,
    out: Path,
    *,
    pipelines: Sequence[str] | None = None,
    profile: ObjectProfile | None = None,
    on_progress: Callable[[str, float], None] | None = None,
) -> OfflineReport:
    """Read every study below ``folder``; its objects go to ``out/<Study Instance UID>/<pipeline>-<role>.dcm``.

    Parameters
    ----------
    pipelines
        Names of those that read; all configured ones when None.
    on_progress
        Told what is being done, and which share (0..1) of the whole is done.

    Raises
    ------
    UsageError
        There is no such folder.
    StorageError
        ``out`` can't be written.
    EngineError
        A study needs a model that has no champion, or that can't be run.
    """
    tell = on_progress or (lambda _what, _share: None)
    tell("reading headers", 0.0)
    headers, unreadable = read_folder(folder, on_progress=None)
    results, models = ResultStore(MemoryBlobStore()), configuration.home.models
    reader = Reader(
        pipelines=configuration.pipelines,
        engine=make_engine(configuration, models),
        path_of=Path,
        results=results,
        device=device_of(configuration.settings),
        time_zone=ZoneInfo(configuration.settings.time_zone),
        models=models,
    )
    chosen = [configuration.pipelines[name] for name in pipelines or configuration.pipelines]
    work = [(study, pipeline) for study in _studies(headers) for pipeline in chosen]
    found = []
    for done, (study, pipeline) in enumerate(work):
        tell(f"{pipeline.name}: study …{study.study_instance_uid[-8:]}", done / len(work))
        found.append(_read(reader, study, pipeline, profile or ObjectProfile(), out))
    tell("done", 1.0)
    return OfflineReport(tuple(found), tuple(unreadable))


def _studies(headers: Sequence[InstanceHeader]) -> list[StudyInfo]:
    by_study: dict[str, list[InstanceHeader]] = defaultdict(list)
    for header in headers:
        by_study[header.instance.study_instance_uid].append(header)
    return [assemble_study(by_study[uid]) for uid in sorted(by_study)]


def _read(
    reader: Reader, study: StudyInfo, pipeline: AnyPipeline, profile: ObjectProfile, out: Path
) -> OfflineResult:
    evidence = Evidence(EvidenceKind.ASKED, datetime.now(UTC), "a folder was read")
    request = reader.results.put_request(make_request(study, pipeline, evidence, models=reader.models))
    if request.waits_for:
        raise EngineError(f"{pipeline.name}: {request.waits_for}")
    watch = Stopwatch()
    reading = reader.read(request.key, watch)
    reader.write(request.key, profile, watch)
    objects, picture, problem = _save(reader.results, request, profile, out / study.study_instance_uid)
    return OfflineResult(
        study_instance_uid=study.study_instance_uid,
        pipeline=pipeline.name,
        status=reading.status,
        reason=reading.reason.message if reading.reason else "",
        reading=reading,
        objects=objects,
        picture=picture,
        timings=watch.seconds,
        problem=problem,
    )


def _save(
    results: ResultStore, request: ReadingRequest, profile: ObjectProfile, out: Path
) -> tuple[tuple[Path, ...], Path | None, str]:
    manifest = results.manifest(request.key, profile.name)
    written, picture = [], None
    try:
        for item in manifest.objects if manifest else ():
            out.mkdir(parents=True, exist_ok=True)
            target = out / f"{request.pipeline}-{item.role}.dcm"
            target.write_bytes(results.blobs.get(item.blob))
            written.append(target)
            preview = f"{item.blob.removesuffix('.dcm')}.png"
            if results.blobs.exists(preview):
                picture = target.with_suffix(".png")
                picture.write_bytes(results.blobs.get(preview))
    except OSError as error:
        raise StorageError(f"{out} can't be written: {error.strerror}; give another --out") from error
    return tuple(written), picture, manifest.problem if manifest else ""
