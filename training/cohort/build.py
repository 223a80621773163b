"""From a description and a data folder to a frozen cohort, or to every reason why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from imaging.errors import UsageError
from imaging.files import sha256_of
from training.cohort.cases import Case, Refused, refuse
from training.cohort.description import CohortDescription, FoldSplits, SourceDescription
from training.cohort.fingerprint import fingerprint
from training.cohort.layouts import find
from training.cohort.leaks import crossings
from training.cohort.members import Assignment, Cohort, FileRecord, FileRole, Member, Source, Split, Use, natural
from training.cohort.refusals import CohortRefusal, Refusal, RefusalKind
from training.cohort.splits import fold_by_hash, side_of

Progress = Callable[[str, float], None]
"""Told what is being done, and which share (0..1) of the whole is done."""


@dataclass(frozen=True)
class _Reading:
    """One case of one source, and what reading it gave: a member without its side, or why there is none."""

    case: Case
    source: Source
    member: Member | None
    refusal: Refusal | None


def build_cohort(
    description: CohortDescription,
    data: Path,
    *,
    pinned: Mapping[str, Split] | None = None,
    on: date | None = None,
    on_progress: Progress | None = None,
) -> Cohort:
    """Read everything that a description names, give each subject its side, check, and freeze.

    The same description and data give the same cohort, digest included, on any day on which the approval holds.

    Parameters
    ----------
    data
        The folder that the sources' folders lie in.
    pinned
        Cases whose subject's split is fixed by hand.
    on
        The day for which the approval must hold; today when None.

    Raises
    ------
    UsageError
        There is no such data folder.
    CohortRefusal
        The cohort may not be used, with all the reasons that were found. A CohortError.
    """
    if not data.is_dir():
        raise UsageError(f"{data} is no folder; give --data, or set RAYSIGHT_TRAINING_DATA, to where the data lie")
    tell = on_progress or (lambda _what, _share: None)
    objection = description.approval.noun.objection(description.approval.uses[0], on or datetime.now(UTC).date())
    if objection:
        raise CohortRefusal(description.name, [Refusal(RefusalKind.APPROVAL, objection)])
    readings, refusals = _read_all(description, data, tell)
    refusals += [r.refusal for r in readings if r.refusal is not None]
    whole = [(r.case, r.member) for r in readings if r.member is not None]
    assignment, wrongly = _assignment(description, [member for _, member in whole], pinned or {})
    refusals += wrongly
    members = [_placed(case, member, assignment, description) for case, member in whole]
    tell("comparing the sides", 0.95)
    refusals += [leak.refusal for leak in crossings(members)]
    if members and not refusals:
        refusals += _empty_splits(description, members)
    if refusals:
        raise CohortRefusal(description.name, refusals)
    tell("done", 1.0)
    return Cohort(
        name=description.name,
        title=description.title,
        approval=description.approval.noun,
        sources=tuple(_noun(s) for s in description.sources),
        classes=dict(sorted(description.classes.items())),
        assignment=assignment,
        members=tuple(sorted(members, key=lambda m: (m.source, natural(m.case)))),
    )


def require(cohort: Cohort, use: Use, on: date | None = None) -> None:
    """Refuse a use that isn't approved, or isn't any more.

    Raises
    ------
    CohortRefusal
        With the objection.
    """
    if objection := cohort.approval.objection(use, on or datetime.now(UTC).date()):
        raise CohortRefusal(cohort.name, [Refusal(RefusalKind.APPROVAL, objection)])


class Records:
    """Files as they are now, each hashed once."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._known: dict[Path, FileRecord] = {}

    def of(self, path: Path, role: FileRole) -> FileRecord:
        """The record of a file; OSError when it can't be read."""
        if path not in self._known:
            self._known[path] = record_of(path, role, self._data)
        return replace(self._known[path], role=role)


def record_of(path: Path, role: FileRole, data: Path) -> FileRecord:
    """A file as it is now."""
    return FileRecord(role, path.relative_to(data).as_posix(), sha256_of(path), path.stat().st_size)


