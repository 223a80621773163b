"""What is true of every answer: its words, its rows, its codes."""

from __future__ import annotations

import re

import pytest

from imaging import codes
from pipelines.lung_nodule.guidelines import bts, fleischner, lung_rads
from pipelines.lung_nodule.guidelines.answer import Status
from pipelines.lung_nodule.guidelines.coded import SCHEME, assessments
from pipelines.lung_nodule.guidelines.facts import Change, Comparison, Density, Risk, Shape
from pipelines.lung_nodule.guidelines.table import Fact, Is, Row, Within, cells, settle

TABLES = {"LR22": lung_rads.ALL_ROWS, "FL17": fleischner.ROWS, "BTS15": bts.ALL_ROWS}
EVERY_ROW = [row for rows in TABLES.values() for row in rows]
INSTRUCTION = re.compile(
    r"\b(CT at|LDCT|PET|months?|follow-up|biops\w+|resection|discharge\w*|surveillance|sampling|recommend\w*|consider"
    r"|low risk|normal|negative|ruled out)\b",
    re.IGNORECASE,
)


def every_answer(case):
    """Answers of many cases: sizes, kinds, changes and missing facts."""
    for assess, screening in ((lung_rads.assess, True), (fleischner.assess, False), (bts.assess, False)):
        for density in Density:
            for mm in (3, 5.5, 7, 9, 16, 31):
                for change in Change:
                    for missing in ({}, {"risk": Risk.HIGH}, {"risk": None, "juxtapleural": None, "emphysema": None}):
                        sizes = dict.fromkeys(("mean_any_plane_mm", "mean_largest_image_mm", "maximum_mm"), mm)
                        seen = {"comparison": Comparison.same(change, 400), "density": density}
                        yield assess(*case(screening=screening, **sizes, **seen, **missing))


def test_no_answer_holds_an_instruction_or_a_word_that_claims_too_much(case):
    words = [answer.words for answer in every_answer(case)]
    assert len(words) > 900
    assert [w for w in words if INSTRUCTION.search(w)] == []


def test_every_result_is_of_one_nodule_and_if_confirmed(case):
    for answer in every_answer(case):
        assert bool(answer.results) == ("this nodule, if confirmed" in answer.words)
        assert (answer.category is not None) == (answer.status is Status.DETERMINED)
        assert bool(answer.missing) or answer.status is not Status.OPEN
        assert len(answer.results) != 1 or answer.status is Status.DETERMINED


def test_rows_are_told_apart_and_fit_a_code():
    assert len({row.id for row in EVERY_ROW}) == len(EVERY_ROW)
    for prefix, rows in TABLES.items():
        assert all(row.id.startswith(f"{prefix}-") and len(row.id) <= 16 for row in rows)
    assert all(row.advice for row in [*fleischner.ROWS, *bts.ALL_ROWS])


@pytest.mark.parametrize(
    ("mm", "code"),
    [(5, codes.LUNG_RADS_2), (7, codes.LUNG_RADS_3), (9, codes.LUNG_RADS_4A), (15, codes.LUNG_RADS_4B)],
)
def test_a_lung_rads_category_is_coded_with_its_rule(case, mm, code):
    answer = lung_rads.assess(*case(mean_any_plane_mm=mm))
    (told,) = assessments(answer)
    assert (told.concept, told.value) == (codes.LUNG_RADS, code)
    assert told.rule == answer.words
    assert "Lung-RADS v2022, this nodule, if confirmed" in told.rule


def test_4x_is_coded_and_category_1_is_not(case):
    (told,) = assessments(lung_rads.assess(*case(spiculated=True)))
    assert told.value == codes.LUNG_RADS_4X
    benign = lung_rads.assess(*case(benign_calcification=True))
    assert benign.category == "1"
    assert assessments(benign) == ()


def test_a_table_row_is_coded_by_its_id(case):
    (told,) = assessments(fleischner.assess(*case(screening=False)))
    assert told.concept == codes.ASSESSMENT_CATEGORY
    assert (told.value.value, told.value.scheme) == ("FL17-S1-LOW-6-8", SCHEME)
    (told,) = assessments(bts.assess(*case()))
    assert told.value.meaning == "BTS 2015, table row S-D6-8"


def test_what_is_not_determined_is_not_coded(case):
    assert assessments(lung_rads.assess(*case(juxtapleural=None))) == ()
    assert assessments(lung_rads.assess(*case(screening=None))) == ()
    assert assessments(lung_rads.assess(*case(thickness_mm=5))) == ()


def test_each_guideline_goes_by_its_own_diameter(case):
    nodule, screened = case(mean_any_plane_mm=9, mean_largest_image_mm=7, maximum_mm=5.5, juxtapleural=Shape.OTHER)
    _, incidental = case(screening=False)
    assert lung_rads.assess(nodule, screened).row == "LR22-4A-SOLID"
    assert fleischner.assess(nodule, incidental).row == "FL17-S1-LOW-6-8"
    assert bts.assess(nodule, incidental).row == "BTS15-S-D5-6"


SIZE, KIND = Fact("size", "mm", digits=1), Fact("", missing="kind")
TWO = (
    Row("A", "a", (Is(KIND, ("x",)), Within(SIZE, below=6))),
    Row("B", "b", (Is(KIND, ("x", "y")), Within(SIZE, least=6))),
)


def read(facts):
    return tuple(row for row in TWO if row.fits(facts))[:1]


def test_a_table_names_only_the_unknown_that_makes_a_difference():
    large = settle(read, {SIZE: 7.0}, {KIND: ("x", "y")})
    assert (large.paths, large.missing) == (((TWO[1],),), ())
    small = settle(read, {SIZE: 5.0}, {KIND: ("x", "y")})
    assert (small.paths, small.missing) == (((TWO[0],), ()), (KIND,))


def test_numbers_that_stand_for_all_lie_on_and_around_each_cut_off():
    rows = (Row("A", "a", (Within(SIZE, least=4, below=8),)),)
    assert cells(rows, SIZE) == (2, 4, 6, 8, 16)
    assert cells(rows, SIZE, largest=5) == (2, 4)
    assert cells(rows, SIZE, largest=1) == (2,)


def test_a_row_tells_its_conditions_or_the_measured_value():
    assert TWO[1].words() == "x or y; size ≥ 6 mm"
    assert TWO[1].words({KIND: "x", SIZE: 6.25}) == "x; size 6.2 mm (≥ 6)"
    assert Within(SIZE, above=4, most=8).words() == "size > 4 and ≤ 8 mm"
