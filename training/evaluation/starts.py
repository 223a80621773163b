"""Where a segmentation starts: on the mark that the detector itself sets, by the detector that left out the fold."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol
from zlib import crc32

import numpy as np

from imaging.geometry import Vector
from imaging.pipeline import OpenModel
from models.spec import ModelSpec
from models.store import SHIPPED
from pipelines.lung_nodule.configuration import MarkRules
from pipelines.lung_nodule.network_marks import marks_on_grid, volume_input
from pipelines.lung_nodule.segment import cut_out, field_of_view
from training.evaluation.folds import folds_in
from training.evaluation.nodule_cases import NoduleCase
from training.evaluation.opened import open_run
from training.runs.folder import all_runs

DETECTOR = "lung_nodule_detector"
_LEAST = 0.02  # the highest peak on the nodule is taken, also one too low for a mark: small nodules aren't left out
_ASIDE_MM = 12.0  # the nodule lies up to so far from the middle of the detector's patch, along each axis
_OFF_MM, _OFF_SHARE = 0.7, 0.05  # a drawn start is so far off along each axis (sigma): mm, and share of the diameter


class Start(Protocol):
    """Gives a point on a nodule, as a detector would."""

    @property
    def words(self) -> str:
        """How, for tables."""
        ...

    def __call__(self, case: NoduleCase) -> Vector | None:
        """LPS, mm; None where it has none."""
        ...


class Drawn:
    """A point drawn round the nodule's centre: for where there is no detector yet. The same for the same case."""

    words = "drawn round the centre"

    def __call__(self, case: NoduleCase) -> Vector:
        chance = np.random.default_rng(crc32(case.case.encode()))
        off = chance.normal(0, _OFF_MM + _OFF_SHARE * 2 * case.radius, 3)
        x, y, z = (float(v) for v in np.asarray(case.centre) + off)
        return x, y, z


class Marked:
    """The detector's own highest mark on the nodule, one patch being read.

    Parameters
    ----------
    model, spec
        A detector that has seen neither the nodule nor the scan.
    """

    words = "the detector's mark"

    def __init__(self, model: OpenModel, spec: ModelSpec) -> None:
        self._model, self._spec, self._rules = model, spec, volume_input(spec)

    def __call__(self, case: NoduleCase) -> Vector | None:
        chance = np.random.default_rng(crc32(case.case.encode()))
        x, y, z = (float(v) for v in np.asarray(case.centre) + chance.uniform(-_ASIDE_MM, _ASIDE_MM, 3))
        place = field_of_view(case.volume.geometry, (x, y, z), self._rules, 1.0)
        hu = np.clip(cut_out(case.volume, place, self._rules.orientation), -1024, 3071)
        everywhere = np.ones(hu.shape, dtype=bool)
        rules = MarkRules(threshold=_LEAST)
        found = marks_on_grid(hu, everywhere, place, model=self._model, spec=self._spec, rules=rules)
        return next((mark.point for mark in found.marks if case.hit(mark.point)), None)


class Once:
    """Another start that isn't asked twice for the same case: model and baseline start alike."""

    def __init__(self, start: Start) -> None:
        self.words = start.words
        self._start = start
        self._last: tuple[NoduleCase, Vector | None] | None = None

    def __call__(self, case: NoduleCase) -> Vector | None:
        if self._last is None or self._last[0] is not case:
            self._last = case, self._start(case)
        return self._last[1]


def start_for(fold: int | None, models: Path = SHIPPED) -> Start:
    """The shipped detector of the run that left out ``fold``; where there is none, `Drawn`.

    Raises
    ------
    UsageError
        The run's ONNX file isn't the one that its record names.
    EngineError
        It can't be loaded.
    """
    runs = [run for run in all_runs(folds_in(models, DETECTOR)) if fold is not None and run.record.fold == fold]
    return Once(Marked(*open_run(runs[-1]))) if runs else Drawn()
