"""The lung sets that hold many cases in one file: boxes, 2-D candidates, exams.

Their cases are no whole volumes, so they have no fingerprint; that two of them are the same is told by their bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from imaging.errors import CohortError
from training.cohort.cases import Case, Found, in_order
from training.cohort.description import LidcVoi
from training.cohort.members import FileRole
from training.cohort.refusals import Refusal, RefusalKind
from training.lidc import candidates, exams, voi
from training.lidc.annotations import Readers

Files = tuple[tuple[FileRole, Path], ...]


def find_voi(source: LidcVoi, data: Path) -> Found:
    """A case for each nodule, but for those of a scan that the fold table leaves out."""
    folder = data / source.folder
    files = (*_pack(folder, voi.FILES), (FileRole.LABEL, data / source.readers))
    try:
        boxes = voi.load_voi(folder)
        known = {scan.series for scan in Readers(data / source.readers).scans}
        used = [box for box in boxes if box.fold is not None]
        cases = [Case(box.key, box.patient, files, None, box.fold) for box in used]
        unread = [box.key for box in used if box.series not in known]
    except CohortError as error:
        return _unreadable(error)
    refusals = [Refusal(RefusalKind.NO_PARTNER, f"{key}: {source.readers} lacks its scan", (key,)) for key in unread]
    refusals += _copies((box.key, box.patient, sha256(box.hu.tobytes()).hexdigest()) for box in used)
    return Found(in_order(cases), tuple(refusals))


def find_candidates(folder: Path) -> Found:
    """A case for each patient, or range of scans where the patient isn't known."""
    files = _pack(folder, candidates.FILES)
    try:
        found = candidates.load_candidates(folder)
    except CohortError as error:
        return _unreadable(error)
    folds: dict[str, set[int]] = defaultdict(set)
    for one in found:
        folds[one.group].add(one.fold)
    cases = [Case(group, group, files, None, min(its)) for group, its in folds.items()]
    refusals = [
        Refusal(RefusalKind.SAME_SUBJECT, f"{group} stands in folds {sorted(its)}: leave the patches out", (group,))
        for group, its in folds.items()
        if len(its) > 1
    ]
    refusals += _copies((one.group, one.group, sha256(found.encoded(one)).hexdigest()) for one in found)
    return Found(in_order(cases), tuple(refusals))


def find_exams(folder: Path) -> Found:
    """A case for each exam."""
    try:
        found = exams.load_exams(folder)
    except CohortError as error:
        return _unreadable(error)
    files = _pack(folder, exams.FILES)
    cases = [Case(exam, exam, files, None) for exam in sorted({one.exam for one in found})]
    copies = _copies(
        (one.exam, one.exam, sha256(picture.tobytes()).hexdigest()) for one in found for picture in one.slices
    )
    return Found(in_order(cases), tuple(copies))


def _pack(folder: Path, names: Iterable[str]) -> Files:
    return tuple((FileRole.PACK, folder / name) for name in names)


def _copies(items: Iterable[tuple[str, str, str]]) -> list[Refusal]:
    """Equal content, given as (case, subject, digest), under two subjects."""
    first: dict[str, tuple[str, str]] = {}
    refusals = []
    for case, subject, digest in items:
        other, its = first.setdefault(digest, (case, subject))
        if its != subject:
            message = f"{other} and {case} hold the same image under two subjects: leave one out"
            refusals.append(Refusal(RefusalKind.SAME_FILE, message, (other, case)))
    return refusals


def _unreadable(error: CohortError) -> Found:
    return Found((), (Refusal(RefusalKind.UNREADABLE, str(error)),))
