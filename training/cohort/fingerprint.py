"""A fingerprint by which an altered copy of a volume is still known.

The volume is brought to 32 × 32 × 32 cells over its own extent; its grey values are replaced by their ranks; a Hann
window takes the border's weight away; and of its lowest spatial frequencies (up to 8 periods along the extent) the
*phases* are kept, in sixteenths of a turn. Brightness, contrast and any rising grey-scale mapping leave ranks alone;
noise, coarser grey levels and compression hardly touch low frequencies; a mirror image has the same phases at
mirrored frequencies; and a shift turns each phase by an angle that is known for each trial shift. So two
fingerprints are compared under 8 mirrorings and small shifts, without the images (phase-only correlation: Kuglin and
Hines 1975, Proc. IEEE Conf. Cybernetics and Society, 163-165).

How well that tells copies from other subjects, and why the threshold is what it is: `docs/training.md`.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Phases = NDArray[np.complex64]

CELLS = 32
PERIODS = 8
THRESHOLD = 0.72
"""At or above this similarity two images are near duplicates."""

FEWEST_VOXELS = 8
_LEVELS = 4096  # grey levels before ranking, so that rounding noise makes no order among equal values
_TURN = 16
_COARSE_PERIODS = 5
_SHIFTS = np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=3)), dtype=float)
_FINE_SHIFTS = np.array(list(itertools.product((-1, -0.5, 0, 0.5, 1), repeat=3)))
_WORTH_REFINING = 0.55
_ROWS_AT_ONCE = 32


def fingerprint(volume: NDArray[Any]) -> str:
    """The fingerprint of a volume.

    Parameters
    ----------
    volume
        [slice, row, column], at least 8 voxels along each axis; in any unit.

    Returns
    -------
    fingerprint
        1,054 phases of 4 bits each, as base64 (704 characters).

    Raises
    ------
    ValueError
        It is no such volume, holds a value that is no number, or is the same everywhere.
    """
    if volume.ndim != 3 or min(volume.shape) < FEWEST_VOXELS:
        raise ValueError(f"a volume of {FEWEST_VOXELS} voxels along each axis is needed, not {volume.shape}")
    slices, rows, columns = (_resampling(voxels) for voxels in volume.shape)
    small = np.stack([rows @ one.astype(np.float64) @ columns.T for one in volume])
    cells = np.einsum("cs,srk->crk", slices, small)
    low, range_ = cells.min(), np.ptp(cells)
    if not np.isfinite(range_):
        raise ValueError("it holds values that are no numbers")
    if range_ == 0:
        raise ValueError("it is the same everywhere")
    window = _window()
    ranks = _ranks(np.round((cells - low) / range_ * _LEVELS))
    ranks = (ranks - np.average(ranks, weights=window)) * window
    waves = np.exp(-2j * np.pi * np.outer(np.arange(-PERIODS, PERIODS + 1), (np.arange(CELLS) + 0.5) / CELLS - 0.5))
    spectrum = ranks
    for _ in range(3):  # one axis after the other, each time the first
        spectrum = np.einsum("fi,ijk->jkf", waves, spectrum)
    phases = np.angle(spectrum[tuple((_frequencies() + PERIODS).T)])
    steps = (np.round(phases / (2 * np.pi) * _TURN).astype(int) % _TURN).astype(np.uint8)
    return base64.b64encode((steps[::2] << 4 | steps[1::2]).tobytes()).decode()


def similarities(these: Sequence[str], those: Sequence[str]) -> NDArray[np.float32]:
    """How alike the images behind two sets of fingerprints are.

    Returns
    -------
    similarity
        [these, those], 0 to 1: the mean cosine between phases, under the mirroring and the shift (up to 3/32 of the
        extent along each axis) that agree best, and without regard to sign (an inverted grey scale is a copy too).

    Raises
    ------
    ValueError
        A text that is no fingerprint.
    """
    left, right = _unpacked(these), _unpacked(those)
    mirrored = np.stack([_mirrored(right, axes) for axes in itertools.product((1, -1), repeat=3)])
    found = np.zeros((len(left), len(right)), dtype=np.float32)
    for start in range(0, len(left), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        found[rows] = _similarities(left[rows], mirrored)
    return found


def _similarities(left: Phases, mirrored: Phases) -> NDArray[np.float32]:
    """Coarsely over all mirrorings and shifts; wholly at the best of them; and around it where that is promising."""
    turns, nearby = _turns(_SHIFTS), _turns(_FINE_SHIFTS)
    which = _best_trials(left, mirrored, turns)
    columns = np.arange(which.shape[1])
    found = np.zeros(which.shape, dtype=np.float32)
    for row, trials in enumerate(which):
        mirroring, shift = np.divmod(trials, len(turns))
        turned, other = left[row] * turns[shift], mirrored[mirroring, columns]
        found[row] = np.abs((turned.real * other.real + turned.imag * other.imag).mean(axis=1))
        for column in np.flatnonzero(found[row] >= _WORTH_REFINING):
            agreement = (nearby @ (turned[column] * other[column].conj())).real
            found[row, column] = np.abs(agreement).max() / other.shape[1]
    return np.minimum(found, 1)


def _best_trials(left: Phases, mirrored: Phases, turns: Phases) -> NDArray[np.intp]:
    """[left, right]: number of the mirroring and shift at which the lower frequencies agree best."""
    coarse = (_frequencies() ** 2).sum(axis=1) <= _COARSE_PERIODS**2
    turned = left[:, coarse] * turns[:, None, coarse]  # [shift, left, frequency]
    best = np.full((len(left), mirrored.shape[1]), -1, dtype=np.float32)
    which = np.zeros(best.shape, dtype=np.intp)
    for mirroring, other in enumerate(mirrored):
        agreement = np.abs(_real(turned) @ _real(other[:, coarse]).T)  # [shift, left, right]
        shift = agreement.argmax(axis=0)
        agreement = np.take_along_axis(agreement, shift[None], axis=0)[0]
        better = agreement > best
        best[better] = agreement[better]
        which[better] = mirroring * len(turns) + shift[better]
    return which


def _real(phases: Phases) -> NDArray[np.float32]:
    """Real and imaginary part side by side: their dot product is the real part of the complex one."""
    return np.concatenate([phases.real, phases.imag], axis=-1)


def _turns(shifts: NDArray[np.float64]) -> Phases:
    """[shift, frequency]: what a shift by so many cells does to each phase."""
    return np.asarray(np.exp(2j * np.pi / CELLS * (shifts @ _frequencies().T)), dtype=np.complex64)


def _mirrored(phases: Phases, axes: tuple[int, ...]) -> Phases:
    """The fingerprints of the mirrored images; an axis is mirrored where ``axes`` is -1.

    Only one of each pair of opposite frequencies is kept: the other's phase is the negative of it.
    """
    number = {frequency: place for place, frequency in enumerate(map(tuple, _frequencies().tolist()))}
    wanted = [tuple(f) for f in (_frequencies() * axes).tolist()]
    places = [number[f] if f in number else number[tuple(-part for part in f)] for f in wanted]
    return np.where([f in number for f in wanted], phases[:, places], phases[:, places].conj())


def _unpacked(texts: Sequence[str]) -> Phases:
    """[fingerprint, frequency]: the phases as complex numbers of magnitude 1."""
    steps = np.zeros((len(texts), len(_frequencies())), dtype=np.uint8)
    for row, text in zip(steps, texts, strict=True):
        try:
            packed = np.frombuffer(base64.b64decode(text, validate=True), dtype=np.uint8)
        except ValueError:
            packed = np.zeros(0, dtype=np.uint8)
        if len(packed) * 2 != len(row):
            raise ValueError(f"{text[:16]!r} … is no fingerprint of this kind")
        row[::2], row[1::2] = packed >> 4, packed & 15
    return np.asarray(np.exp(2j * np.pi / _TURN * steps), dtype=np.complex64)


@cache
def _frequencies() -> NDArray[np.int64]:
    """[frequency, axis]: periods along the extent, one of each pair of opposites."""
    near = itertools.product(range(-PERIODS, PERIODS + 1), repeat=3)
    return np.array([f for f in near if sum(c * c for c in f) <= PERIODS**2 and f > (0, 0, 0)])


@cache
def _window() -> NDArray[np.float64]:
    one = np.sin(np.pi * (np.arange(CELLS) + 0.5) / CELLS) ** 2
    return np.asarray(one[:, None, None] * one[:, None] * one)


def _resampling(voxels: int) -> NDArray[np.float64]:
    """[cell, voxel]: weights of voxels in each cell, a triangle as wide as two cells or two voxels."""
    centres = (np.arange(CELLS) + 0.5) * voxels / CELLS - 0.5
    distance = np.abs(np.arange(voxels) - centres[:, None]) / max(1.0, voxels / CELLS)
    weights = np.maximum(0, 1 - distance)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank of each value; equal values share the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - count / 2)[place].reshape(values.shape))
