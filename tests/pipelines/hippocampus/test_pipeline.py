"""From DICOM files of a made-up crop to measured parts, and what is refused or said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dicom_node.reader.folder import read_folder
from dicom_node.reader.images import load_images
from dicom_node.reader.study import assemble_study
from imaging import codes
from imaging.errors import EngineError, ImageError
from imaging.geometry import Geometry
from imaging.pipeline import Pipeline, Refusal, Selection
from imaging.reading import PipelineResult
from imaging.reasons import ReasonKind
from imaging.study import StudyInfo
from inference.engine import OnnxEngine
from inference.session import EngineOptions
from models.publish import point
from models.store import ModelStore
from pipelines.hippocampus import build
from pipelines.hippocampus.pipeline import LABELS, MODEL
from tests.pipelines.hippocampus.crops import release, shipped_spec, write_mr

SHAPE = (40, 52, 36)
CENTRE = (-28.0, 12.0, -7.0)
AXIAL = ((0, 0, 1), (0, 1, 0), (1, 0, 0))
STACKS = {
    "axial": AXIAL,
    "axial, head first": ((0, 0, -1), (0, 1, 0), (1, 0, 0)),
    "coronal": ((0, 1, 0), (0, 0, -1), (1, 0, 0)),
    "sagittal": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "oblique coronal": tuple(
        tuple(float(v) for v in Rotation.from_euler("xyz", (20, 8, -5), degrees=True).apply(axis))
        for axis in ((0, 1, 0), (0, 0, -1), (1, 0, 0))
    ),
}
LENGTH = {0: 36, 1: 52, 2: 40}  # of the crop along x, y, z (LPS), voxels of 1 mm


def grid(stack: Any) -> Geometry:
    """A grid of 1 mm round `CENTRE`, as long along each of the patient's axes whatever the stack."""
    axes = np.asarray(stack, float)
    shape = tuple(LENGTH[int(np.argmax(np.abs(axis)))] for axis in axes)
    origin = np.asarray(CENTRE) - (np.asarray(shape) - 1) / 2 @ axes
    direction = tuple(tuple(float(v) for v in axis) for axis in axes)
    return Geometry(shape, (1.0, 1.0, 1.0), tuple(float(v) for v in origin), direction)


def ball(
    geometry: Geometry, centre: Any = CENTRE, radius: float = 7.0
) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Bright in a ball, and every voxel's place, mm."""
    mm = geometry.to_mm(np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1))
    noise = np.random.default_rng(0).normal(0, 5, geometry.shape)
    inside = np.linalg.norm(mm - np.asarray(centre), axis=-1) < radius
    return np.rint(np.where(inside, 900, 300) + noise).astype(np.int16), mm


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    store = ModelStore((tmp_path / "models",))
    release(store, "1", 1.5)
    point(store, MODEL, "champion", "1")
    return store


