"""The simplest outline of a nodule: what is bright where the point lies, thin strands cut off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imaging.errors import ModelFailure
from imaging.files import replace
from imaging.pipeline import Answer, Prediction, Wanted
from imaging.reading import ModelIdentity

_BRIGHT = 0.43  # of the window -1000 to 400 HU: -400 HU, half-way from lung to soft tissue
_OPENING = 2.0  # radius of the ball, voxels


class BrightPart:
    """Implements `imaging.pipeline.OpenModel` and `training.evaluation.evaluator.Baseline`."""

    words = "what is denser than -400 HU at the same start, opened by a ball of 1.4 mm"
    pooled_words = words
    identity = ModelIdentity("bright_part", "1", "", "float32")

    def save(self, path: Path) -> None:
        """An empty file: nothing was learnt."""
        replace(path, b"")

    def infer(self, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """ModelFailure: it answers by `slide` only."""
        raise ModelFailure("the bright part is found in an image, not in named arrays")

    def slide(
        self,
        image: NDArray[np.float32],
        *,
        answer: Answer = Answer.PROBABILITIES,
        wanted: Wanted | None = None,
        cancelled: Callable[[], bool] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Prediction:
        """[1, channel, *space]: 1 where it is bright, 0 elsewhere."""
        bright = image[0] >= _BRIGHT
        deep = ndimage.distance_transform_edt(bright) > _OPENING
        opened = bright & (ndimage.distance_transform_edt(~deep) <= _OPENING) if deep.any() else bright
        return Prediction(opened[None].astype(np.float16), (0, 0, 0))
