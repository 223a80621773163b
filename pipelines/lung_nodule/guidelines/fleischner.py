"""Fleischner Society 2017 for one incidental nodule.

Source: MacMahon et al., Radiology 2017;284:228, doi 10.1148/radiol.2017161659 (table 1); measuring: Bankier et al.,
Radiology 2017;285:584. The journal's own table was not at hand. Checked in other copies: every row, its sizes and the
exclusions (Radiopaedia, PMC6784443 table 4, PMC7177089 table 2; subsolid rows also in a copy of the paper's text);
rounding and growth of 2 mm in secondary sources only.

The diameter is the mean of both axes on the one image with the largest extent, to whole mm, half up: 5.5 mm is 6. It
decides, not the volume that the table gives beside it. Single and multiple are counted among solid nodules for a
solid one, among subsolid nodules for a subsolid one. Several nodules each get their own row; the guideline goes by
the most suspicious. A nodule that has grown (2 mm or more) has no row. Perifissural nodules aren't sorted out.

The table is one of recommendations. An answer names the row and never what it recommends.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from pipelines.lung_nodule.guidelines.answer import (
    Answer,
    Exclusion,
    answer_of,
    excluded,
    not_classifiable,
    unreadable,
)
from pipelines.lung_nodule.guidelines.facts import Change, Density, Examination, NoduleFacts, Risk
from pipelines.lung_nodule.guidelines.table import Condition, Fact, Facts, Is, Path, Row, Value, Within, cells, settle

GUIDELINE = "Fleischner 2017"
SINGLE, MULTIPLE = "single", "multiple"

DENSITY = Fact("", missing="density class")
NUMBER = Fact("", missing="number of nodules")
RISK = Fact("risk group", missing="the patient's risk group (low or high)")
DIAMETER = Fact("mean diameter", "mm")
SOLID_PART = Fact("mean diameter of the solid part", "mm")
GROWN = Fact("grown by 2 mm or more", missing="a comparable earlier CT")

_SOLID = Is(DENSITY, (Density.SOLID,))
_PART = Is(DENSITY, (Density.PART_SOLID,))
_NON = Is(DENSITY, (Density.NON_SOLID,))
_SUBSOLID = Is(DENSITY, (Density.PART_SOLID, Density.NON_SOLID))
_SINGLE, _MULTIPLE = Is(NUMBER, (SINGLE,)), Is(NUMBER, (MULTIPLE,))
_LOW, _HIGH = Is(RISK, (Risk.LOW,)), Is(RISK, (Risk.HIGH,))
_UNDER_6, _6_TO_8, _OVER_8 = Within(DIAMETER, below=6), Within(DIAMETER, least=6, most=8), Within(DIAMETER, above=8)
_FROM_6 = Within(DIAMETER, least=6)


def _row(name: str, advice: str, *conditions: Condition) -> Row:
    return Row(f"FL17-{name}", f"FL17-{name}", (*conditions, Is(GROWN, (False,))), advice)


ROWS = (
    _row("S1-LOW-LT6", "no routine follow-up", _SOLID, _SINGLE, _LOW, _UNDER_6),
    _row("S1-HIGH-LT6", "optional CT at 12 months", _SOLID, _SINGLE, _HIGH, _UNDER_6),
    _row("S1-LOW-6-8", "CT at 6-12 months, then consider 18-24 months", _SOLID, _SINGLE, _LOW, _6_TO_8),
    _row("S1-HIGH-6-8", "CT at 6-12 months, then at 18-24 months", _SOLID, _SINGLE, _HIGH, _6_TO_8),
    _row("S1-GT8", "consider CT at 3 months, PET/CT or tissue sampling", _SOLID, _SINGLE, _OVER_8),
    _row("SM-LOW-LT6", "no routine follow-up", _SOLID, _MULTIPLE, _LOW, _UNDER_6),
    _row("SM-HIGH-LT6", "optional CT at 12 months", _SOLID, _MULTIPLE, _HIGH, _UNDER_6),
    _row("SM-LOW-6-8", "CT at 3-6 months, then consider 18-24 months", _SOLID, _MULTIPLE, _LOW, _6_TO_8),
    _row("SM-HIGH-6-8", "CT at 3-6 months, then at 18-24 months", _SOLID, _MULTIPLE, _HIGH, _6_TO_8),
    _row("SM-LOW-GT8", "CT at 3-6 months, then consider 18-24 months", _SOLID, _MULTIPLE, _LOW, _OVER_8),
    _row("SM-HIGH-GT8", "CT at 3-6 months, then at 18-24 months", _SOLID, _MULTIPLE, _HIGH, _OVER_8),
    _row("N1-LT6", "no routine follow-up", _NON, _SINGLE, _UNDER_6),
    _row("N1-GE6", "CT at 6-12 months, then every 2 years until 5 years", _NON, _SINGLE, _FROM_6),
    _row("P1-LT6", "no routine follow-up", _PART, _SINGLE, _UNDER_6),
    _row(
        "P1-GE6",
        "CT at 3-6 months; if persistent, yearly for 5 years",
        _PART,
        _SINGLE,
        _FROM_6,
        Within(SOLID_PART, below=6),
    ),
    _row(
        "P1-GE6-S6",
        "CT at 3-6 months; if persistent, PET/CT, biopsy or resection",
        _PART,
        _SINGLE,
        _FROM_6,
        Within(SOLID_PART, least=6),
    ),
    _row("SSM-LT6", "CT at 3-6 months; if stable, consider 2 and 4 years", _SUBSOLID, _MULTIPLE, _UNDER_6),
    _row("SSM-GE6", "CT at 3-6 months, then by the most suspicious nodule", _SUBSOLID, _MULTIPLE, _FROM_6),
)


def whole(millimetres: float) -> int:
    """A length to whole mm, half up, as Fleischner measures."""
    return int(Decimal(repr(float(millimetres))).quantize(Decimal(1), ROUND_HALF_UP))


def assess(nodule: NoduleFacts, examination: Examination) -> Answer:
    """The table's row for one nodule, if confirmed; or both rows and what is missing."""
    age = examination.age
    exclusions = (
        Exclusion("purpose (screening or not)", examination.screening, "a screening examination"),
        Exclusion("age", None if age is None else age < 35, "the patient is under 35 years"),
        Exclusion("known cancer", examination.known_cancer, "the patient has a known cancer"),
        Exclusion("immunosuppression", examination.immunosuppression, "the patient is immunosuppressed"),
    )
    answer = excluded(GUIDELINE, exclusions) or unreadable(GUIDELINE, nodule, examination)
    if answer is not None:
        return answer
    if nodule.benign_calcification or nodule.fat or nodule.airway or nodule.cyst:
        return not_classifiable(GUIDELINE, "no row is for benign calcification, fat, airway nodules or cysts")
    if nodule.comparison is None:
        return not_classifiable(GUIDELINE, "it isn't known whether there is an earlier CT", "earlier CT")
    if nodule.density is None:
        return not_classifiable(GUIDELINE, "the density class isn't determined", "density class")
    if nodule.mean_largest_image_mm is None:
        return not_classifiable(GUIDELINE, "the mean diameter isn't measured", "mean diameter")
    known: dict[Fact, Value] = {DENSITY: nodule.density, DIAMETER: whole(nodule.mean_largest_image_mm)}
    unknown: dict[Fact, tuple[Value, ...]] = {}
    if nodule.density is Density.SOLID:
        unknown[RISK] = tuple(Risk)
    if nodule.density is Density.PART_SOLID:
        unknown[SOLID_PART] = cells(ROWS, SOLID_PART, largest=float(known[DIAMETER]))
    unknown |= {NUMBER: (SINGLE, MULTIPLE), GROWN: (False, True)}
    known |= _told(nodule, examination)
    if float(known.get(SOLID_PART, 0)) > float(known[DIAMETER]):
        return not_classifiable(GUIDELINE, "the solid part measures more than the whole")
    return answer_of(GUIDELINE, settle(_classify, known, {f: v for f, v in unknown.items() if f not in known}))


def _told(nodule: NoduleFacts, examination: Examination) -> dict[Fact, Value]:
    facts: dict[Fact, Value] = {}
    if nodule.solid_mean_mm is not None:
        facts[SOLID_PART] = whole(nodule.solid_mean_mm)
    if examination.risk is not None:
        facts[RISK] = examination.risk
    number = _number(examination, nodule.density is Density.SOLID)
    if number is not None:
        facts[NUMBER] = number
    if nodule.comparison is not None and nodule.comparison.fleischner is not Change.NOT_COMPARABLE:
        facts[GROWN] = nodule.comparison.fleischner in {Change.GROWING, Change.SLOWLY_GROWING}
    return facts


def _number(examination: Examination, solid: bool) -> str | None:
    """Single or multiple among nodules of the kind; None where it isn't known."""
    if examination.nodules == 1:
        return SINGLE
    subsolid = examination.subsolid_nodules
    if not solid:
        return None if subsolid is None else SINGLE if subsolid == 1 else MULTIPLE
    if examination.nodules is None or subsolid is None:
        return None
    return SINGLE if examination.nodules - subsolid == 1 else MULTIPLE


def _classify(facts: Facts) -> Path:
    return tuple(row for row in ROWS if row.fits(facts))[:1]