@pytest.fixture
def configuration(repo_root: Path) -> dict[str, Any]:
    text = (repo_root / "configs" / "pipelines" / "hippocampus.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


@pytest.fixture
def pipeline(store: ModelStore, configuration: dict[str, Any]) -> Pipeline:
    return build(configuration).with_models([store.champion(MODEL)])


def study_in(folder: Path) -> StudyInfo:
    headers, unreadable = read_folder(folder, on_progress=None)
    assert not unreadable
    return assemble_study(headers)


def read(folder: Path, pipeline: Pipeline, store: ModelStore) -> PipelineResult:
    answer = pipeline.select(study_in(folder))
    assert isinstance(answer, Selection), answer
    engine = OnnxEngine(store, EngineOptions(threads=1))
    return pipeline.read(load_images(answer.series, Path), answer, engine)


def written(folder: Path, geometry: Geometry | None = None, centre: Any = CENTRE, **headers: Any) -> Path:
    place = geometry or grid(AXIAL)
    write_mr(ball(place, centre)[0], place, folder / "crop", "crop", **headers)
    return folder / "crop"


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS.keys())
def test_every_stack_is_measured_where_it_lies(
    stack: Any, tmp_path: Path, pipeline: Pipeline, store: ModelStore
) -> None:
    geometry = grid(stack)
    result = read(written(tmp_path, geometry, Laterality="R"), pipeline, store)
    parts = {f.modifier.meaning.lower(): f for f in result.reading.findings if f.modifier}
    assert tuple(parts) == LABELS
    _, mm = ball(geometry)
    # along whichever of the grid's axes is nearest to the patient's back
    back = max(geometry.direction, key=lambda axis: abs(axis[1]))
    along = (mm - np.asarray(CENTRE)) @ (np.asarray(back) * np.sign(back[1]))
    inside = np.linalg.norm(mm - np.asarray(CENTRE), axis=-1) < 7
    for name, half in (("anterior", inside & (along < 0)), ("posterior", inside & (along >= 0))):
        finding = parts[name]
        volume = finding.measured(codes.VOLUME)
        assert volume == pytest.approx(np.count_nonzero(half), rel=0.05)
        assert np.allclose(finding.centre, mm[half].mean(axis=0), atol=0.3)
        mask = result.masks[finding.number].to_full()
        assert 2 * np.count_nonzero(mask & half) / (np.count_nonzero(mask) + np.count_nonzero(half)) > 0.95
        assert (finding.kind, finding.category) == (codes.HIPPOCAMPUS, codes.ANATOMICAL_STRUCTURE)
        assert finding.laterality == codes.RIGHT
        assert mask[finding.key_slice].any()
    whole = result.reading.findings[-1]
    assert (whole.number, whole.kind, whole.modifier) == (3, codes.HIPPOCAMPUS, None)
    assert whole.measured(codes.VOLUME) == sum(f.measured(codes.VOLUME) or 0 for f in parts.values())
    assert result.reading.model == store.champion(MODEL).identity
    assert not result.reading.notes
    assert "together 1." in result.reading.conclusion


REFUSED: dict[str, tuple[dict[str, Any], ReasonKind, str]] = {
    "a child": ({"PatientAge": "012Y"}, ReasonKind.OUTSIDE_LIMITS, "patient of 12 years"),
    "a knee": ({"BodyPartExamined": "KNEE"}, ReasonKind.WRONG_BODY_PART, "KNEE"),
    "no body part": ({"BodyPartExamined": None}, ReasonKind.WRONG_BODY_PART, "name no body part"),
    "T2": ({"SeriesDescription": "T2 TSE"}, ReasonKind.OUTSIDE_LIMITS, "T1-weighted"),
    "a whole head": ({"PixelSpacing": [4.0, 4.0]}, ReasonKind.OUTSIDE_LIMITS, "40 × 208 × 144 mm"),
    "thick slices": ({"SliceThickness": "3"}, ReasonKind.SLICES_TOO_THICK, "at most 1.5 mm"),
    "CT": ({"Modality": "CT"}, ReasonKind.WRONG_MODALITY, "MR is read"),
}


