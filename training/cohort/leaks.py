"""What stands on both sides of a split: the same file, a near-duplicate image, or the same subject."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from training.cohort.fingerprint import THRESHOLD, similarities
from training.cohort.members import FileRole, Member
from training.cohort.refusals import Refusal, RefusalKind


@dataclass(frozen=True)
class Leak:
    """A case that has been seen, and the tested one that it gives away.

    Parameters
    ----------
    kind
        SAME_FILE, NEAR_DUPLICATE or SAME_SUBJECT.
    similarity
        Of the images, 0 to 1, for a near duplicate; else None.
    """

    kind: RefusalKind
    seen: Member
    tested: Member
    similarity: float | None = None

    @property
    def message(self) -> str:
        """The leak in words."""
        first, second = (f"{m.source}/{m.case} ({_where(m)})" for m in (self.seen, self.tested))
        match self.kind:
            case RefusalKind.SAME_FILE:
                return f"{first} and {second} hold the same image file"
            case RefusalKind.NEAR_DUPLICATE:
                return f"{first} and {second} show the same image (similarity {self.similarity:.2f} ≥ {THRESHOLD})"
            case _:
                return f"{first} and {second} are of the same subject, {self.seen.subject}"

    @property
    def refusal(self) -> Refusal:
        """The leak as a reason to refuse a cohort."""
        advice = "leave one out, or give both the same subject"
        return Refusal(self.kind, f"{self.message}: {advice}", (self.seen.case, self.tested.case))


def leaks(seen: Sequence[Member], tested: Sequence[Member]) -> tuple[Leak, ...]:
    """Everything of ``tested`` that a model trained on ``seen`` has met before.

    Parameters
    ----------
    seen
        For a model that trained on one cohort: `Cohort.only` of its development splits, or those of a fold.
    tested
        The cases of the test, from the same cohort or another.

    Returns
    -------
    leaks
        One per pair of cases with the same file or image, the worse of the two; and one per shared subject.
    """
    return _leaks(seen, tested, within=False)


def crossings(members: Sequence[Member]) -> tuple[Leak, ...]:
    """The leaks between the sides of one cohort: its splits, and within development its folds."""
    return _leaks(members, members, within=True)


def _leaks(seen: Sequence[Member], tested: Sequence[Member], *, within: bool) -> tuple[Leak, ...]:
    found = {_pair(leak): leak for leak in _alike(seen, tested, within=within)}
    found |= {_pair(leak): leak for leak in _same_files(seen, tested, within=within)}
    people = _same_subjects(seen, tested, within=within)
    return (*sorted(found.values(), key=lambda leak: (leak.kind != RefusalKind.SAME_FILE, *_pair(leak))), *people)


def _same_files(seen: Sequence[Member], tested: Sequence[Member], *, within: bool) -> Iterable[Leak]:
    holders: dict[str, list[Member]] = {}
    for member in seen:
        for digest in _images(member):
            holders.setdefault(digest, []).append(member)
    for member in tested:
        for other in {id(m): m for digest in _images(member) for m in holders.get(digest, ())}.values():
            if not within or _crossing(other, member):
                yield Leak(RefusalKind.SAME_FILE, other, member)


def _alike(seen: Sequence[Member], tested: Sequence[Member], *, within: bool) -> Iterable[Leak]:
    seen, tested = ([m for m in members if m.fingerprint] for members in (seen, tested))
    table = similarities([m.fingerprint for m in seen], [m.fingerprint for m in tested])
    for row, column in np.argwhere(table >= THRESHOLD):
        one, other = seen[row], tested[column]
        if not within or _crossing(one, other):
            yield Leak(RefusalKind.NEAR_DUPLICATE, one, other, float(table[row, column]))


def _same_subjects(seen: Sequence[Member], tested: Sequence[Member], *, within: bool) -> Iterable[Leak]:
    known: dict[tuple[str, str], Member] = {}
    for member in seen:
        known.setdefault(member.person, member)
    told = set()
    for member in tested:
        other = known.get(member.person)
        if other is None or member.person in told or (within and other.side == member.side):
            continue
        told.add(member.person)
        yield Leak(RefusalKind.SAME_SUBJECT, other, member)


def _crossing(one: Member, other: Member) -> bool:
    """Whether two members of one cohort stand on different sides; each pair is told once."""
    return one.side != other.side and (one.source, one.case) < (other.source, other.case)


def _pair(leak: Leak) -> tuple[str, str, str, str]:
    return leak.seen.source, leak.seen.case, leak.tested.source, leak.tested.case


def _images(member: Member) -> set[str]:
    return {f.sha256 for f in member.files if f.role is FileRole.IMAGE}


def _where(member: Member) -> str:
    return member.split if member.fold is None else f"{member.split}, fold {member.fold}"
