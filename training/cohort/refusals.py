"""Why a cohort is refused: typed, and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from imaging.errors import CohortError


class RefusalKind(StrEnum):
    """Kinds of refusal."""

    APPROVAL = "approval"
    NO_FILES = "no files"
    FOREIGN_FILE = "foreign file"
    NOT_DEIDENTIFIED = "not de-identified"
    UNREADABLE = "unreadable"
    NO_PARTNER = "image or label missing"
    GEOMETRY = "label lies elsewhere"
    CLASSES = "label holds an undeclared value"
    NO_SUBJECT = "subject unknown"
    PINNED = "pinned wrongly"
    EMPTY_SPLIT = "split without subjects"
    SAME_FILE = "same file on both sides"
    NEAR_DUPLICATE = "near-duplicate image on both sides"
    SAME_SUBJECT = "same subject on both sides"
    GONE = "file gone"
    CHANGED = "file changed"


@dataclass(frozen=True)
class Refusal:
    """One reason.

    Parameters
    ----------
    message
        What is wrong and what can be done.
    cases
        The cases that it is about; none when it is about the whole.
    """

    kind: RefusalKind
    message: str
    cases: tuple[str, ...] = ()


class CohortRefusal(CohortError):
    """A cohort that may not be used; ``refusals`` says why."""

    def __init__(self, name: str, refusals: Sequence[Refusal]) -> None:
        first, rest = refusals[0], len(refusals) - 1
        more = f" (and {rest} more {'reason' if rest == 1 else 'reasons'})" if rest else ""
        super().__init__(f"cohort {name} is refused: {first.message}{more}")
        self.refusals = tuple(refusals)
