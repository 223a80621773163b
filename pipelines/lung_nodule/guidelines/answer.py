"""What a guideline's table says of one nodule, in words that claim no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipelines.lung_nodule.guidelines.facts import Examination, NoduleFacts
from pipelines.lung_nodule.guidelines.table import Facts, Path, Settled, category_of

THICKEST_MM = 2.5


class Status(StrEnum):
    """How far an answer goes."""

    DETERMINED = "determined"
    """One result, if confirmed."""
    OPEN = "open"
    """Several results, by what is missing."""
    NOT_CLASSIFIABLE = "not classifiable"
    """The guideline applies, but its table can't be read."""
    GUIDELINE_NOT_DETERMINED = "guideline not determined"
    """Whether the guideline applies isn't known, or it doesn't."""


@dataclass(frozen=True)
class Result:
    """One result of a table.

    Parameters
    ----------
    row, category
        The row that decided and what it gives; both None where no row fits.
    words
        The row with the measured values and their cut-offs; when determined, after the rows that led to it.
    """

    row: str | None
    category: str | None
    words: str


@dataclass(frozen=True)
class Answer:
    """What one guideline says of one nodule, if confirmed. Never an examination's category, never an instruction.

    Parameters
    ----------
    guideline
        With its edition.
    results
        One when determined, several when open, else none.
    reason
        Why there is no result.
    missing
        What would have to be known for one result.
    not_judged
        What could still raise the category and wasn't told.
    """

    guideline: str
    status: Status
    results: tuple[Result, ...] = ()
    reason: str = ""
    missing: tuple[str, ...] = ()
    not_judged: tuple[str, ...] = ()

    @property
    def category(self) -> str | None:
        """The one category; None unless determined."""
        return self.results[0].category if self.status is Status.DETERMINED else None

    @property
    def row(self) -> str | None:
        """The one row that decided; None unless determined."""
        return self.results[0].row if self.status is Status.DETERMINED else None

    @property
    def words(self) -> str:
        """One sentence for people."""
        told = "; or ".join(_told(result) for result in self.results)
        if self.status is Status.DETERMINED:
            sentence = f"{self.guideline}, this nodule, if confirmed: {told}"
        elif self.status is Status.OPEN:
            sentence = f"{self.guideline}, this nodule, if confirmed, not settled: {told}"
        else:
            sentence = f"{self.guideline}: {self.status}: {self.reason}"
        for name, points in (("missing", self.missing), ("not judged", self.not_judged)):
            sentence += f"; {name}: {', '.join(points)}" if points else ""
        return f"{sentence}."


def _told(result: Result) -> str:
    if result.row is None:
        return result.words
    category = "" if result.category == result.row else f"category {result.category}, "
    return f"{category}row {result.row} ({result.words})"


def answer_of(guideline: str, settled: Settled, not_judged: Sequence[str] = ()) -> Answer:
    """The answer of all readings of a table: one result where they agree."""
    paths, known = settled.paths, settled.known
    categories = {category_of(path) for path in paths}
    if categories == {None}:
        return not_classifiable(guideline, "no row of the table covers this nodule")
    if len(categories) == 1:
        words = "; then ".join(row.words(known) for row in paths[0])
        result = Result(paths[0][-1].id, category_of(paths[0]), words)
        return Answer(guideline, Status.DETERMINED, (result,), not_judged=tuple(not_judged))
    results = tuple(dict.fromkeys(_result(path, known) for path in paths))
    missing = tuple(fact.missing or fact.name for fact in settled.missing)
    return Answer(guideline, Status.OPEN, results, missing=missing, not_judged=tuple(not_judged))


def _result(path: Path, known: Facts) -> Result:
    if not path:
        return Result(None, None, "no row of the table")
    return Result(path[-1].id, category_of(path), path[-1].words(known))


def not_classifiable(guideline: str, reason: str, *missing: str) -> Answer:
    """The table can't be read."""
    return Answer(guideline, Status.NOT_CLASSIFIABLE, reason=reason, missing=missing)


def not_applied(guideline: str, reason: str, *missing: str) -> Answer:
    """The guideline doesn't apply, or it isn't known whether it does."""
    return Answer(guideline, Status.GUIDELINE_NOT_DETERMINED, reason=reason, missing=missing)


@dataclass(frozen=True)
class Exclusion:
    """What keeps a guideline from being applied.

    Parameters
    ----------
    name
        What is missing where it isn't known.
    holds
        None where it isn't known.
    reason
        In words, where it holds.
    """

    name: str
    holds: bool | None
    reason: str


def excluded(guideline: str, exclusions: Sequence[Exclusion]) -> Answer | None:
    """The first exclusion that holds, else all that aren't known; None where every one is known to be absent."""
    for exclusion in exclusions:
        if exclusion.holds:
            return not_applied(guideline, exclusion.reason)
    unknown = [exclusion.name for exclusion in exclusions if exclusion.holds is None]
    if unknown:
        return not_applied(guideline, "its exclusions aren't all known to be absent", *unknown)
    return None


def unreadable(guideline: str, nodule: NoduleFacts, examination: Examination) -> Answer | None:
    """Why no table can be read: slices over 2.5 mm, a partial lung, unknown calcification; None when one can."""
    thickness = examination.thickness_mm
    if thickness is None:
        return not_classifiable(guideline, "the slice thickness isn't known", "slice thickness")
    if thickness > THICKEST_MM:
        return not_classifiable(guideline, f"slices of {thickness:g} mm are thicker than {THICKEST_MM:g} mm")
    if examination.whole_lung is None:
        return not_classifiable(guideline, "it isn't known whether the whole lung is covered", "lung coverage")
    if not examination.whole_lung:
        return not_classifiable(guideline, "the lung isn't covered completely")
    if nodule.benign_calcification is None:
        return not_classifiable(guideline, "the calcification pattern isn't known", "calcification pattern")
    return None
