"""A new pipeline is a folder and a file: its coded result comes out as a valid SR without a change elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

pytestmark = pytest.mark.data

PIPELINE = '''
"""The volume of what is denser than a threshold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imaging import codes
from imaging.codes import Code
from imaging.images import Mask
from imaging.pipeline import PriorRules, Refusal, Selection
from imaging.reading import Finding, Measurement, ModelIdentity, PipelineResult, Reading, ReadingStatus
from imaging.reasons import Reason, ReasonKind

BONE = Code("3138006", "SCT", "Bone")
TISSUE = Code("85756007", "SCT", "Tissue")


@dataclass(frozen=True)
class Dense:
    threshold: float
    name: str = "toy"
    version: str = "7"
    model: ModelIdentity = ModelIdentity("dense", "7", "ab" * 32)
    procedure: Code = codes.CT_STUDY
    report_not_ours: bool = False
    priors: PriorRules | None = None

    @property
    def configuration(self) -> Mapping[str, Any]:
        return {"threshold": self.threshold}

    def select(self, study):
        for series in study.series:
            if series.modality == "CT":
                return Selection((series,))
        return Refusal(Reason(ReasonKind.WRONG_MODALITY, "no CT here"))

    def read(self, images: Sequence, selection, engine, prior=None) -> PipelineResult:
        volume = images[0]
        mask = Mask.from_full(np.asarray(volume.array) > self.threshold, volume.geometry)
        finding = Finding(
            number=1, category=TISSUE, kind=BONE, site=codes.CHEST, laterality=None, place="everywhere",
            centre=tuple(float(v) for v in mask.centroid), key_slice=mask.offset[0],
            measurements=(Measurement(codes.VOLUME, mask.volume, codes.MM3),),
        )
        reading = Reading(
            study_instance_uid=volume.series.instances[0].study_instance_uid, pipeline=self.name,
            pipeline_version=self.version, model=self.model, status=ReadingStatus.READ, procedure=self.procedure,
            conclusion="What is dense was measured.", analysed="the whole volume", findings=(finding,),
            series_instance_uid=volume.series.series_instance_uid,
            sop_instance_uids=tuple(s.sop_instance_uid for s in volume.slices),
        )
        return PipelineResult(reading, {1: mask})


def build(configuration: Mapping[str, Any]) -> Dense:
    return Dense(**configuration)
'''


@pytest.fixture
def house(repo_root: Path, tmp_path: Path) -> Path:
    """A copy of the product with one folder and one file more."""
    for package in ("imaging", "dicom_node", "pipelines", "service", "configs"):
        shutil.copytree(repo_root / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pipelines" / "toy").mkdir()
    (tmp_path / "pipelines" / "toy" / "__init__.py").write_text(PIPELINE, encoding="utf-8")
    (tmp_path / "configs" / "pipelines" / "toy.yaml").write_text("threshold: 300\n", encoding="utf-8")
    (tmp_path / "configs" / "raysight.yaml").write_text("pipelines: [toy]\n", encoding="utf-8")
    return tmp_path


def test_its_result_is_a_valid_report(house: Path, data_dir: Path) -> None:
    out = house / "out"
    run = subprocess.run(
        [sys.executable, "-m", "service.cli", "read", str(data_dir / "ct" / "lidc-0001-slab"), "--out", str(out)],
        cwd=house,
        env=os.environ | {"PYTHONPATH": str(house), "RAYSIGHT_HOME": str(house / "home"), "RAYSIGHT_CONFIG": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    report = pydicom.dcmread(next(out.rglob("toy-sr.dcm")))
    assert report.SOPClassUID.name == "Comprehensive SR Storage"
    assert "3138006" in report.to_json()
    for name in ("toy-sr.dcm", "toy-seg.dcm", "toy-picture.dcm"):
        path = next(out.rglob(name))
        dciodvfy = shutil.which("dciodvfy")
        if dciodvfy is None:
            pytest.skip("dciodvfy is not installed (Debian package dicom3tools)")
        lines = subprocess.run([dciodvfy, "-new", str(path)], capture_output=True, text=True, check=False).stderr
        assert not [line for line in lines.splitlines() if line.startswith("Error")], (name, lines)
