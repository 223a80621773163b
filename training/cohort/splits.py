"""Which side a subject stands on: by a keyed hash of its name, so that a subject who is added moves nobody."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from training.cohort.members import DEVELOPMENT, Assignment, Split


def place(seed: str, what: str, person: tuple[str, str]) -> float:
    """A number in [0, 1) that depends on its arguments alone: HMAC-SHA256 keyed by the seed, its first 52 bits.

    Parameters
    ----------
    what
        What is drawn; a subject's fold is independent of its split.
    """
    digest = hmac.digest(seed.encode(), "/".join((what, *person)).encode(), "sha256")
    return (int.from_bytes(digest[:8], "big") >> 12) / (1 << 52)


def side_of(person: tuple[str, str], rule: Assignment) -> tuple[Split, int | None]:
    """Split and fold of a subject.

    Parameters
    ----------
    person
        Source and subject.

    Returns
    -------
    split, fold
        The fold is None outside the development splits.
    """
    split = rule.locked.get("/".join(person)) or _split(place(rule.seed, "split", person), rule.shares)
    fold = fold_by_hash(person, rule.seed, rule.folds) if split in DEVELOPMENT else None
    return split, fold


def fold_by_hash(person: tuple[str, str], key: str, folds: int) -> int:
    """Fold of a subject where all are cut into folds."""
    return int(place(key, "fold", person) * folds)


def _split(at: float, shares: Mapping[Split, float]) -> Split:
    upper = 0.0
    for split in Split:
        upper += shares[split]
        if at < upper:
            return split
    # the shares add up to 1 but for rounding: the last one that has any
    return next(s for s in reversed(Split) if shares[s] > 0)
