"""From a volume to labels on its own grid: prepared, run in patches, restored."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from imaging.geometry import Geometry
from imaging.pipeline import Answer
from inference.engine import OnnxEngine
from inference.session import EngineOptions
from models.segmentation import segment
from models.store import ModelStore, ReleasedModel
from models.transforms import prepare
from tests.inference.toys import spread, toy_spec

PATCH = (16, 24, 12)


@pytest.mark.parametrize("boxed", [False, True])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1)])
def test_a_bright_ball_is_found_where_it_lies(
    boxed: bool, flips: tuple[int, int, int], store: ModelStore, release: Callable[..., ReleasedModel]
) -> None:
    """The network says label 1 where its input is positive: more than halfway to the ball's intensity."""
    release(spread(PATCH, (0, 1, -1)), toy_spec(PATCH))
    axes = Rotation.from_euler("zyx", [0.2, -0.3, 0.1]).as_matrix()[[2, 0, 1]] * np.array(flips)[:, None]
    direction = tuple(tuple(float(v) for v in axis) for axis in axes)
    geometry = Geometry((20, 90, 36), (1.8, 0.7, 0.9), (12.0, -30.0, 7.0), direction)
    mm = geometry.to_mm(np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1))
    centre = geometry.to_mm([8, 25, 14])
    distance = np.linalg.norm(mm - centre, axis=-1)
    array = np.where(distance < 8, 900, 100).astype(np.int16)

    model = OnnxEngine(store, EngineOptions(threads=1)).open("toy")
    prepared = prepare(array, geometry, model.spec.input)
    near = np.linalg.norm(
        prepared.grid.padded.to_mm(
            np.stack(np.meshgrid(*map(np.arange, prepared.grid.padded.shape), indexing="ij"), -1)
        )
        - centre,
        axis=-1,
    )
    sharp = 20 * (prepared.image - (prepared.image.max() + prepared.image.min()) / 2)
    prediction = model.slide(sharp, answer=Answer.PROBABILITIES, wanted=near < 12 if boxed else None)
    labels = segment(prediction, prepared.grid, model.spec)
    assert labels.shape == geometry.shape
    found = labels == 1
    dice = 2 * np.count_nonzero(found & (distance < 8)) / (np.count_nonzero(found) + np.count_nonzero(distance < 8))
    assert dice > 0.93 and np.allclose(mm[found].mean(axis=0), centre, atol=0.3)
    assert prediction.tiles_run < prediction.tiles_all if boxed else prediction.tiles_run == prediction.tiles_all


def test_what_serves_loads_no_torch() -> None:
    code = (
        "import inference.engine, models.catalogue, models.publish, models.segmentation, sys;"
        "print(sorted({'torch', 'monai', 'mlflow', 'openvino'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
