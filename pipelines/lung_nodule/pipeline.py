"""The pipeline: choose the chest CT, and have it read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from imaging import codes
from imaging.images import Volume
from imaging.pipeline import Engine, Image, Prior, Refusal, Selection
from imaging.reading import ModelIdentity, PipelineResult
from imaging.study import StudyInfo
from pipelines.configured import Configured
from pipelines.lung_nodule.configuration import LungNoduleConfiguration
from pipelines.selection import select

NAME = "lung_nodule"
MODEL = "lung_nodule_baseline"
VERSION = "0.1.0"


def source_digest() -> str:
    """sha256 of this folder's source text: what stands for weights in a model that has none."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


class LungNodulePipeline(Configured[LungNoduleConfiguration]):
    """Implements `imaging.pipeline.Pipeline`. It needs no engine."""

    name, version, procedure = NAME, VERSION, codes.CT_STUDY

    def __init__(self, rules: LungNoduleConfiguration) -> None:
        super().__init__(rules)
        self.model = ModelIdentity(MODEL, VERSION, source_digest())

    def select(self, study: StudyInfo) -> Selection | Refusal:
        return select(study, self.rules.selection)

    def read(
        self, images: Sequence[Image], selection: Selection, engine: Engine, prior: Prior | None = None
    ) -> PipelineResult:
        """Read one CT volume.

        Raises
        ------
        ImageError
            ANATOMY_NOT_FOUND where no lungs are; WRONG_BODY_PART where only their bases are.
        """
        # SciPy and SimpleITK load with the first reading: node and API only select
        from pipelines.lung_nodule.interpret import interpret  # noqa: PLC0415

        if len(images) != 1 or not isinstance(images[0], Volume):
            raise ValueError(f"{NAME} reads exactly one volume")
        return interpret(images[0], selection, self, self.rules)
