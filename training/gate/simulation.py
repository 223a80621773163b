"""How often the gate says "better" when nothing is, and how often it sees a real gain. Figures for docs/training.md.

`python -m training.gate.simulation` prints the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.evaluation.bootstrap import interval
from training.gate.statistic import Array, sign_flip

EXPERIMENTS = 2_000
RESAMPLES = 4_000


@dataclass(frozen=True)
class Rates:
    """Share of the experiments in which each test, and the two together, said "better"."""

    bootstrap: float
    sign_flip: float
    gate: float


def said_better(sums: Array, counts: Array, *, alpha: float, seed: int = 0) -> Rates:
    """How often the gate's tests say yes.

    Parameters
    ----------
    sums
        [subject, experiment], each subject's differences added up.
    counts
        [subject], cases of each.
    alpha
        One-sided.
    """
    low = interval(sums, counts, 1 - 2 * alpha, RESAMPLES, seed)[0] > 0
    flips = sign_flip(sums) <= alpha
    return Rates(float(low.mean()), float(flips.mean()), float((low & flips).mean()))


def flipped(
    differences: Sequence[float],
    subjects: Sequence[str],
    *,
    gain: float = 0.0,
    experiments: int = EXPERIMENTS,
    seed: int,
) -> tuple[Array, Array]:
    """Experiments in which nothing differs but by chance and ``gain``: every subject's differences get a random sign.

    Returns
    -------
    sums
        [subject, experiment].
    counts
        [subject].
    """
    _, index = np.unique(subjects, return_inverse=True)
    centred = np.asarray(differences, np.float64) - np.mean(differences)
    sums, counts = np.bincount(index, centred), np.bincount(index).astype(np.float64)
    signs = np.random.default_rng(seed).choice((1.0, -1.0), size=(len(sums), experiments))
    return sums[:, None] * signs + gain * counts[:, None], counts


def realistic(seed: int, kind: str, deviation: float = 0.012) -> tuple[list[float], list[str]]:
    """Differences of 32 cases of 23 subjects, as the hippocampus gate has; two cases of one subject are alike.

    Parameters
    ----------
    kind
        ``normal``; ``heavy`` (Student's t of 3 degrees); ``skewed`` (exponential); ``outlier`` (one case fails).
    deviation
        Of a case, in Dice.
    """
    rng = np.random.default_rng(seed)
    subjects = [f"s{n:02d}" for n in range(23) for _ in range(2 if n < 9 else 1)]
    shared = dict(zip(sorted(set(subjects)), _draw(rng, kind, 23), strict=True))
    own = _draw(rng, kind, len(subjects))
    values = [deviation * (0.7 * shared[s] + 0.7 * float(o)) for s, o in zip(subjects, own, strict=True)]
    if kind == "outlier":
        values[-1] -= 0.25
    return values, subjects


def _draw(rng: np.random.Generator, kind: str, size: int) -> Array:
    """Numbers of mean 0 and deviation 1."""
    if kind == "heavy":
        return np.asarray(rng.standard_t(3, size) / np.sqrt(3))
    if kind == "skewed":
        return rng.exponential(size=size) - 1
    return rng.normal(size=size)


def main() -> None:
    """Print the table."""
    print("| Differences | Gain | alpha | Bootstrap | Sign flip | Gate |\n|---|---|---|---|---|---|")
    for kind in ("normal", "heavy", "skewed", "outlier"):
        for gain, alpha in ((0.0, 0.025), (0.0, 0.025 / 3), (0.01, 0.025), (0.02, 0.025), (0.02, 0.025 / 3)):
            each = [
                said_better(*flipped(*realistic(n, kind), gain=gain, seed=n), alpha=alpha, seed=n) for n in range(10)
            ]
            rates = (float(np.mean([getattr(r, name) for r in each])) for name in ("bootstrap", "sign_flip", "gate"))
            print(f"| {kind} | {gain} | {alpha:.4f} | " + " | ".join(f"{100 * r:.2f} %" for r in rates) + " |")


if __name__ == "__main__":
    main()
