"""Lung-RADS v2022 for one nodule of a screening examination.

Source: American College of Radiology, Lung-RADS v2022 (November 2022); Christensen et al., J Am Coll Radiol
2024;21:473, doi 10.1016/j.jacr.2023.09.009 (also CHEST 2024;165:738).

The ACR's own sheet was not at hand. Checked in other copies: measuring, growth, size thresholds, infection and airway
notes (a copy of the ACR notes); categories 1 and 2 whole and solid category 3 (RadElement RDES267); the sizes in mm
and mm3 (NBK568579, v1.1); v2022's changes (a journal's summary); part-solid, step-down, cyst and airway rows in two
independent programs; the features of 4X in two programs. Not checked against the ACR's text: the wording of the cyst
rows, and 4X, whose list is open ("spiculation, lymph nodes, metastasis, …"). What the table leaves open is left open:

- Growing part-solid: under 6 mm the table names no category by the whole; the solid part decides at any size.
- Growing non-solid of 30 mm or more has no row, nor has a proximal airway nodule that shrank.
- Slow growth over several examinations "may be" 4B, so it is given beside the size's category, never alone.
- New non-solid under 30 mm is 2 (some published code says 3).
- New part-solid with a solid part of 4 mm or more is 4B even under 6 mm: the more suspicious row counts.
- A nodule that fits no step down keeps its earlier category where its size alone would lower it. The table says so
  nowhere; but otherwise an early control would lower more than a timely one.
- A stable juxtapleural nodule is classified as solid: its row is for baseline and new ones.
- 3 months and 6 months are counted as 90 and 180 days.

Category 0 (examination incomplete, prior awaited, infection suspected) and S belong to an examination, not a nodule.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal

from pipelines.lung_nodule.guidelines.answer import Answer, answer_of, not_applied, not_classifiable, unreadable
from pipelines.lung_nodule.guidelines.facts import Airway, Change, Cyst, Density, Examination, NoduleFacts, Shape
from pipelines.lung_nodule.guidelines.table import (
    Condition,
    Fact,
    Facts,
    Is,
    Path,
    Row,
    Value,
    Within,
    category_of,
    cells,
    settle,
)

GUIDELINE = "Lung-RADS v2022"
ORDER = ("1", "2", "3", "4A", "4B", "4X")

BENIGN = Fact("benign calcification or fat")
DENSITY = Fact("", missing="density class")
CHANGE = Fact("", missing="a comparable earlier CT")
DIAMETER = Fact("mean diameter", "mm", digits=1)
SOLID_PART = Fact("mean diameter of the solid part", "mm", digits=1)
JUXTAPLEURAL = Fact("smooth, oval, lentiform or triangular, at the pleura, under 10 mm")
AIRWAY = Fact("", missing="airway")
CYST = Fact("", missing="cyst")
SLOW = Fact("slow growth judged suspicious")
SIZE_CATEGORY = Fact("category by size")
PRIOR = Fact("category at the earlier examination")
INTERVAL = Fact("since the earlier examination", "days", missing="interval to the earlier examination")
PROVEN = Fact("proven benign by work-up", no="not proven benign")
SUSPICIOUS = Fact("spiculation or another suspicious feature")

_KEPT = (Change.STABLE, Change.SHRUNK)
_UNGROWN = Is(CHANGE, (Change.BASELINE, *_KEPT, Change.SLOWLY_GROWING))
_NEW = Is(CHANGE, (Change.NEW,))
_GROWING = Is(CHANGE, (Change.GROWING,))
_NEW_OR_GROWING = Is(CHANGE, (Change.NEW, Change.GROWING))
_FIRST_OR_NEW = (Change.BASELINE, Change.NEW)
_PLAIN = Is(JUXTAPLEURAL, (False,))


def _solid(*conditions: Condition) -> tuple[Condition, ...]:
    return (Is(DENSITY, (Density.SOLID,)), *conditions)


def _part(*conditions: Condition) -> tuple[Condition, ...]:
    return (Is(DENSITY, (Density.PART_SOLID,)), *conditions)


def _non(*conditions: Condition) -> tuple[Condition, ...]:
    return (Is(DENSITY, (Density.NON_SOLID,)), *conditions)


def _d(least: float | None = None, below: float | None = None) -> Within:
    return Within(DIAMETER, least=least, below=below)


def _s(least: float | None = None, below: float | None = None) -> Within:
    return Within(SOLID_PART, least=least, below=below)


_STEADY_NON_SOLID = Is(CHANGE, (*_KEPT, Change.SLOWLY_GROWING))
_CALCIFIED = Row("LR22-1-BENIGN", "1", (Is(BENIGN, (True,)),))
ROWS = (
    Row("LR22-2-PLEURA", "2", _solid(Is(CHANGE, _FIRST_OR_NEW), Is(JUXTAPLEURAL, (True,)))),
    Row("LR22-2-SOLID", "2", _solid(_UNGROWN, _PLAIN, _d(below=6))),
    Row("LR22-3-SOLID", "3", _solid(_UNGROWN, _PLAIN, _d(6, 8))),
    Row("LR22-4A-SOLID", "4A", _solid(_UNGROWN, _PLAIN, _d(8, 15))),
    Row("LR22-4B-SOLID", "4B", _solid(_UNGROWN, _PLAIN, _d(15))),
    Row("LR22-2-SOLID-NEW", "2", _solid(_NEW, _PLAIN, _d(below=4))),
    Row("LR22-3-SOLID-NEW", "3", _solid(_NEW, _PLAIN, _d(4, 6))),
    Row("LR22-4A-SOLID-N", "4A", _solid(_NEW, _PLAIN, _d(6, 8))),
    Row("LR22-4B-SOLID-N", "4B", _solid(_NEW, _PLAIN, _d(8))),
    Row("LR22-4A-SOLID-G", "4A", _solid(_GROWING, _d(below=8))),
    Row("LR22-4B-SOLID-G", "4B", _solid(_GROWING, _d(8))),
    Row("LR22-2-PART", "2", _part(_UNGROWN, _d(below=6))),
    Row("LR22-3-PART", "3", _part(_UNGROWN, _d(6), _s(below=6))),
    Row("LR22-4A-PART", "4A", _part(_UNGROWN, _d(6), _s(6, 8))),
    Row("LR22-4B-PART", "4B", _part(_UNGROWN, _d(6), _s(8))),
    Row("LR22-3-PART-NEW", "3", _part(_NEW, _d(below=6), _s(below=4))),
    Row("LR22-4A-PART-NEW", "4A", _part(_NEW, _d(6), _s(below=4))),
    Row("LR22-4A-PART-G", "4A", _part(_GROWING, _s(below=4))),
    Row("LR22-4B-PART-NG", "4B", _part(_NEW_OR_GROWING, _s(4))),
    Row("LR22-4B-SLOW", "4B", (
        Is(DENSITY, (Density.SOLID, Density.PART_SOLID)), Is(CHANGE, (Change.SLOWLY_GROWING,)), Is(SLOW, (True,)),
    )),
    Row("LR22-2-NON", "2", _non(_d(below=30))),
    Row("LR22-2-NON-KEPT", "2", _non(_STEADY_NON_SOLID, _d(30))),
    Row("LR22-3-NON", "3", _non(Is(CHANGE, _FIRST_OR_NEW), _d(30))),
    Row("LR22-2-AIRWAY", "2", (Is(AIRWAY, (Airway.SUBSEGMENTAL,)),)),
    Row("LR22-4A-AIRWAY", "4A", (Is(AIRWAY, (Airway.PROXIMAL,)), Is(CHANGE, _FIRST_OR_NEW))),
    Row("LR22-4B-AIRWAY", "4B", (
        Is(AIRWAY, (Airway.PROXIMAL,)), Is(CHANGE, (Change.STABLE, Change.SLOWLY_GROWING, Change.GROWING)),
    )),
    Row("LR22-3-CYST", "3", (Is(CYST, (Cyst.CYSTIC_PART_GROWING,)),)),
    Row("LR22-4A-CYST", "4A", (Is(CYST, (Cyst.THICK_WALLED, Cyst.MULTILOCULAR, Cyst.BECAME_MULTILOCULAR)),)),
    Row("LR22-4B-CYST", "4B", (
        Is(CYST, (Cyst.WALL_GROWING, Cyst.MULTILOCULAR_GROWING, Cyst.MORE_LOCULES_OR_OPACITY)),
    )),
)  # fmt: skip
"""By size and kind; of several rows that fit, the most suspicious counts."""

STEPS = (
    Row("LR22-3-TO-2", "2", (
        Is(CHANGE, _KEPT), Is(PRIOR, ("3",)), Within(INTERVAL, least=180), Is(SIZE_CATEGORY, ("2", "3")),
    )),
    Row("LR22-4A-TO-3", "3", (
        Is(CHANGE, _KEPT), Is(PRIOR, ("4A",)), Within(INTERVAL, least=90), Is(SIZE_CATEGORY, ("2", "3", "4A")),
        Is(AIRWAY, ("",)),
    )),
    Row("LR22-4B-TO-2", "2", (Is(CHANGE, _KEPT), Is(PRIOR, ("4B", "4X")), Is(PROVEN, (True,)))),
    Row("LR22-3-STAYS", "3", (Is(PRIOR, ("3",)), Is(SIZE_CATEGORY, ("2",)))),
    Row("LR22-4A-STAYS", "4A", (Is(PRIOR, ("4A",)), Is(SIZE_CATEGORY, ("2", "3")))),
    Row("LR22-4B-STAYS", "4B", (
        Is(PRIOR, ("4B", "4X")), Is(PROVEN, (False,)), Is(SIZE_CATEGORY, ("2", "3", "4A")),
    )),
)  # fmt: skip
"""What becomes of an earlier category: the first row that fits. Without a step down it isn't lowered."""