def _read_all(description: CohortDescription, data: Path, tell: Progress) -> tuple[list[_Reading], list[Refusal]]:
    work: list[tuple[Case, Source]] = []
    refusals: list[Refusal] = []
    for source in description.sources:
        tell(f"looking into {source.folder}", 0.0)
        found = find(source, data, description.classes)
        refusals += found.refusals
        work += [(case, _noun(source)) for case in found.cases]
        if not found.cases and not found.refusals:
            message = f"{source.name}: no images below {data / source.folder} in the layout {source.layout}"
            refusals.append(Refusal(RefusalKind.NO_FILES, message))
    readings = []
    records = Records(data)
    for done, (case, origin) in enumerate(work):
        tell(f"reading {case.name}", 0.95 * done / len(work))
        readings.append(_read(case, origin, records))
    return readings, refusals


def _read(case: Case, source: Source, records: Records) -> _Reading:
    try:
        if case.subject is None:
            message = f"{case.name}: whose it is can't be told: mend the subject's pattern, or the Patient ID"
            raise refuse(RefusalKind.NO_SUBJECT, message, case.name)
        mark = _fingerprint(case)
        files = tuple(records.of(path, role) for role, path in case.files)
    except Refused as refused:
        return _Reading(case, source, None, refused.refusal)
    except OSError as error:
        message = f"{case.name}: {error.filename or 'a file'} can't be read: {error.strerror}"
        return _Reading(case, source, None, Refusal(RefusalKind.UNREADABLE, message, (case.name,)))
    member = Member(case.name, source.name, case.subject, Split.TRAIN, None, files, mark)
    return _Reading(case, source, member, None)


def _fingerprint(case: Case) -> str:
    if case.pixels is None:
        return ""
    pixels = case.pixels()
    try:
        return fingerprint(pixels)
    except ValueError as error:
        message = f"{case.name}: the image has no fingerprint: {error}"
        raise refuse(RefusalKind.UNREADABLE, message, case.name) from None


def _assignment(
    description: CohortDescription, members: list[Member], pinned: Mapping[str, Split]
) -> tuple[Assignment, list[Refusal]]:
    locked: dict[str, Split] = {}
    refusals = []
    people: dict[str, set[str]] = {}
    for member in members:
        people.setdefault(member.case, set()).add("/".join(member.person))
    for case, split in pinned.items():
        who = people.get(case, set())
        if len(who) != 1:
            many = "several sources hold a case of that name" if who else "the data hold no such case"
            refusals.append(Refusal(RefusalKind.PINNED, f"{case} is pinned to {split}, but {many}", (case,)))
        elif locked.setdefault(person := next(iter(who)), split) != split:
            message = f"{case} is pinned to {split}, another case of its subject to {locked[person]}"
            refusals.append(Refusal(RefusalKind.PINNED, message, (case,)))
    rule = description.splits
    return Assignment(rule.seed, rule.shares, rule.folds, dict(sorted(locked.items()))), refusals


def _placed(case: Case, member: Member, rule: Assignment, description: CohortDescription) -> Member:
    splits = description.splits
    if not isinstance(splits, FoldSplits):
        split, fold = side_of(member.person, rule)
    else:
        fold = case.fold if splits.key is None else fold_by_hash(member.person, splits.key, splits.folds)
        split = Split.GATE if fold == splits.gate else Split.TRAIN
    return replace(member, split=split, fold=fold)


def _empty_splits(description: CohortDescription, members: list[Member]) -> list[Refusal]:
    filled = {m.split for m in members}
    empty = [s for s, share in description.splits.shares.items() if share > 0 and s not in filled]
    words = "no subject fell into {}, which has a share: pin a case of one, or add data"
    return [Refusal(RefusalKind.EMPTY_SPLIT, words.format(split)) for split in empty]


def _noun(source: SourceDescription) -> Source:
    return Source(source.name, source.origin, source.licence, source.folder)
