"""A spool and an index with CTs of one patient, and a pipeline that wants the earlier one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from sqlalchemy import Engine, update

from dicom_node.objects.ct import write_ct
from imaging import codes
from imaging.codes import Code
from imaging.geometry import Geometry
from imaging.pipeline import Engine as ModelEngine
from imaging.pipeline import Image, Prior, PriorRules, Refusal, Selection
from imaging.reading import ModelIdentity, PipelineResult, Reading, ReadingStatus
from imaging.reasons import Reason, ReasonKind
from imaging.study import StudyInfo
from service.database import tables
from service.node.studies import Studies
from service.priors.choose import Wish
from service.priors.look import Looker
from tests.service.node.test_indexer import House as Index

GEOMETRY = Geometry((3, 16, 16), (2.0, 1.0, 1.0), (0.0, 0.0, 0.0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))
RULES = PriorRules(1, 800)
MODEL = ModelIdentity("comparing", "1", "0" * 64)


@dataclass(frozen=True)
class Comparing:
    """Selects the first CT that isn't a scout, and says in a note how old the earlier one is."""

    name: str = "comparing"
    version: str = "1"
    model: ModelIdentity = MODEL
    procedure: Code = codes.CT_STUDY
    report_not_ours: bool = False
    priors: PriorRules | None = RULES
    configuration: Mapping[str, Any] = field(default_factory=dict)

    def select(self, study: StudyInfo) -> Selection | Refusal:
        for series in study.series:
            if series.modality == "CT" and series.description != "scout":
                return Selection((series,))
        scouts = [Reason(ReasonKind.LOCALIZER, "a scout") for s in study.series if s.description == "scout"]
        return Refusal([*scouts, Reason(ReasonKind.WRONG_MODALITY, "no CT")][0])

    def read(
        self, images: Sequence[Image], selection: Selection, engine: ModelEngine, prior: Prior | None = None
    ) -> PipelineResult:
        (image,) = images
        reading = Reading(
            study_instance_uid=image.series.instances[0].study_instance_uid,
            pipeline=self.name,
            pipeline_version=self.version,
            model=self.model,
            status=ReadingStatus.READ,
            procedure=self.procedure,
            conclusion="It was looked at.",
            analysed="all of it",
            series_instance_uid=image.series.series_instance_uid,
            notes=(f"{prior.days:g} days",) if prior else (),
        )
        return PipelineResult(reading, {})


@dataclass
class Past:
    """Studies of a patient, sent or fetched, and what finds them."""

    index: Index
    folder: Path

    @property
    def engine(self) -> Engine:
        return self.index.database

    @property
    def studies(self) -> Studies:
        return Studies(self.engine)

    def files(self, name: str, date: str, **values: Any) -> list[Path]:
        """A CT as files."""
        made = write_ct(np.zeros(GEOMETRY.shape, np.int16), GEOMETRY, self.folder / name)
        patient = {"PatientID": "P1", "IssuerOfPatientID": "HOSPITAL", "StudyDate": date, "StudyTime": "0830"}
        for path in made:
            ds = dcmread(path)
            for keyword, value in (patient | values).items():
                setattr(ds, keyword, value)
            ds.save_as(path)
        return made

    def take(self, files: Sequence[Path], *, complete: bool = True, **changes: str) -> StudyInfo:
        """Receive and index files; their study."""
        entries = [self.index.receive(path, **changes) for path in files]
        self.index.indexer.catch_up()
        uid = entries[0].study_instance_uid
        if complete:
            self.end(uid)
        return self.studies.study(uid)

    def study(self, name: str, date: str, *, complete: bool = True, **values: Any) -> StudyInfo:
        """A CT that was sent."""
        return self.take(self.files(name, date, **values), complete=complete)

    def end(self, uid: str) -> None:
        """The study is complete."""
        with self.engine.begin() as connection:
            s = tables.studies
            connection.execute(update(s).where(s.c.study_instance_uid == uid).values(check_at=None))

    def looker(self, **changes: Any) -> Looker:
        return replace(Looker(self.studies, self.index.spool.path, lambda _study, _pipeline: None), **changes)


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    index = Index(tmp_path / "house")
    yield Past(index, tmp_path / "files")
    index.log.close()
    index.database.dispose()


@pytest.fixture
def wish_for() -> Callable[..., Wish]:
    def make(rules: PriorRules = RULES) -> Wish:
        return Wish(Comparing(priors=rules), rules, "CT")

    return make