RAISED = Row("LR22-4X", "4X", (Is(SIZE_CATEGORY, ("3", "4A", "4B")), Is(SUSPICIOUS, (True,))))
ALL_ROWS = (_CALCIFIED, *ROWS, *STEPS, RAISED)


def tenths(millimetres: float) -> float:
    """A length to 0.1 mm, half up, as Lung-RADS measures."""
    return float(Decimal(repr(float(millimetres))).quantize(Decimal("0.1"), ROUND_HALF_UP))


def mean_diameter(long_mm: float, short_mm: float) -> float:
    """Mean of the two axes, each and the mean to 0.1 mm, half up."""
    axes = [Decimal(repr(tenths(axis))) for axis in (long_mm, short_mm)]
    return float((sum(axes, Decimal(0)) / 2).quantize(Decimal("0.1"), ROUND_HALF_UP))


def assess(nodule: NoduleFacts, examination: Examination) -> Answer:
    """The category of one nodule, if confirmed, with the row that decided; or what is missing."""
    if examination.screening is None:
        return not_applied(GUIDELINE, "neither order nor protocol says whether it is screening", "purpose")
    if not examination.screening:
        return not_applied(GUIDELINE, _because("not a screening examination", examination.evidence))
    if (answer := unreadable(GUIDELINE, nodule, examination)) is not None:
        return answer
    if nodule.comparison is None:
        return not_classifiable(GUIDELINE, "it isn't known whether there is an earlier CT", "earlier CT")
    by_size = nodule.airway is None and nodule.cyst is None
    if by_size and nodule.density is None:
        return not_classifiable(GUIDELINE, "the density class isn't determined", "density class")
    if by_size and nodule.mean_any_plane_mm is None:
        return not_classifiable(GUIDELINE, "the mean diameter isn't measured", "mean diameter")
    known = _known(nodule)
    if float(known.get(SOLID_PART, 0)) > float(known.get(DIAMETER, math.inf)):
        return not_classifiable(GUIDELINE, "the solid part measures more than the whole")
    settled = settle(_classify, known, _unknown(nodule, known))
    unjudged = nodule.spiculated is None or nodule.suspicious is None
    raisable = unjudged and any(category_of(path) in {"3", "4A", "4B"} for path in settled.paths)
    return answer_of(GUIDELINE, settled, ("spiculation, nodes, metastasis (4X)",) if raisable else ())


