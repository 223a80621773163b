"""How a piece becomes part of the ground. Two ways: one to train with, one of another kind to test with."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.linalg import cg

from training.insertion.ground import DENSE_HU
from training.insertion.piece import Sampled


class Blend(Protocol):
    """Puts a piece into a cube of the ground of the same shape."""

    def __call__(self, ground: NDArray[np.float32], piece: Sampled, spacing: float) -> NDArray[np.float32]: ...


class Feathered:
    """Mixes piece and ground, from all piece inside to all ground a few mm outside. For training.

    Parameters
    ----------
    inner, feather
        The piece reaches ``inner`` mm beyond its mask, and fades over the next ``feather`` mm.
    """

    def __init__(self, inner: float, feather: float) -> None:
        self._inner, self._feather = inner, feather

    def __call__(self, ground: NDArray[np.float32], piece: Sampled, spacing: float) -> NDArray[np.float32]:
        outside = ndimage.distance_transform_edt(~piece.body) * spacing
        weight = np.clip(1 - (outside - self._inner) / self._feather, 0, 1).astype(np.float32)
        return _over(ground, ground + weight * (piece.hu - ground), piece)


class Seamless:
    """Keeps the piece's gradients and, at the seam, the ground's values: Poisson editing (Pérez et al. 2003).

    Only where both are lung: a vessel or wall that the other lacks would spread over the whole piece.

    Parameters
    ----------
    inner
        The seam lies so far outside the mask, mm.
    """

    def __init__(self, inner: float = 2.0) -> None:
        self._inner = inner

    def __call__(self, ground: NDArray[np.float32], piece: Sampled, spacing: float) -> NDArray[np.float32]:
        inside = ndimage.distance_transform_edt(~piece.body) * spacing <= self._inner
        for axis in range(3):  # the seam needs ground on every side
            ends = [slice(None)] * 3
            for end in (0, -1):
                ends[axis] = slice(end, end + 1 or None)
                inside[tuple(ends)] = False
        alike = (ground <= DENSE_HU) & (piece.hu <= DENSE_HU)
        correction = _membrane(inside, (ground - piece.hu).astype(np.float64), alike)
        blended = np.where(inside, piece.hu + correction, ground).astype(np.float32)
        return _over(ground, blended, piece)


def _over(ground: NDArray[np.float32], blended: NDArray[np.float32], piece: Sampled) -> NDArray[np.float32]:
    """Vessels and wall of the ground stay where the nodule isn't: no air is put over them."""
    stays = ~piece.body & (ground > DENSE_HU)
    return np.where(stays, np.maximum(ground, blended), blended)


def _membrane(
    inside: NDArray[np.bool_], border: NDArray[np.float64], counts: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Smooth inside (Laplace's equation), next to it ``border`` where that counts, free where not; 0 elsewhere."""
    number = np.full(inside.shape, -1)
    count = int(np.count_nonzero(inside))
    number[inside] = np.arange(count)
    where = np.argwhere(inside)
    right = np.zeros(count)
    weight = np.full(count, 1e-6)  # where no border counts nothing is corrected
    rows, columns = [], []
    for axis in range(3):
        for step in (-1, 1):
            beside = where.copy()
            beside[:, axis] += step
            index = tuple(beside.T)
            other = number[index]
            known, linked = (other < 0) & counts[index], other >= 0
            right[known] += border[index][known]
            weight += known | linked
            rows.append(np.flatnonzero(linked))
            columns.append(other[linked])
    row, column = np.concatenate(rows), np.concatenate(columns)
    diagonal = np.arange(count)
    matrix = coo_array(
        (
            np.concatenate([weight, np.full(len(row), -1.0)]),
            (np.concatenate([diagonal, row]), np.concatenate([diagonal, column])),
        ),
        shape=(count, count),
    ).tocsr()
    start = right.sum() / max(np.count_nonzero(right), 1)
    solution, _ = cg(matrix, right, x0=np.full(count, start), rtol=1e-3, maxiter=300)
    result = np.zeros(inside.shape)
    result[inside] = solution
    return result
