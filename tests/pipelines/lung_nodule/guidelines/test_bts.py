"""BTS 2015: every row at, under and over its cut-offs, and what is left open."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.lung_nodule.guidelines import brock
from pipelines.lung_nodule.guidelines.answer import Status
from pipelines.lung_nodule.guidelines.brock import Estimate, Model
from pipelines.lung_nodule.guidelines.bts import (
    ALL_ROWS,
    BROCK,
    CHANGE,
    DENSITY,
    DIAMETER,
    DOUBLING,
    LONG,
    PLEURAL,
    VOLUME,
    assess,
)
from pipelines.lung_nodule.guidelines.bts import ROWS as TABLE
from pipelines.lung_nodule.guidelines.facts import Airway, Change, Comparison, Density, Shape
from pipelines.lung_nodule.guidelines.table import cells

LOW_BROCK = {"longest_axial_mm": 8}
HIGH_BROCK = {"longest_axial_mm": 20, "spiculated": True, "upper_lobe": True}
SUBSOLID = {"density": Density.PART_SOLID}


def vol(mm3):
    return {"volume_mm3": mm3, "maximum_mm": None, "juxtapleural": Shape.OTHER}


def mm(value):
    return {"maximum_mm": value}


def seen(change, days=100, doubling=None):
    return {"comparison": Comparison(change, change, change, days, doubling)}


STABLE, GROWING, NEW = Change.STABLE, Change.GROWING, Change.NEW
ROWS = [
    ({"benign_calcification": True}, "BTS15-BENIGN"),
    ({"fat": True}, "BTS15-BENIGN"),
    (mm(9.9) | {"juxtapleural": Shape.TRIANGULAR}, "BTS15-S-PLEURAL"),
    (mm(9.9) | {"juxtapleural": Shape.LENTIFORM}, "BTS15-S-PLEURAL"),
    (mm(9.9) | LOW_BROCK | {"juxtapleural": Shape.OVAL}, "BTS15-S-D8-BLO"),
    (mm(10) | LOW_BROCK | {"juxtapleural": Shape.TRIANGULAR}, "BTS15-S-D8-BLO"),
    (vol(79.9), "BTS15-S-V80"),
    (vol(80), "BTS15-S-V80-300"),
    (vol(299.9), "BTS15-S-V80-300"),
    (vol(300) | LOW_BROCK, "BTS15-S-V300-BLO"),
    (vol(300) | HIGH_BROCK, "BTS15-S-V300-BHI"),
    (vol(79.9) | {"maximum_mm": 9}, "BTS15-S-V80"),  # the volume decides
    (mm(4.9), "BTS15-S-D5"),
    (mm(5), "BTS15-S-D5-6"),
    (mm(5.9), "BTS15-S-D5-6"),
    (mm(6), "BTS15-S-D6-8"),
    (mm(7.9) | seen(NEW), "BTS15-S-D6-8"),
    (mm(8) | LOW_BROCK, "BTS15-S-D8-BLO"),
    (mm(8) | HIGH_BROCK, "BTS15-S-D8-BHI"),
    (vol(100) | seen(STABLE, 364), "BTS15-S-V80-300"),
    (vol(100) | seen(STABLE, 365), "BTS15-S-STABLE"),
    (mm(7) | seen(STABLE, 729), "BTS15-S-D6-8"),
    (mm(7) | seen(STABLE, 730), "BTS15-S-STABLE"),
    (vol(100) | seen(GROWING, 100, 399), "BTS15-S-VDT400"),
    (vol(100) | seen(GROWING, 100, 400), "BTS15-S-VDT400"),
    (vol(100) | seen(GROWING, 100, 400.1), "BTS15-S-VDT600"),
    (vol(100) | seen(GROWING, 100, 600), "BTS15-S-VDT600"),
    (vol(100) | seen(GROWING, 100, 600.1), "BTS15-S-VDTOVER"),
    (SUBSOLID | mm(4.9), "BTS15-SS-D5"),
    (SUBSOLID | mm(5), "BTS15-SS-FIRST"),
    (SUBSOLID | mm(5) | seen(STABLE) | LOW_BROCK, "BTS15-SS-BLO"),
    (SUBSOLID | mm(5) | seen(STABLE) | HIGH_BROCK, "BTS15-SS-BHI"),
    (SUBSOLID | mm(5) | seen(GROWING), "BTS15-SS-GROWING"),
]


@pytest.mark.parametrize(("facts", "row"), ROWS)
def test_the_row_that_decides(case, facts, row):
    answer = assess(*case(**facts))
    assert answer.status is Status.DETERMINED, answer.words
    assert answer.row == row


def test_every_row_is_reached():
    assert {row for _, row in ROWS} == {row.id for row in ALL_ROWS}


@pytest.mark.parametrize(
    ("facts", "row"),
    [
        (vol(300), "BTS15-S-V300"),
        (mm(8), "BTS15-S-D8"),
        (SUBSOLID | mm(5) | seen(STABLE), "BTS15-SS"),
    ],
)
@pytest.mark.parametrize(("percent", "half"), [(9.99, "BLO"), (10.0, "BHI"), (10.01, "BHI")])
def test_brock_of_10_percent_is_the_upper_row(case, monkeypatch, facts, row, percent, half):
    monkeypatch.setattr(brock, "estimate", lambda nodule, examination: Estimate(Model.B, percent / 100, {}))
    assert assess(*case(**facts)).row == f"{row}-{half}"


def complete():
    """Facts on and around every cut-off, of everything but what shrank."""
    changes = (Change.BASELINE, NEW, STABLE, GROWING)
    speeds, risks = cells(TABLE, DOUBLING), cells(TABLE, BROCK)
    for density, change, size in product(Density, changes, (VOLUME, DIAMETER)):
        solid = density is Density.SOLID
        if size is VOLUME and not solid:
            continue
        long = (False, True) if change is STABLE else (False,)
        values = product(cells(TABLE, size), risks, speeds, long, (False, True) if solid else (False,))
        for value, risk, speed, kept, pleural in values:
            measured = {size: value, BROCK: risk, DOUBLING: speed}
            yield {DENSITY: density, CHANGE: change, LONG: kept, PLEURAL: pleural, **measured}


def test_exactly_one_row_fits_whatever_did_not_shrink():
    for facts in complete():
        assert sum(row.fits(facts) for row in TABLE) == 1, facts


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"age": 17.9}, "under 18 years"),
        ({"age": None}, "missing: age"),
        ({"known_cancer": True}, "a known cancer"),
        ({"known_cancer": None}, "known cancer"),
    ],
)
def test_it_is_applied_only_where_its_exclusions_are_known_to_be_absent(case, facts, word):
    answer = assess(*case(**facts))
    assert answer.status is Status.GUIDELINE_NOT_DETERMINED
    assert not answer.results
    assert word in answer.words


@pytest.mark.parametrize("screening", [True, False, None])
def test_screening_or_not_makes_no_difference(case, screening):
    assert assess(*case(screening=screening, **mm(7))).row == "BTS15-S-D6-8"


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"thickness_mm": 3}, "3 mm"),
        ({"whole_lung": None}, "lung coverage"),
        ({"benign_calcification": None}, "calcification"),
        ({"density": None}, "density"),
        ({"maximum_mm": None}, "volume or largest diameter"),
        (SUBSOLID | {"maximum_mm": None, "volume_mm3": 100}, "largest diameter"),
        ({"comparison": None}, "earlier CT"),
        ({"airway": Airway.PROXIMAL}, "no row"),
        (seen(Change.SHRUNK), "no row"),
    ],
)
def test_without_what_it_needs_there_is_no_row(case, facts, word):
    answer = assess(*case(**facts))
    assert answer.status is Status.NOT_CLASSIFIABLE
    assert answer.category is None
    assert word in answer.words


@pytest.mark.parametrize(
    ("facts", "rows", "missing"),
    [
        (
            mm(8) | {"family_history": None, "emphysema": None},
            {"BTS15-S-D8-BLO", "BTS15-S-D8-BHI"},
            "for Brock model 2b: family history of lung cancer, emphysema",
        ),
        (mm(7) | {"juxtapleural": None}, {"BTS15-S-PLEURAL", "BTS15-S-D6-8"}, "shape at the pleura"),
        (
            vol(100) | seen(GROWING),
            {"BTS15-S-VDT400", "BTS15-S-VDT600", "BTS15-S-VDTOVER"},
            "volume doubling time",
        ),
        (vol(100) | seen(STABLE, None), {"BTS15-S-STABLE", "BTS15-S-V80-300"}, "interval to the earlier CT"),
        (
            SUBSOLID | mm(5) | seen(Change.NOT_COMPARABLE) | LOW_BROCK,
            {"BTS15-SS-BLO", "BTS15-SS-GROWING", None},
            "a comparable earlier CT",
        ),
    ],
)
def test_what_is_unknown_leaves_the_rows_and_its_name(case, facts, rows, missing):
    answer = assess(*case(**facts))
    assert answer.status is Status.OPEN
    assert answer.category is None
    assert {result.row for result in answer.results} == rows
    assert answer.missing == (missing,)


BY_VOLUME = ("S-V80", "S-V80-300", "S-V300-BLO", "S-V300-BHI")
BY_DIAMETER = ("S-D5", "S-D5-6", "S-D6-8", "S-D8-BLO", "S-D8-BHI")
BY_SPEED = ("S-STABLE", "S-VDTOVER", "S-VDT600", "S-VDT400")


def place(case, order, **facts):
    return [f"BTS15-{name}" for name in order].index(assess(*case(**facts)).row)


@given(st.floats(2, 40), st.floats(2, 40))
def test_a_larger_solid_nodule_never_gets_an_earlier_row(case, one, other):
    small, large = sorted((one, other))
    by_diameter = [place(case, BY_DIAMETER, **mm(d), longest_axial_mm=d, emphysema=True) for d in (small, large)]
    assert by_diameter == sorted(by_diameter)
    volumes = [place(case, BY_VOLUME, **vol(0.52 * d**3), longest_axial_mm=d, emphysema=True) for d in (small, large)]
    assert volumes == sorted(volumes)


@given(st.floats(10, 2000), st.floats(10, 2000))
def test_a_faster_growing_solid_nodule_never_gets_an_earlier_row(case, one, other):
    fast, slow = sorted((one, other))
    rows = [place(case, BY_SPEED, **vol(100), **seen(GROWING, 400, days)) for days in (slow, fast)]
    assert rows == sorted(rows)
    assert place(case, BY_SPEED, **vol(100), **seen(STABLE, 400)) < rows[0]