def _because(reason: str, evidence: str) -> str:
    return f"{reason} ({evidence})" if evidence else reason


def _classify(facts: Facts) -> Path:
    if _CALCIFIED.fits(facts):
        return (_CALCIFIED,)
    fitting = [row for row in ROWS if row.fits(facts)]
    if not fitting:
        return ()
    path: Path = (max(fitting, key=lambda row: ORDER.index(row.category)),)
    for table in (STEPS, (RAISED,)):
        now = {**facts, SIZE_CATEGORY: path[-1].category}
        path += tuple(row for row in table if row.fits(now))[:1]
    return path


def _known(nodule: NoduleFacts) -> dict[Fact, Value]:
    facts: dict[Fact, Value] = {BENIGN: bool(nodule.benign_calcification or nodule.fat)}
    facts[SUSPICIOUS] = bool(nodule.spiculated or nodule.suspicious)
    facts[AIRWAY] = nodule.airway or ""
    if nodule.cyst is not None:
        facts[CYST] = nodule.cyst
    if nodule.airway is None and nodule.density is not None and nodule.mean_any_plane_mm is not None:
        facts[DENSITY] = nodule.density
        facts[DIAMETER] = tenths(nodule.mean_any_plane_mm)
        if nodule.solid_mean_mm is not None:
            facts[SOLID_PART] = tenths(nodule.solid_mean_mm)
    seen = nodule.comparison
    if seen is not None:
        if seen.lung_rads is not Change.NOT_COMPARABLE:
            facts[CHANGE] = seen.lung_rads
        facts[PROVEN] = seen.proven_benign
        told = {INTERVAL: seen.interval_days, PRIOR: seen.prior_category}
        facts |= {fact: value for fact, value in told.items() if value is not None}
    small = DIAMETER in facts and float(facts[DIAMETER]) < 10 and facts.get(DENSITY) is Density.SOLID
    first = seen is not None and seen.lung_rads in _FIRST_OR_NEW
    if not (small and first) or nodule.juxtapleural is not None:
        facts[JUXTAPLEURAL] = small and first and nodule.juxtapleural is not Shape.OTHER
    return facts


def _unknown(nodule: NoduleFacts, known: Facts) -> dict[Fact, tuple[Value, ...]]:
    domains: dict[Fact, tuple[Value, ...]] = {JUXTAPLEURAL: (False, True)}
    seen = nodule.comparison
    if seen is not None and seen.lung_rads is Change.NOT_COMPARABLE:
        domains[CHANGE] = (Change.STABLE, Change.SHRUNK, Change.SLOWLY_GROWING, Change.GROWING)
    if known.get(DENSITY) is Density.PART_SOLID:
        domains[SOLID_PART] = cells(ROWS, SOLID_PART, largest=float(known[DIAMETER]))
    if known.get(CHANGE, Change.SLOWLY_GROWING) is Change.SLOWLY_GROWING:
        domains[SLOW] = (False, True)
    if known.get(CHANGE, Change.STABLE) in _KEPT:
        domains[PRIOR] = ("2", "3", "4A", "4B")
        domains[INTERVAL] = cells(STEPS, INTERVAL)
    return {fact: values for fact, values in domains.items() if fact not in known}
