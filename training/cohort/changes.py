"""Whether the data are still what was frozen, and what sets two cohorts apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imaging.errors import UsageError
from training.cohort.build import Progress, record_of
from training.cohort.cases import files_below
from training.cohort.members import Cohort, FileRecord, Member
from training.cohort.refusals import Refusal, RefusalKind


@dataclass(frozen=True)
class Verification:
    """What hashing every file again has shown.

    Parameters
    ----------
    files
        How many files the manifest names.
    refusals
        GONE and CHANGED, one a file.
    unlisted
        Files in the sources' folders that the manifest doesn't name: no part of the cohort.
    """

    files: int
    refusals: tuple[Refusal, ...]
    unlisted: tuple[str, ...]


def verify(cohort: Cohort, data: Path, on_progress: Progress | None = None) -> Verification:
    """Hash every file of the manifest again.

    Raises
    ------
    UsageError
        There is no such data folder.
    """
    if not data.is_dir():
        raise UsageError(f"{data} is no folder; give --data, or set RAYSIGHT_TRAINING_DATA, to where the data lie")
    tell = on_progress or (lambda _what, _share: None)
    work: dict[FileRecord, list[str]] = {}  # a file may hold many cases
    for member in cohort.members:
        for file in member.files:
            work.setdefault(file, []).append(member.case)
    refusals = []
    for done, (file, cases) in enumerate(work.items()):
        tell(f"hashing {file.path}", done / len(work))
        if refusal := _changed(tuple(cases), file, data):
            refusals.append(refusal)
    named = {file.path for file in work}
    there = [path for s in cohort.sources for path in files_below(data / s.folder)]
    unlisted = [name for name in (path.relative_to(data).as_posix() for path in there) if name not in named]
    tell("done", 1.0)
    return Verification(len(work), tuple(refusals), tuple(dict.fromkeys(unlisted)))


def _changed(cases: tuple[str, ...], file: FileRecord, data: Path) -> Refusal | None:
    try:
        now = record_of(data / file.path, file.role, data)
    except OSError as error:
        message = f"{file.path} can't be read any more: {error.strerror}"
        return Refusal(RefusalKind.GONE, message, cases)
    if now == file:
        return None
    was, is_now = (f"{f.bytes:,} bytes with sha256 {f.sha256[:12]}…" for f in (file, now))
    return Refusal(RefusalKind.CHANGED, f"{file.path} was {was}, now it is {is_now}", cases)


@dataclass(frozen=True)
class Move:
    """A case whose side has changed: what was tested may now be trained on."""

    before: Member
    after: Member


@dataclass(frozen=True)
class Difference:
    """What sets cohort B apart from cohort A.

    Parameters
    ----------
    added, removed
        Cases that only B, only A has.
    changed
        Cases, as in B, whose files or subject are others.
    moved
        Cases on another side: an alarm.
    """

    added: tuple[Member, ...]
    removed: tuple[Member, ...]
    changed: tuple[Member, ...]
    moved: tuple[Move, ...]


def diff(a: Cohort, b: Cohort) -> Difference:
    """Compare two cohorts, case by case."""
    old, new = ({(m.source, m.case): m for m in cohort.members} for cohort in (a, b))
    both = [(old[key], member) for key, member in new.items() if key in old]
    return Difference(
        added=tuple(m for key, m in new.items() if key not in old),
        removed=tuple(m for key, m in old.items() if key not in new),
        changed=tuple(
            after for before, after in both if (before.files, before.subject) != (after.files, after.subject)
        ),
        moved=tuple(Move(before, after) for before, after in both if before.side != after.side),
    )
