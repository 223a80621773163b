"""The chest whose lungs are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicom_node.reader.folder import read_folder
from dicom_node.reader.study import assemble_study
from dicom_node.reader.volume import build_volume
from imaging.geometry import Geometry, Index
from imaging.images import Mask
from imaging.phantom import chest_phantom
from models.transforms import pad, pads_to, resample, with_spacing
from pipelines.lung_nodule.configuration import LungRules
from pipelines.lung_nodule.lungs import find_lungs


def chest(
    spacing: float, ct: Path | None, patch: Index
) -> tuple[NDArray[np.float32], NDArray[np.bool_], tuple[int, ...]]:
    """A box round the lungs at ``spacing`` mm, no smaller than a patch.

    Returns
    -------
    tuple
        The image [1, *box], the lungs [*box], and the whole scan's shape.
    """
    hu: NDArray[Any]
    if ct is None:
        made = chest_phantom()
        hu, lungs, here, labelled = made.hu, made.lungs, made.geometry, made.geometry
    else:
        volume = build_volume(assemble_study(read_folder(ct)[0]).series[0], Path)
        found = find_lungs(volume, LungRules())
        hu, lungs, here, labelled = volume.array, found.labels, volume.geometry, found.geometry
    grid = with_spacing(here, (spacing,) * 3)
    mask = Mask.from_full(_nearest(lungs, labelled, grid), grid)
    box = tuple(slice(o, o + n) for o, n in zip(mask.offset, mask.array.shape, strict=True))
    image = np.clip(resample(hu, here, grid)[box] / 1000, -1, 1)
    pads = pads_to(image.shape, patch)
    return np.ascontiguousarray(pad(image, pads, -1)[None], np.float32), pad(mask.array, pads, 0), grid.shape


def _nearest(labels: NDArray[Any], geometry: Geometry, grid: Geometry) -> NDArray[np.bool_]:
    return resample(labels, geometry, grid, labels=True) > 0
