"""British Thoracic Society 2015 for one nodule.

Source: Callister et al., Thorax 2015;70 suppl 2:ii1 (algorithms 1, 2 and 4). The journal's own figures were not at
hand. Checked in other copies: solid sizes and volumes, subsolid size (PMC6784443 table 4, PMC7177089 table 2, a
radiology teaching page, one program); doubling-time limits and the 25 % of growth (two programs); benign patterns and
the beginning of the rule for nodules at the pleura (an archive of the recommendations). Not checked: the rest of that
rule (lentiform or triangular, within 1 cm of fissure or pleura, under 10 mm), and that age under 18 is outside.

The volume decides where it is known, else the largest diameter; 5 to 6 mm exists as a diameter only. Brock is the
model 2b. PET and Herder's model, which follow it, are not used: no PET is read. A nodule that shrank has no row. The
guideline weighs an earlier cancer by judgement, which no table can, so it is applied only where none is known. It is
the same for nodules found by screening and by chance.

The table is one of recommendations. An answer names the row and never what it recommends.
"""

from __future__ import annotations

from dataclasses import replace

from pipelines.lung_nodule.guidelines import brock
from pipelines.lung_nodule.guidelines.answer import (
    Answer,
    Exclusion,
    answer_of,
    excluded,
    not_classifiable,
    unreadable,
)
from pipelines.lung_nodule.guidelines.facts import Change, Density, Examination, NoduleFacts, Shape
from pipelines.lung_nodule.guidelines.table import Condition, Fact, Facts, Is, Path, Row, Value, Within, cells, settle

GUIDELINE = "BTS 2015"

BENIGN = Fact("benign calcification or fat")
DENSITY = Fact("", missing="density class")
PLEURAL = Fact("smooth, lentiform or triangular, at the pleura, under 10 mm", missing="shape at the pleura")
CHANGE = Fact("", missing="a comparable earlier CT")
VOLUME = Fact("volume", "mm3")
DIAMETER = Fact("largest diameter", "mm", digits=1)
LONG = Fact("a year by volume, or two years by diameter", missing="interval to the earlier CT")
DOUBLING = Fact("volume doubling time", "days")
BROCK = Fact("Brock model 2b", "%", digits=2)

_SOLID = Is(DENSITY, (Density.SOLID,))
_SUBSOLID = Is(DENSITY, (Density.PART_SOLID, Density.NON_SOLID))
_FIRST = Is(CHANGE, (Change.BASELINE, Change.NEW))
_STABLE = Is(CHANGE, (Change.STABLE,))
_UNGROWN = Is(CHANGE, (Change.BASELINE, Change.NEW, Change.STABLE))
_GROWING = Is(CHANGE, (Change.GROWING,))
_LESS, _MORE = Within(BROCK, below=10), Within(BROCK, least=10)
_SURVEY = "CT at 3 months and 1 year"
_PET = "PET/CT, then Herder's model: under 10 % surveillance, 10-70 % biopsy, over 70 % excision or treatment"


def _row(name: str, advice: str, *conditions: Condition) -> Row:
    return Row(f"BTS15-{name}", f"BTS15-{name}", conditions, advice)


def _solid(name: str, advice: str, *conditions: Condition) -> Row:
    return _row(name, advice, _SOLID, Is(PLEURAL, (False,)), *conditions)


def _sized(name: str, advice: str, *conditions: Condition) -> Row:
    return _solid(name, advice, _UNGROWN, Is(LONG, (False,)), *conditions)


_BENIGN = _row("BENIGN", "no follow-up", Is(BENIGN, (True,)))
ROWS = (
    _row("S-PLEURAL", "no follow-up", _SOLID, Is(PLEURAL, (True,))),
    _sized("S-V80", "discharge", Within(VOLUME, below=80)),
    _sized("S-V80-300", _SURVEY, Within(VOLUME, least=80, below=300)),
    _sized("S-V300-BLO", "CT surveillance", Within(VOLUME, least=300), _LESS),
    _sized("S-V300-BHI", _PET, Within(VOLUME, least=300), _MORE),
    _sized("S-D5", "discharge", Within(DIAMETER, below=5)),
    _sized("S-D5-6", "CT at 1 year", Within(DIAMETER, least=5, below=6)),
    _sized("S-D6-8", _SURVEY, Within(DIAMETER, least=6, below=8)),
    _sized("S-D8-BLO", "CT surveillance", Within(DIAMETER, least=8), _LESS),
    _sized("S-D8-BHI", _PET, Within(DIAMETER, least=8), _MORE),
    _solid("S-STABLE", "discharge", _STABLE, Is(LONG, (True,))),
    _solid("S-VDT400", "further work-up", _GROWING, Within(DOUBLING, most=400)),
    _solid("S-VDT600", "biopsy or surveillance", _GROWING, Within(DOUBLING, above=400, most=600)),
    _solid("S-VDTOVER", "discharge or surveillance", _GROWING, Within(DOUBLING, above=600)),
    _row("SS-D5", "discharge", _SUBSOLID, _UNGROWN, Within(DIAMETER, below=5)),
    _row("SS-FIRST", "CT at 3 months", _SUBSOLID, _FIRST, Within(DIAMETER, least=5)),
    _row("SS-BLO", "CT at 1, 2 and 4 years", _SUBSOLID, _STABLE, Within(DIAMETER, least=5), _LESS),
    _row("SS-BHI", "discuss biopsy or resection", _SUBSOLID, _STABLE, Within(DIAMETER, least=5), _MORE),
    _row("SS-GROWING", "consider resection", _SUBSOLID, _GROWING),
)
ALL_ROWS = (_BENIGN, *ROWS)


