"""The three steps of a reading. Each may run twice; what is stored is never made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from zoneinfo import ZoneInfo

import numpy as np
import structlog
from numpy.typing import NDArray

from dicom_node.objects.profile import ObjectProfile
from dicom_node.objects.sources import read_sources
from dicom_node.objects.write import (
    Device,
    EarlierSlice,
    PredecessorReference,
    PriorStudy,
    ResultOrder,
    write_objects,
)
from dicom_node.reader.images import load_images
from dicom_node.reader.stack import ordered_frames
from dicom_node.reader.volume import decode_slices
from imaging.errors import EngineError, ImageError, ModelFailure, ResultError, StorageError
from imaging.pipeline import Engine, Prior, Refusal, Selection
from imaging.reading import PipelineResult, Reading, ReadingStatus
from imaging.reasons import Reason, ReasonKind
from imaging.stages import measured
from models.store import ModelStore
from pipelines.released import AnyPipeline
from service.workflows.models import NO_MODELS, as_asked, marks
from service.workflows.requests import PriorReference, ReadingRequest, images_gone
from service.workflows.results import ResultStore
from service.workflows.tracking import track

log = structlog.get_logger(__name__)


@dataclass
class Stopwatch:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    _within: float = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; what stages inside it take is theirs alone."""
        begun, outer = perf_counter(), self._within
        self._within = 0.0
        try:
            yield
        finally:
            spent = perf_counter() - begun
            self.seconds[name] = self.seconds.get(name, 0.0) + spent - self._within
            self._within = outer + spent


