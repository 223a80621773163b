"""Answers as the coded assessments that a finding carries.

Lung-RADS has RadLex codes. No standard scheme codes the rows of Fleischner 2017 or BTS 2015 (SNOMED CT has concepts
of recommendations, which are never written), so a row's own id is its code in the private scheme 99RAYSIGHT.
"""

from __future__ import annotations

from collections.abc import Iterable

from imaging import codes
from imaging.codes import Code
from imaging.reading import Assessment
from pipelines.lung_nodule.guidelines import bts, fleischner, lung_rads
from pipelines.lung_nodule.guidelines.answer import Answer, Status

SCHEME = "99RAYSIGHT"
_CATEGORIES = {
    "2": codes.LUNG_RADS_2,
    "3": codes.LUNG_RADS_3,
    "4A": codes.LUNG_RADS_4A,
    "4B": codes.LUNG_RADS_4B,
    "4X": codes.LUNG_RADS_4X,
}
_ROWS = {
    row.id: Code(row.id, SCHEME, f"{guideline}, table row {row.id.split('-', 1)[1]}")
    for guideline, rows in ((fleischner.GUIDELINE, fleischner.ROWS), (bts.GUIDELINE, bts.ALL_ROWS))
    for row in rows
}


def assessments(answer: Answer) -> tuple[Assessment, ...]:
    """The answer as an assessment of its nodule; none unless it is determined.

    Category 1 is not coded: its code says that an examination shows no nodule. The words say what was found.
    """
    category = answer.category
    if answer.status is not Status.DETERMINED or category is None:
        return ()
    if answer.guideline == lung_rads.GUIDELINE:
        code = _CATEGORIES.get(category)
        return () if code is None else (Assessment(codes.LUNG_RADS, code, answer.words),)
    return (Assessment(codes.ASSESSMENT_CATEGORY, _ROWS[category], answer.words),)


def lung_rads_category(given: Iterable[Assessment]) -> str | None:
    """The Lung-RADS category among a finding's assessments, as the table names it."""
    names = {code.value: name for name, code in _CATEGORIES.items()}
    return next((names.get(a.value.value) for a in given if a.concept == codes.LUNG_RADS), None)
