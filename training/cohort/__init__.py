"""Cohorts: a manifest that freezes what a run may see, split by subject and checked for leaks."""

from training.cohort.build import build_cohort, require
from training.cohort.changes import Difference, Verification, diff, verify
from training.cohort.description import CohortDescription, load_description
from training.cohort.leaks import Leak, leaks
from training.cohort.manifest import load_cohort, to_gzip
from training.cohort.members import Approval, Cohort, FileRecord, FileRole, Member, Split, Use
from training.cohort.refusals import CohortRefusal, Refusal, RefusalKind
from training.cohort.shelf import CohortShelf

__all__ = [
    "Approval",
    "Cohort",
    "CohortDescription",
    "CohortRefusal",
    "CohortShelf",
    "Difference",
    "FileRecord",
    "FileRole",
    "Leak",
    "Member",
    "Refusal",
    "RefusalKind",
    "Split",
    "Use",
    "Verification",
    "build_cohort",
    "diff",
    "leaks",
    "load_cohort",
    "load_description",
    "require",
    "to_gzip",
    "verify",
]