@pytest.mark.parametrize(("headers", "kind", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused(
    headers: dict[str, Any], kind: ReasonKind, words: str, tmp_path: Path, pipeline: Pipeline
) -> None:
    answer = pipeline.select(study_in(written(tmp_path, **headers)))
    assert isinstance(answer, Refusal)
    assert answer.reason.kind is kind
    assert words in answer.reason.message
    assert answer.reason in answer.excluded


def test_another_series_is_read_where_the_best_is_no_crop(tmp_path: Path, pipeline: Pipeline) -> None:
    study = study_in(written(tmp_path))
    (crop,) = study.series
    flair = replace(crop, series_instance_uid="9.9", series_number=0, description="FLAIR", body_part="BRAIN")
    answer = pipeline.select(replace(study, series=(flair, crop)))
    assert isinstance(answer, Selection)
    assert answer.series == (crop,)
    assert [r.series_instance_uid for r in answer.excluded] == ["9.9"]


def test_another_series_is_read_where_the_best_lies_outside_the_models_limits(
    tmp_path: Path, store: ModelStore, configuration: dict[str, Any]
) -> None:
    rules = configuration | {"refuse_outside": ["manufacturers"]}
    pipeline = build(rules).with_models([store.champion(MODEL)])
    study = study_in(written(tmp_path))
    (crop,) = study.series
    other = replace(crop, series_instance_uid="9.9", series_number=0, manufacturer="SIEMENS")
    answer = pipeline.select(replace(study, series=(other, crop)))
    assert isinstance(answer, Selection)
    assert answer.series == (crop,)
    assert [(r.series_instance_uid, r.kind) for r in answer.excluded] == [("9.9", ReasonKind.OUTSIDE_LIMITS)]
    alone = pipeline.select(replace(study, series=(other,)))
    assert isinstance(alone, Refusal)
    assert "scanner of SIEMENS" in alone.reason.message


SAID: dict[str, tuple[dict[str, Any], str]] = {
    "another maker": ({"Manufacturer": "SIEMENS"}, "Outside tested range: scanner of SIEMENS, tested Philips."),
    "thicker": ({"SliceThickness": "1.2"}, "Outside tested range: slices 1.20 mm thick, tested 1 mm."),
    "a word of the rules": ({"BodyPartExamined": "KOPF"}, "Outside tested range: Body Part Examined is KOPF"),
    "no side": ({"Laterality": None}, "The headers don't say which side it is."),
}


@pytest.mark.parametrize(("headers", "words"), SAID.values(), ids=SAID.keys())
def test_what_is_said(
    headers: dict[str, Any], words: str, tmp_path: Path, pipeline: Pipeline, store: ModelStore
) -> None:
    notes = read(written(tmp_path, **{"Laterality": "L"} | headers), pipeline, store).reading.notes
    assert len(notes) == 1
    assert notes[0].startswith(words)


def test_an_age_that_does_not_refuse_is_said(
    tmp_path: Path, store: ModelStore, configuration: dict[str, Any]
) -> None:
    pipeline = build(configuration | {"refuse_outside": []}).with_models([store.champion(MODEL)])
    result = read(written(tmp_path, Laterality="L", PatientAge="012Y"), pipeline, store)
    (note,) = result.reading.notes
    assert note.startswith("Outside tested range: patient of 12 years")


def test_a_part_that_is_missing_or_cut_off_is_a_limitation(tmp_path: Path, configuration: dict[str, Any]) -> None:
    """The ball lies in front, and its brightness reaches the crop's first row, which isn't background here."""
    store = ModelStore((tmp_path / "all",))
    release(store, "1", 1.5, margin=0)
    pipeline = build(configuration).with_models([store.version(MODEL, "1")])
    front = (CENTRE[0], CENTRE[1] - 22, CENTRE[2])
    result = read(written(tmp_path, centre=front), pipeline, store)
    assert [f.modifier and f.modifier.meaning for f in result.reading.findings] == ["Anterior"]
    limitations = [note for note in result.reading.notes if note.startswith("Limitation: ")]
    assert ["no posterior" in limitations[0], "lower bound" in limitations[1]] == [True, True]
    assert "posterior not found" in result.reading.conclusion


def test_nothing_found_is_not_read(tmp_path: Path, store: ModelStore, configuration: dict[str, Any]) -> None:
    release(store, "2", 50.0)
    pipeline = build(configuration).with_models([store.version(MODEL, "2")])
    with pytest.raises(ImageError, match="no hippocampus found by hippocampus_segmenter 2") as caught:
        read(written(tmp_path), pipeline, store)
    assert caught.value.reason.kind is ReasonKind.ANATOMY_NOT_FOUND


def test_a_version_reads_whatever_is_champion(tmp_path: Path, pipeline: Pipeline, store: ModelStore) -> None:
    release(store, "2", 0.5)
    point(store, MODEL, "champion", "2")
    assert read(written(tmp_path), pipeline, store).reading.model.version == "1"


def test_another_file_under_the_same_number_is_not_read_with(
    tmp_path: Path, pipeline: Pipeline, store: ModelStore
) -> None:
    other = ModelStore((tmp_path / "other",))
    release(other, "1", 0.5)
    with pytest.raises(EngineError, match="the reading was asked for with"):
        read(written(tmp_path), pipeline, other)


def test_a_model_of_other_parts_is_not_read_with(store: ModelStore, configuration: dict[str, Any]) -> None:
    spec = shipped_spec()
    head = spec.output.labels[0].model_copy(update={"name": "head"})
    output = spec.output.model_copy(update={"labels": (head, spec.output.labels[1])})
    release(store, "2", 1.5, spec.model_copy(update={"output": output}))
    with pytest.raises(EngineError, match="gives head, posterior of a volume"):
        build(configuration).with_models([store.version(MODEL, "2")])
