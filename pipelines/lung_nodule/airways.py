"""Trachea and main bronchi: small dark discs, followed slice by slice towards the feet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imaging.geometry import Geometry
from pipelines.lung_nodule.configuration import LungRules

_TRACHEA_MM = 40.0  # what was followed this far was the trachea: it has one beginning
_MAIN_BRONCHI_MM = 50.0  # below the carina the main bronchi end before this


def airways(
    dark: NDArray[np.bool_], column: NDArray[np.float64], geometry: Geometry, rules: LungRules
) -> NDArray[np.bool_]:
    """Trachea and main bronchi among dark air inside the body.

    Parameters
    ----------
    dark
        [slice, row, column] bool, from feet to head.
    column
        Of the body's middle, for each slice.

    Returns
    -------
    ndarray
        [slice, row, column] bool, a voxel wider than what is dark.

    Notes
    -----
    The trachea begins as a small disc near the body's middle. Discs that overlap those of the slice above are
    followed as long as they stay small: where one opens into the lung its walk ends. It ends too 50 mm below the
    slice in which there are two for the first time, so that dark patches of an emphysema aren't followed.
    """
    found = np.zeros(dark.shape, dtype=bool)
    pixel = geometry.spacing[1] * geometry.spacing[2]
    height = geometry.spacing[0]
    previous: NDArray[np.bool_] | None = None
    length, below_carina = 0.0, 0.0
    for k in range(dark.shape[0] - 1, -1, -1):
        discs, count = ndimage.label(dark[k])
        areas = np.bincount(discs.ravel(), minlength=count + 1) * pixel
        small = [n for n in range(1, count + 1) if rules.airway_mm2[0] <= areas[n] <= rules.airway_mm2[1]]
        if previous is None:
            away = {n: abs(np.nonzero(discs == n)[1].mean() - column[k]) * geometry.spacing[2] for n in small}
            small = [n for n in small if away[n] <= rules.airway_off_middle_mm]
        else:
            small = [n for n in small if bool(np.any(previous & (discs == n)))]
        if not small:
            if length >= _TRACHEA_MM:
                break
            previous, length, below_carina = None, 0.0, 0.0
            continue
        length += height
        if below_carina or (len(small) > 1 and length >= _TRACHEA_MM):
            below_carina += height
        if below_carina > _MAIN_BRONCHI_MM:
            break
        previous = np.isin(discs, small)
        found[k] = previous
    return np.asarray(ndimage.binary_dilation(found), dtype=bool)
