"""The pipeline: choose the crop, and have one version of the model read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imaging import codes
from imaging.errors import EngineError
from imaging.images import Volume
from imaging.pipeline import Engine, Image, Pipeline, Prior, Refusal, Selection
from imaging.reading import ModelIdentity, PipelineResult
from imaging.reasons import Reason, ReasonKind
from imaging.study import SeriesInfo, StudyInfo
from models.store import ReleasedModel
from pipelines.configured import Configured
from pipelines.hippocampus.configuration import HippocampusConfiguration
from pipelines.limits import objection, outside_notes
from pipelines.released import open_same
from pipelines.rules import contains
from pipelines.selection import select

NAME = "hippocampus"
MODEL = "hippocampus_segmenter"
VERSION = "0.1.0"
LABELS = ("anterior", "posterior")


class _Hippocampus(Configured[HippocampusConfiguration]):
    """What both have in common."""

    name, version, procedure = NAME, VERSION, codes.MR_STUDY

    def unlike_a_crop(self, series: SeriesInfo) -> Reason | None:
        """Why a series isn't a T1-weighted image of one hippocampus and its surroundings."""
        rules = self.rules
        word = contains(f"{series.description} / {series.protocol}", rules.other_weightings)
        least, most = rules.extent_mm
        sizes = _extents(series)
        if word is not None:
            why = f"{word.rstrip('*')!r} in its description; T1-weighted images are read"
        elif any(not least <= size <= most for size in sizes):
            told = " × ".join(f"{size:.0f}" for size in sizes)
            why = f"it covers {told} mm; a crop around one hippocampus, {least:g} to {most:g} mm long, is read"
        else:
            return None
        return Reason(ReasonKind.OUTSIDE_LIMITS, f"{series.name}: {why}", series.series_instance_uid)


class HippocampusPipeline(_Hippocampus):
    """Implements `pipelines.released.ModelPipeline`."""

    model_names = (MODEL,)

    def select(self, study: StudyInfo) -> Selection | Refusal:
        """The best crop that no rule refuses."""
        return select(study, self.rules.selection, (self.unlike_a_crop,))

    def with_models(self, models: Sequence[ReleasedModel]) -> Pipeline:
        """As `ModelPipeline.with_models`."""
        (released,) = models
        names = tuple(label.name for label in released.spec.output.labels)
        if released.spec.input.kind != "volume" or names != LABELS:
            raise EngineError(
                f"{MODEL} {released.version} gives {', '.join(names)} of a {released.spec.input.kind}; "
                f"the pipeline {NAME} reads with {' and '.join(LABELS)} of a volume"
            )
        return HippocampusReader(self.rules, released)


class HippocampusReader(_Hippocampus):
    """Implements `imaging.pipeline.Pipeline`: reads with the one version that it was given."""

    def __init__(self, rules: HippocampusConfiguration, released: ReleasedModel) -> None:
        super().__init__(rules)
        self._released = released

    @property
    def model(self) -> ModelIdentity:
        return self._released.identity

    def select(self, study: StudyInfo) -> Selection | Refusal:
        """The best crop that neither a rule nor one of the model's limits refuses."""
        limits, refuse = self._released.spec.limits, self.rules.refuse_outside

        def outside(series: SeriesInfo) -> Reason | None:
            return objection(series, limits, refuse, study.age)

        answer = select(study, self.rules.selection, (self.unlike_a_crop, outside))
        if isinstance(answer, Refusal):
            return answer
        return replace(answer, notes=outside_notes(answer.series[0], limits, refuse, study.age))

    def read(
        self, images: Sequence[Image], selection: Selection, engine: Engine, prior: Prior | None = None
    ) -> PipelineResult:
        """Read one MR volume.

        Raises
        ------
        ImageError
            ANATOMY_NOT_FOUND where the model finds nothing.
        EngineError
            The version isn't there, was altered or fails.
        """
        # SciPy and SimpleITK load with the first reading: node and API only select
        from pipelines.hippocampus.interpret import interpret  # noqa: PLC0415

        if len(images) != 1 or not isinstance(images[0], Volume):
            raise ValueError(f"{NAME} reads exactly one volume")
        return interpret(
            images[0],
            selection,
            pipeline=self,
            model=open_same(engine, self.model),
            spec=self._released.spec,
        )


def _extents(series: SeriesInfo) -> list[float]:
    """Extent along slices, rows and columns, mm, as far as the headers say."""
    sizes = []
    if series.extent is not None:
        sizes.append(series.extent + (series.spacing or 0.0))
    image = next((i for i in series.instances if i.is_image and i.frames), None)
    if image is not None and image.frames[0].pixel_spacing and image.rows and image.columns:
        rows, columns = image.frames[0].pixel_spacing
        sizes += [image.rows * rows, image.columns * columns]
    return sizes
