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
from dicom_node.reader.identity import PatientIdentity, read_patient
from dicom_node.reader.study import assemble_study
from imaging.errors import EngineError, StorageError
from imaging.pipeline import Selection
from imaging.reading import Reading, ReadingStatus
from imaging.study import StudyInfo
from pipelines.released import AnyPipeline
from service.configuration import Configuration
from service.device import device_of
from service.engine import make_engine
from service.priors.choose import Found, Wish, choose
from service.workflows.models import as_asked
from service.workflows.requests import PriorReference, ReadingRequest, make_request
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
    prior: Path | None = None,
    pipelines: Sequence[str] | None = None,
    profile: ObjectProfile | None = None,
    on_progress: Callable[[str, float], None] | None = None,
) -> OfflineReport:
    """Read every study below ``folder``; its objects go to ``out/<Study Instance UID>/<pipeline>-<role>.dcm``.

    Parameters
    ----------
    prior
        Folder with earlier examinations, for pipelines that compare: the newest that fits is taken.
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
    earlier = None
    if prior is not None:
        earlier_headers, earlier_unreadable = read_folder(prior)
        earlier = _studies(earlier_headers)
        unreadable = [*unreadable, *earlier_unreadable]
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
        request = _request(reader, study, pipeline, earlier)
        found.append(_read(reader, request, profile or ObjectProfile(), out / study.study_instance_uid))
    tell("done", 1.0)
    return OfflineReport(tuple(found), tuple(unreadable))


def _studies(headers: Sequence[InstanceHeader]) -> list[StudyInfo]:
    by_study: dict[str, list[InstanceHeader]] = defaultdict(list)
    for header in headers:
        by_study[header.instance.study_instance_uid].append(header)
    return [assemble_study(by_study[uid]) for uid in sorted(by_study)]


def _request(
    reader: Reader, study: StudyInfo, pipeline: AnyPipeline, earlier: Sequence[StudyInfo] | None
) -> ReadingRequest:
    """What is to be read, with the newest of the ``earlier`` examinations that fits; None: none was given.

    Raises
    ------
    EngineError
        It can't be read yet.
    """
    evidence = Evidence(EvidenceKind.ASKED, datetime.now(UTC), "a folder was read")
    request = make_request(study, pipeline, evidence, models=reader.models)
    if request.waits_for:
        raise EngineError(f"{pipeline.name}: {request.waits_for}")
    if earlier is not None and pipeline.priors is not None and isinstance(request.answer, Selection):
        model = as_asked(pipeline, reader.models, request.model)
        wish = Wish(model, pipeline.priors, request.answer.series[0].modality)
        found = _newest(study, earlier, wish)
        request = request.with_prior(pipeline, found.prior, found.notes)
    return reader.results.put_request(request)


def _newest(study: StudyInfo, earlier: Sequence[StudyInfo], wish: Wish) -> Found:
    patient, notes = _patient(study), tuple[str, ...]()
    taken = list[PriorReference]()
    for other in earlier:
        if other.study_instance_uid != study.study_instance_uid and other.patients:
            found = choose(study, other, wish, patient=patient, other=_patient(other))
            notes += found.notes
            taken += [found.prior] if found.prior else []
    if taken:
        return Found(min(taken, key=lambda prior: prior.days), notes)
    return Found(None, (*notes, "Nothing in the folder of earlier examinations could be compared"))


def _patient(study: StudyInfo) -> PatientIdentity:
    """Whose study it is, by an image of it."""
    images = (i for series in study.series for i in series.instances if i.is_image)
    return read_patient(Path(next(images).blob))


def _read(reader: Reader, request: ReadingRequest, profile: ObjectProfile, out: Path) -> OfflineResult:
    watch = Stopwatch()
    reading = reader.read(request.key, watch)
    reader.write(request.key, profile, watch)
    objects, picture, problem = _save(reader.results, request, profile, out)
    return OfflineResult(
        study_instance_uid=request.study_instance_uid,
        pipeline=request.pipeline,
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
