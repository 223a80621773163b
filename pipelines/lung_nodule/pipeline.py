"""The pipeline: choose the chest CT, and have it read, by the classical baseline or by released models."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from imaging import codes
from imaging.errors import EngineError
from imaging.images import Volume
from imaging.pipeline import Engine, Image, Pipeline, Prior, PriorRules, Refusal, Selection
from imaging.reading import ModelIdentity, PipelineResult
from imaging.reasons import Reason
from imaging.study import SeriesInfo, StudyInfo
from models.store import ReleasedModel
from pipelines.configured import Configured
from pipelines.limits import objection, outside_notes
from pipelines.lung_nodule.configuration import LungNoduleConfiguration
from pipelines.released import open_same
from pipelines.selection import select

if TYPE_CHECKING:
    from pipelines.lung_nodule.nodule import Way

NAME = "lung_nodule"
BASELINE = "lung_nodule_baseline"
DETECTOR, SEGMENTER = "lung_nodule_detector", "lung_nodule_segmenter"
CLASSIFIER, RATER = "lung_nodule_candidate_classifier", "lung_nodule_suspicion"
RULES = "lung_nodule_rules"
"""What measures, compares and judges: code, whichever models find."""
VERSION = "0.2.0"
BASELINE_VERSION = "0.1.0"
_TASKS = {DETECTOR: "detection", SEGMENTER: "segmentation", CLASSIFIER: "classification", RATER: "tabular"}


@cache
def source_digest() -> str:
    """sha256 of this folder's source text, guidelines and follow-up included: what stands for weights where there are
    none."""
    root, digest = Path(__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


class _LungNodule(Configured[LungNoduleConfiguration]):
    """What both ways have in common."""

    name, version, procedure = NAME, VERSION, codes.CT_STUDY

    def __init__(self, rules: LungNoduleConfiguration) -> None:
        super().__init__(rules)
        self.priors = PriorRules(*rules.follow_up.days)

    def interpreted(
        self, pipeline: Pipeline, way: Way, images: Sequence[Image], selection: Selection, prior: Prior | None
    ) -> PipelineResult:
        """Read one CT volume in one of the ways."""
        # SciPy and SimpleITK load with the first reading: node and API only select
        from pipelines.lung_nodule.interpret import interpret  # noqa: PLC0415

        if len(images) != 1 or not isinstance(images[0], Volume):
            raise ValueError(f"{NAME} reads exactly one volume")
        return interpret(
            images[0],
            selection,
            prior,
            pipeline=pipeline,
            way=way,
            rules=self.rules,
            code=ModelIdentity(RULES, VERSION, source_digest()),
        )


class BaselinePipeline(_LungNodule):
    """Implements `imaging.pipeline.Pipeline`: the classical baseline. It needs no engine."""

    def __init__(self, rules: LungNoduleConfiguration) -> None:
        super().__init__(rules)
        self.model = ModelIdentity(BASELINE, BASELINE_VERSION, source_digest())

    def select(self, study: StudyInfo) -> Selection | Refusal:
        """The best chest CT that no rule refuses."""
        answer = select(study, self.rules.selection)
        if isinstance(answer, Refusal):
            return answer
        return replace(answer, notes=tuple(_outside_tested_range(answer.series[0], self.rules)))

    def read(
        self, images: Sequence[Image], selection: Selection, engine: Engine, prior: Prior | None = None
    ) -> PipelineResult:
        """Read one CT volume.

        Raises
        ------
        ImageError
            ANATOMY_NOT_FOUND where no lungs are; WRONG_BODY_PART where only their bases are.
        """
        from pipelines.lung_nodule.baseline import Baseline  # noqa: PLC0415

        return self.interpreted(self, Baseline(self.rules), images, selection, prior)


class _ByNetworks(_LungNodule):
    """What measures, compares and judges beside the models is code: another code is another version."""

    def __init__(self, rules: LungNoduleConfiguration) -> None:
        super().__init__(rules)
        self.version = f"{VERSION}+{source_digest()[:12]}"


class NetworkPipeline(_ByNetworks):
    """Implements `pipelines.released.ModelPipeline`: one model finds, one outlines, others judge."""

    @property
    def model_names(self) -> tuple[str, ...]:
        """Detector and segmenter, and what else the configuration wants asked."""
        network = self.rules.network
        further = ((CLASSIFIER, network.second_look > 0), (RATER, network.suspicion))
        return (DETECTOR, SEGMENTER, *(name for name, wanted in further if wanted))

    def select(self, study: StudyInfo) -> Selection | Refusal:
        """The best chest CT that no rule refuses."""
        return select(study, self.rules.selection)

    def with_models(self, released: Sequence[ReleasedModel]) -> Pipeline:
        """As `ModelPipeline.with_models`."""
        for one in released:
            if one.spec.task != _TASKS[one.name]:
                raise EngineError(f"{one.name} {one.version} is made for {one.spec.task}, not {_TASKS[one.name]}")
        return NetworkReader(self.rules, {one.name: one for one in released})


class NetworkReader(_ByNetworks):
    """Implements `imaging.pipeline.Pipeline`: reads with the versions that it was given."""

    def __init__(self, rules: LungNoduleConfiguration, released: Mapping[str, ReleasedModel]) -> None:
        super().__init__(rules)
        self._released = released
        self.model = ModelIdentity.together([one.identity for one in released.values()])

    def select(self, study: StudyInfo) -> Selection | Refusal:
        """The best chest CT that neither a rule nor a limit of the models refuses."""
        refuse = self.rules.network.refuse_outside
        limits = [one.spec.limits for one in self._released.values()]

        def outside(series: SeriesInfo) -> Reason | None:
            reasons = (objection(series, each, refuse, study.age) for each in limits)
            return next((reason for reason in reasons if reason is not None), None)

        answer = select(study, self.rules.selection, (outside,))
        if isinstance(answer, Refusal):
            return answer
        notes = [note for each in limits for note in outside_notes(answer.series[0], each, refuse, study.age)]
        return replace(answer, notes=tuple(dict.fromkeys(notes)))

    def read(
        self, images: Sequence[Image], selection: Selection, engine: Engine, prior: Prior | None = None
    ) -> PipelineResult:
        """Read one CT volume.

        Raises
        ------
        ImageError
            ANATOMY_NOT_FOUND where no lungs are; WRONG_BODY_PART where only their bases are.
        EngineError
            A version isn't there, was altered or can't be run.
        """
        from pipelines.lung_nodule.network import Model, Network  # noqa: PLC0415

        opened = {n: Model(open_same(engine, one.identity), one) for n, one in self._released.items()}
        way = Network(self.rules, opened[DETECTOR], opened[SEGMENTER], opened.get(CLASSIFIER), opened.get(RATER))
        return self.interpreted(self, way, images, selection, prior)


def _outside_tested_range(series: SeriesInfo, rules: LungNoduleConfiguration) -> Iterator[str]:
    """Where a series lies outside what the baseline's card covers."""
    low, high = rules.tested.thickness_mm
    thickness = series.thickness if series.thickness is not None else series.spacing
    if thickness is not None and not low <= thickness <= high:
        yield f"Outside tested range: slices {thickness:.2f} mm thick, tested {low:.2f} to {high:.2f} mm."
    if not any(series.manufacturer.upper().startswith(m.upper()) for m in rules.tested.manufacturers):
        names = ", ".join(rules.tested.manufacturers)
        yield f"Outside tested range: scanner of {series.manufacturer or 'unknown make'}, tested {names}."
