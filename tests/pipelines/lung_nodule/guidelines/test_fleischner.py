"""Fleischner 2017: every row at, under and over its cut-offs, the exclusions, and what is left open."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.lung_nodule.guidelines.answer import Status
from pipelines.lung_nodule.guidelines.facts import Change, Comparison, Density, Risk
from pipelines.lung_nodule.guidelines.fleischner import (
    DENSITY,
    DIAMETER,
    GROWN,
    MULTIPLE,
    NUMBER,
    RISK,
    SINGLE,
    SOLID_PART,
    assess,
    whole,
)
from pipelines.lung_nodule.guidelines.fleischner import ROWS as TABLE

LOW, HIGH = {"risk": Risk.LOW}, {"risk": Risk.HIGH}
ONE, SEVERAL = {"nodules": 1}, {"nodules": 3, "subsolid_nodules": 0}
TWO_SUBSOLID = {"nodules": 3, "subsolid_nodules": 2}
PART, NON = {"density": Density.PART_SOLID}, {"density": Density.NON_SOLID}


def mm(value, solid=None):
    return {"mean_largest_image_mm": value, "solid_mean_mm": solid}


ROWS = [
    (LOW | ONE | mm(5.49), "FL17-S1-LOW-LT6"),
    (LOW | ONE | mm(5.5), "FL17-S1-LOW-6-8"),
    (LOW | ONE | mm(8.49), "FL17-S1-LOW-6-8"),
    (LOW | ONE | mm(8.5), "FL17-S1-GT8"),
    (HIGH | ONE | mm(5.49), "FL17-S1-HIGH-LT6"),
    (HIGH | ONE | mm(5.5), "FL17-S1-HIGH-6-8"),
    (HIGH | ONE | mm(8.49), "FL17-S1-HIGH-6-8"),
    (HIGH | ONE | mm(8.5), "FL17-S1-GT8"),
    (LOW | SEVERAL | mm(5.49), "FL17-SM-LOW-LT6"),
    (LOW | SEVERAL | mm(5.5), "FL17-SM-LOW-6-8"),
    (LOW | SEVERAL | mm(8.49), "FL17-SM-LOW-6-8"),
    (LOW | SEVERAL | mm(8.5), "FL17-SM-LOW-GT8"),
    (HIGH | SEVERAL | mm(5.49), "FL17-SM-HIGH-LT6"),
    (HIGH | SEVERAL | mm(5.5), "FL17-SM-HIGH-6-8"),
    (HIGH | SEVERAL | mm(8.49), "FL17-SM-HIGH-6-8"),
    (HIGH | SEVERAL | mm(8.5), "FL17-SM-HIGH-GT8"),
    (NON | ONE | mm(5.49), "FL17-N1-LT6"),
    (NON | ONE | mm(5.5), "FL17-N1-GE6"),
    (PART | ONE | mm(5.49), "FL17-P1-LT6"),
    (PART | ONE | mm(5.5, 3), "FL17-P1-GE6"),
    (PART | ONE | mm(20, 5.49), "FL17-P1-GE6"),
    (PART | ONE | mm(20, 5.5), "FL17-P1-GE6-S6"),
    (NON | TWO_SUBSOLID | mm(5.49), "FL17-SSM-LT6"),
    (PART | TWO_SUBSOLID | mm(5.5), "FL17-SSM-GE6"),
    # counted among its own kind
    (LOW | TWO_SUBSOLID | mm(7), "FL17-S1-LOW-6-8"),
    (NON | {"nodules": 3, "subsolid_nodules": 1} | mm(7), "FL17-N1-GE6"),
]


@pytest.fixture
def incidental(case):
    return lambda **facts: case(**{"screening": False, **facts})


@pytest.mark.parametrize(("facts", "row"), ROWS)
def test_the_row_that_decides(incidental, facts, row):
    answer = assess(*incidental(**facts))
    assert answer.status is Status.DETERMINED, answer.words
    assert answer.row == row


def test_every_row_is_reached():
    assert {row for _, row in ROWS} == {row.id for row in TABLE}


def test_exactly_one_row_fits_whatever_does_not_grow():
    for density, number, risk, size in product(Density, (SINGLE, MULTIPLE), Risk, range(1, 12)):
        for solid in range(size + 1):
            facts = {DENSITY: density, NUMBER: number, RISK: risk, DIAMETER: size, SOLID_PART: solid, GROWN: False}
            assert sum(row.fits(facts) for row in TABLE) == 1, facts
            assert not any(row.fits({**facts, GROWN: True}) for row in TABLE)


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"screening": True}, "a screening examination"),
        ({"screening": None}, "purpose"),
        ({"age": 34.9}, "under 35 years"),
        ({"age": None}, "missing: age"),
        ({"known_cancer": True}, "a known cancer"),
        ({"known_cancer": None}, "known cancer"),
        ({"immunosuppression": True}, "immunosuppressed"),
        ({"immunosuppression": None}, "immunosuppression"),
    ],
)
def test_it_is_applied_only_where_its_exclusions_are_known_to_be_absent(incidental, facts, word):
    answer = assess(*incidental(**facts))
    assert answer.status is Status.GUIDELINE_NOT_DETERMINED
    assert not answer.results
    assert word in answer.words


def test_at_35_years_it_is_applied(incidental):
    assert assess(*incidental(age=35)).row == "FL17-S1-LOW-6-8"


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"thickness_mm": 3}, "3 mm"),
        ({"whole_lung": False}, "lung"),
        ({"benign_calcification": None}, "calcification"),
        ({"benign_calcification": True}, "no row"),
        ({"fat": True}, "no row"),
        ({"density": None}, "density"),
        ({"mean_largest_image_mm": None}, "mean diameter"),
        (PART | ONE | mm(5.4, 5.6), "more than the whole"),
        ({"comparison": None}, "earlier CT"),
        ({"comparison": Comparison.same(Change.GROWING)}, "no row"),
    ],
)
def test_without_what_it_needs_there_is_no_row(incidental, facts, word):
    answer = assess(*incidental(**facts))
    assert answer.status is Status.NOT_CLASSIFIABLE
    assert answer.category is None
    assert word in answer.words


@pytest.mark.parametrize(
    ("facts", "rows", "missing"),
    [
        ({"risk": None}, {"FL17-S1-LOW-6-8", "FL17-S1-HIGH-6-8"}, "the patient's risk group (low or high)"),
        ({"nodules": None}, {"FL17-S1-LOW-6-8", "FL17-SM-LOW-6-8"}, "number of nodules"),
        ({"nodules": 2, "subsolid_nodules": None}, {"FL17-S1-LOW-6-8", "FL17-SM-LOW-6-8"}, "number of nodules"),
        (PART | ONE | mm(9), {"FL17-P1-GE6", "FL17-P1-GE6-S6"}, "mean diameter of the solid part"),
        (
            {"comparison": Comparison.same(Change.NOT_COMPARABLE)},
            {"FL17-S1-LOW-6-8", None},
            "a comparable earlier CT",
        ),
    ],
)
def test_what_is_unknown_leaves_the_rows_and_its_name(incidental, facts, rows, missing):
    answer = assess(*incidental(**facts))
    assert answer.status is Status.OPEN
    assert answer.category is None
    assert {result.row for result in answer.results} == rows
    assert answer.missing == (missing,)


def test_the_risk_is_not_asked_for_where_it_makes_no_difference(incidental):
    assert assess(*incidental(risk=None, **mm(9))).row == "FL17-S1-GT8"


@given(st.floats(1, 40), st.floats(1, 40), st.sampled_from(Risk), st.sampled_from([1, 3]))
def test_a_larger_solid_nodule_never_gets_an_earlier_row(case, one, other, risk, nodules):
    order = [row.id for row in TABLE if row.id.startswith(f"FL17-S{'1' if nodules == 1 else 'M'}")]
    sizes = ("LT6", "6-8", "GT8")
    rows = [
        assess(*case(screening=False, risk=risk, nodules=nodules, **mm(value))).row for value in sorted((one, other))
    ]
    assert set(rows) <= set(order)
    first, second = (next(i for i, size in enumerate(sizes) if row.endswith(size)) for row in rows)
    assert first <= second


@given(st.integers(0, 400))
def test_whole_millimetres_are_half_up(tenth):
    assert whole(tenth / 10) == (tenth + 5) // 10