def assess(nodule: NoduleFacts, examination: Examination) -> Answer:
    """The table's row for one nodule, if confirmed; or the possible rows and what is missing."""
    age = examination.age
    exclusions = (
        Exclusion("age", None if age is None else age < 18, "the patient is under 18 years"),
        Exclusion("known cancer", examination.known_cancer, "the patient has a known cancer"),
    )
    answer = excluded(GUIDELINE, exclusions) or unreadable(GUIDELINE, nodule, examination)
    if answer is not None:
        return answer
    if nodule.airway or nodule.cyst:
        return not_classifiable(GUIDELINE, "no row is for airway nodules or cysts")
    if nodule.comparison is None:
        return not_classifiable(GUIDELINE, "it isn't known whether there is an earlier CT", "earlier CT")
    if nodule.density is None:
        return not_classifiable(GUIDELINE, "the density class isn't determined", "density class")
    solid = nodule.density is Density.SOLID
    if nodule.maximum_mm is None and not (solid and nodule.volume_mm3 is not None):
        needed = "volume or largest diameter" if solid else "largest diameter"
        return not_classifiable(GUIDELINE, f"the {needed} isn't measured", needed)
    risk = brock.estimate(nodule, examination)
    known = _known(nodule, risk)
    unknown = {fact: values for fact, values in _values(solid).items() if fact not in known}
    answer = answer_of(GUIDELINE, settle(_classify, known, unknown))
    names = (
        f"for {BROCK.name}: {', '.join(risk.missing)}" if name == BROCK.name else name for name in answer.missing
    )
    return replace(answer, missing=tuple(names))


def _known(nodule: NoduleFacts, risk: brock.Estimate) -> dict[Fact, Value]:
    facts: dict[Fact, Value] = {BENIGN: bool(nodule.benign_calcification or nodule.fat)}
    solid = nodule.density is Density.SOLID
    if nodule.density is not None:
        facts[DENSITY] = nodule.density
    if solid and nodule.volume_mm3 is not None:
        facts[VOLUME] = nodule.volume_mm3
    elif nodule.maximum_mm is not None:
        facts[DIAMETER] = nodule.maximum_mm
    if risk.probability is not None:
        facts[BROCK] = 100 * risk.probability
    pleural = _pleural(nodule)
    if pleural is not None:
        facts[PLEURAL] = pleural
    return facts | _seen(nodule, VOLUME in facts)


def _pleural(nodule: NoduleFacts) -> bool | None:
    shaped = nodule.juxtapleural
    small = None if nodule.maximum_mm is None else nodule.maximum_mm < 10
    if nodule.density is not Density.SOLID or small is False or shaped in {Shape.OVAL, Shape.OTHER}:
        return False
    return None if shaped is None else small


def _seen(nodule: NoduleFacts, by_volume: bool) -> dict[Fact, Value]:
    facts: dict[Fact, Value] = {}
    seen = nodule.comparison
    if seen is None:
        return facts
    if seen.bts is not Change.NOT_COMPARABLE:
        # slow growth is not this guideline's term: it has the doubling time
        facts[CHANGE] = Change.GROWING if seen.bts is Change.SLOWLY_GROWING else seen.bts
    if seen.bts not in {Change.STABLE, Change.NOT_COMPARABLE}:
        facts[LONG] = False
    elif seen.interval_days is not None:
        facts[LONG] = seen.interval_days >= (365 if by_volume else 730)
    if seen.doubling_time_days is not None:
        facts[DOUBLING] = seen.doubling_time_days
    return facts


def _values(solid: bool) -> dict[Fact, tuple[Value, ...]]:
    shared: dict[Fact, tuple[Value, ...]] = {
        CHANGE: (Change.STABLE, Change.GROWING, Change.SHRUNK),
        BROCK: cells(ROWS, BROCK),
    }
    if not solid:
        return shared
    return shared | {PLEURAL: (False, True), LONG: (False, True), DOUBLING: cells(ROWS, DOUBLING)}


def _classify(facts: Facts) -> Path:
    if _BENIGN.fits(facts):
        return (_BENIGN,)
    return tuple(row for row in ROWS if row.fits(facts))[:1]