@dataclass(frozen=True)
class Reader:
    """Reads and writes by key; knows no database.

    Parameters
    ----------
    path_of
        From an instance's blob name to its file.
    models
        Where the version that a request names is looked up.
    """

    pipelines: Mapping[str, AnyPipeline]
    engine: Engine
    path_of: Callable[[str], Path]
    results: ResultStore
    device: Device
    time_zone: ZoneInfo
    models: ModelStore = NO_MODELS

    def read(self, key: str, watch: Stopwatch) -> Reading:
        """Step 1: images to a stored reading. Never raises for images that can't be read: that is the reading.

        Raises
        ------
        EngineError, StorageError
            To be tried again later.
        """
        if self.results.has_result(key):
            return self.results.reading(key)
        request = self.results.request(key)
        pipeline = self.pipelines[request.pipeline]
        try:
            result = self._interpret(request, pipeline, watch)
        except ImageError as error:
            result = unread(request, pipeline, ReadingStatus.NOT_READ, error.reason)
        except (EngineError, StorageError):
            raise
        except MemoryError as error:
            raise EngineError("memory is too short to read it now; give the worker more") from error
        except ModelFailure as error:
            result = _failed(request, pipeline, f"The model failed on these images: {error}.")
        except Exception as error:
            # whatever a pipeline stumbles on, the radiologist is told that nothing was read
            log.exception("reading failed", key=key, study=request.study_instance_uid, pipeline=request.pipeline)
            message = f"The software failed on these images ({type(error).__name__}); its log has the details."
            result = _failed(request, pipeline, message)
        return self.keep(request, result)

    def fail(self, key: str, reason: Reason) -> Reading:
        """Store a failure instead of trying once more."""
        request = self.results.request(key)
        pipeline = self.pipelines[request.pipeline]
        return self.keep(request, unread(request, pipeline, ReadingStatus.FAILED, reason))

    def keep(self, request: ReadingRequest, result: PipelineResult) -> Reading:
        """Give the findings their tracking UIDs and store; returns what stands."""
        said = marks(self.models, request.model)
        noted = replace(result.reading, notes=(*said, *request.notes, *result.reading.notes))
        tracked = track(noted, request.key, self._earlier(request))
        self.results.put_result(request.key, PipelineResult(tracked, result.masks))
        return self.results.reading(request.key)

    def _interpret(self, request: ReadingRequest, pipeline: AnyPipeline, watch: Stopwatch) -> PipelineResult:
        if isinstance(request.answer, Refusal):
            return unread(request, pipeline, ReadingStatus.NOT_READ, request.answer.reason)
        lost = sum(not self._is_here(blob) for blob in request.header_blobs)
        if lost:
            raise ImageError(images_gone(lost, len(request.header_blobs)))
        reader = as_asked(pipeline, self.models, request.model)
        with watch.stage("volume"):
            images = load_images(request.answer.series, self.path_of, stage=watch.stage)
        prior, notes = None, tuple[str, ...]()
        if request.prior is not None:
            try:
                with watch.stage("prior"):
                    prior = self._prior(request.prior, watch)
            except ImageError as error:
                notes = (f"The earlier examination of {request.prior.made} could not be read: {error}",)
        with watch.stage("read"), measured(watch.stage):
            result = reader.read(images, request.answer, self.engine, prior)
        given = prior.study.study_instance_uid if prior else None
        told = replace(result.reading, prior_study_instance_uid=given, notes=(*notes, *result.reading.notes))
        return PipelineResult(told, result.masks)

    def _prior(self, reference: PriorReference, watch: Stopwatch) -> Prior:
        """The earlier examination with its images and, where it was read, its reading; ImageError without images."""
        series = reference.selection.series
        blobs = [instance.blob for one in series for instance in one.instances]
        if lost := sum(not self._is_here(blob) for blob in blobs):
            raise ImageError(images_gone(lost, len(blobs)))
        done = (key for key in self._chain(reference.reading) if self.results.has_result(key))
        results = (self.results.result(key) for key in done)
        return Prior(
            study=replace(reference.study, series=series),
            selection=reference.selection,
            images=tuple(load_images(series, self.path_of, stage=watch.stage)),
            days=reference.days,
            result=next((r for r in results if r.reading.status is ReadingStatus.READ), None),
        )

    def _before(self, request: ReadingRequest) -> Iterator[str]:
        """Keys of the study's earlier readings by this pipeline, the latest first."""
        yield from self._chain(request.predecessor)

    def _chain(self, key: str | None) -> Iterator[str]:
        """A reading's key and those of the readings that it follows."""
        while key is not None:
            yield key
            key = self.results.request(key).predecessor

    def _is_here(self, blob: str) -> bool:
        """Whether an image's file is still in the spool: nobody but retention should remove one, but a disk may."""
        try:
            self.path_of(blob)
        except KeyError:
            return False
        return True

    def _earlier(self, request: ReadingRequest) -> Reading | None:
        """The latest earlier reading that read something."""
        done = (self.results.reading(key) for key in self._before(request) if self.results.has_result(key))
        return next((reading for reading in done if reading.status is ReadingStatus.READ), None)

    def write(self, key: str, profile: ObjectProfile, watch: Stopwatch) -> None:
        """Step 2: the stored reading to stored DICOM files, in one profile."""
        request = self.results.request(key)
        if self.results.manifest(key, profile.name) is not None:
            return
        if not request.reports(self.results.reading(key).reason):
            return
        with watch.stage("write"):
            try:
                objects = write_objects(self._order(request, profile))
            except ResultError as error:
                log.warning("objects can't be written", key=key, profile=profile.name, problem=str(error))
                self.results.put_problem(key, profile.name, str(error))
                return
            self.results.put_objects(key, profile.name, objects)

    def _order(self, request: ReadingRequest, profile: ObjectProfile) -> ResultOrder:
        result = self.results.result(request.key)
        geometry = next((mask.geometry for mask in result.masks.values()), None)
        return ResultOrder(
            key=request.key,
            reading=result.reading,
            masks=result.masks,
            geometry=geometry,
            sources=read_sources([self.path_of(blob) for blob in request.header_blobs if self._is_here(blob)]),
            key_slices=self._key_slices(request, result.reading),
            profile=profile,
            written_at=datetime.now(UTC),
            time_zone=self.time_zone,
            device=self.device,
            predecessor=self._predecessor(request, profile),
            prior=_prior_study(request, result.reading),
            earlier_slices=self._earlier_slices(request, result.reading),
        )

    def _key_slices(self, request: ReadingRequest, reading: Reading) -> Mapping[int, NDArray[np.float32]]:
        """The slices that the picture shows: of each finding, else the middle one: it is seen what was read."""
        if reading.status is not ReadingStatus.READ or not isinstance(request.answer, Selection):
            return {}
        series = request.answer.series[0]
        middle = sum(len(instance.frames) for instance in series.instances) // 2
        wanted = {f.key_slice for f in reading.findings} or {middle}
        return decode_slices(series, sorted(wanted), self.path_of)

    def _earlier_slices(self, request: ReadingRequest, reading: Reading) -> Mapping[int, EarlierSlice]:
        """The slices of the earlier examination on which the findings' places lie; none where it is gone by now."""
        series = request.prior.selection.series[0] if request.prior else None
        wanted = {f.earlier.key_slice for f in reading.findings if f.earlier is not None}
        if series is None or not wanted or not all(self._is_here(i.blob) for i in series.instances):
            return {}
        frames = ordered_frames(series)
        return {
            index: EarlierSlice(
                image=image,
                spacing=frames[index].info.pixel_spacing or (1.0, 1.0),
                orientation=frames[index].info.orientation,
                sop_class_uid=frames[index].instance.sop_class_uid,
                sop_instance_uid=frames[index].instance.sop_instance_uid,
                frame=frames[index].index + 1 if len(frames[index].instance.frames) > 1 else None,
                count=len(frames),
            )
            for index, image in decode_slices(series, sorted(wanted), self.path_of).items()
        }

    def _predecessor(self, request: ReadingRequest, profile: ObjectProfile) -> PredecessorReference | None:
        """The latest earlier report in this profile."""
        manifests = (self.results.manifest(key, profile.name) for key in self._before(request))
        report = next((o for m in manifests if m for o in m.objects if o.role == "sr"), None)
        if report is None:
            return None
        return PredecessorReference(
            study_instance_uid=request.study_instance_uid,
            series_instance_uid=report.series_instance_uid,
            sop_class_uid=report.sop_class_uid,
            sop_instance_uid=report.sop_instance_uid,
        )


def _failed(request: ReadingRequest, pipeline: AnyPipeline, message: str) -> PipelineResult:
    return unread(request, pipeline, ReadingStatus.FAILED, Reason(ReasonKind.SOFTWARE_FAILURE, message))


def _prior_study(request: ReadingRequest, reading: Reading) -> PriorStudy | None:
    """The earlier examination that the pipeline was really given."""
    prior = request.prior
    if prior is None or reading.prior_study_instance_uid is None:
        return None
    return PriorStudy(reading.prior_study_instance_uid, prior.study.study_date, prior.selection.series)


def unread(request: ReadingRequest, pipeline: AnyPipeline, status: ReadingStatus, reason: Reason) -> PipelineResult:
    """The reading of images that could not be read, with its reason."""
    answer = request.answer
    series = answer.series[0] if isinstance(answer, Selection) else None
    reading = Reading(
        study_instance_uid=request.study_instance_uid,
        pipeline=request.pipeline,
        pipeline_version=request.pipeline_version,
        model=request.model,
        status=status,
        procedure=pipeline.procedure,
        conclusion=f"Not read: {reason.message}",
        reason=reason,
        series_instance_uid=series.series_instance_uid if series else None,
        excluded=answer.excluded,
    )
    return PipelineResult(reading, {})
