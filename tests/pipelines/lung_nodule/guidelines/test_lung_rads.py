"""Lung-RADS v2022: every row at, under and over its cut-offs, and what is left open."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.lung_nodule.guidelines.answer import Status
from pipelines.lung_nodule.guidelines.facts import Airway, Change, Comparison, Cyst, Density, Shape
from pipelines.lung_nodule.guidelines.growth import lung_rads_change
from pipelines.lung_nodule.guidelines.lung_rads import (
    AIRWAY,
    ALL_ROWS,
    CHANGE,
    DENSITY,
    DIAMETER,
    JUXTAPLEURAL,
    ORDER,
    SOLID_PART,
    assess,
    mean_diameter,
    tenths,
)
from pipelines.lung_nodule.guidelines.lung_rads import ROWS as TABLE
from pipelines.lung_nodule.guidelines.lung_rads import SLOW as SLOWLY
from pipelines.lung_nodule.guidelines.table import cells

BASELINE, NEW, GROWING = Change.BASELINE, Change.NEW, Change.GROWING
SLOW, STABLE, SHRUNK = Change.SLOWLY_GROWING, Change.STABLE, Change.SHRUNK


def seen(change, days=200, prior="2", proven=False):
    return Comparison(change, change, change, days, None, prior, proven)


def solid(mm, change=BASELINE, **more):
    return {"mean_any_plane_mm": mm, "comparison": seen(change), **more}


def part(mm, solid_mm, change=BASELINE):
    return {**solid(mm, change), "density": Density.PART_SOLID, "solid_mean_mm": solid_mm}


def non(mm, change=BASELINE):
    return {**solid(mm, change), "density": Density.NON_SOLID}


def kept(mm, change, prior, days=200, proven=False):
    return {"mean_any_plane_mm": mm, "comparison": seen(change, days, prior, proven)}


def airway(where, change):
    return {"airway": where, "comparison": seen(change), "density": None, "mean_any_plane_mm": None}


def cyst(kind):
    return {"cyst": kind, "density": None, "mean_any_plane_mm": None}


ROWS = [
    # solid
    (solid(5.9), "LR22-2-SOLID"),
    (solid(6.0), "LR22-3-SOLID"),
    (solid(7.9), "LR22-3-SOLID"),
    (solid(8.0), "LR22-4A-SOLID"),
    (solid(14.9), "LR22-4A-SOLID"),
    (solid(15.0), "LR22-4B-SOLID"),
    (solid(40), "LR22-4B-SOLID"),
    (solid(3.9, NEW), "LR22-2-SOLID-NEW"),
    (solid(4.0, NEW), "LR22-3-SOLID-NEW"),
    (solid(5.9, NEW), "LR22-3-SOLID-NEW"),
    (solid(6.0, NEW), "LR22-4A-SOLID-N"),
    (solid(7.9, NEW), "LR22-4A-SOLID-N"),
    (solid(8.0, NEW), "LR22-4B-SOLID-N"),
    (solid(3.0, GROWING), "LR22-4A-SOLID-G"),
    (solid(7.9, GROWING), "LR22-4A-SOLID-G"),
    (solid(8.0, GROWING), "LR22-4B-SOLID-G"),
    # to 0.1 mm, half up
    (solid(5.949), "LR22-2-SOLID"),
    (solid(5.95), "LR22-3-SOLID"),
    (solid(14.949), "LR22-4A-SOLID"),
    (solid(14.95), "LR22-4B-SOLID"),
    # at the pleura: smooth and shaped, under 10 mm, at first detection or new
    (solid(9.9, BASELINE, juxtapleural=Shape.OVAL), "LR22-2-PLEURA"),
    (solid(9.9, NEW, juxtapleural=Shape.LENTIFORM), "LR22-2-PLEURA"),
    (solid(9.9, NEW, juxtapleural=Shape.TRIANGULAR), "LR22-2-PLEURA"),
    (solid(10.0, BASELINE, juxtapleural=Shape.OVAL), "LR22-4A-SOLID"),
    (solid(9.9, GROWING, juxtapleural=Shape.OVAL), "LR22-4B-SOLID-G"),
    (solid(7.0, STABLE, juxtapleural=Shape.OVAL), "LR22-3-SOLID"),
    (non(9.9) | {"juxtapleural": Shape.OVAL}, "LR22-2-NON"),
    # part-solid
    (part(5.9, 4.0), "LR22-2-PART"),
    (part(6.0, 3.0), "LR22-3-PART"),
    (part(20, 5.9), "LR22-3-PART"),
    (part(20, 6.0), "LR22-4A-PART"),
    (part(20, 7.9), "LR22-4A-PART"),
    (part(20, 8.0), "LR22-4B-PART"),
    (part(5.9, 3.9, NEW), "LR22-3-PART-NEW"),
    (part(5.9, 4.0, NEW), "LR22-4B-PART-NG"),
    (part(6.0, 3.9, NEW), "LR22-4A-PART-NEW"),
    (part(6.0, 4.0, NEW), "LR22-4B-PART-NG"),
    (part(5.0, 3.9, GROWING), "LR22-4A-PART-G"),
    (part(20, 3.9, GROWING), "LR22-4A-PART-G"),
    (part(20, 4.0, GROWING), "LR22-4B-PART-NG"),
    # non-solid: new and growing ones under 30 mm are 2
    (non(29.9), "LR22-2-NON"),
    (non(29.9, NEW), "LR22-2-NON"),
    (non(29.9, GROWING), "LR22-2-NON"),
    (non(30.0), "LR22-3-NON"),
    (non(30.0, NEW), "LR22-3-NON"),
    (non(30.0, STABLE), "LR22-2-NON-KEPT"),
    (non(30.0, SLOW), "LR22-2-NON-KEPT"),
    # step down, and what doesn't
    (kept(7, STABLE, "3", 180), "LR22-3-TO-2"),
    (kept(7, SHRUNK, "3", 180), "LR22-3-TO-2"),
    (kept(7, STABLE, "3", 179), "LR22-3-SOLID"),
    (kept(5, STABLE, "3", 180), "LR22-3-TO-2"),
    (kept(8, STABLE, "3", 180), "LR22-4A-SOLID"),
    (kept(5, STABLE, "4A", 90), "LR22-4A-TO-3"),
    (kept(7, SHRUNK, "4A", 90), "LR22-4A-TO-3"),
    (kept(9, STABLE, "4A", 90), "LR22-4A-TO-3"),
    (kept(9, STABLE, "4A", 89), "LR22-4A-SOLID"),
    (kept(15, STABLE, "4A", 90), "LR22-4B-SOLID"),
    (kept(5, STABLE, "3", 179), "LR22-3-STAYS"),
    (kept(7, STABLE, "4A", 89), "LR22-4A-STAYS"),
    (kept(5, STABLE, "4A", 89), "LR22-4A-STAYS"),
    (kept(5, STABLE, "4B"), "LR22-4B-STAYS"),
    (kept(7, SLOW, "4B"), "LR22-4B-STAYS"),
    (kept(15, STABLE, "4B"), "LR22-4B-SOLID"),
    (kept(7, GROWING, "4B"), "LR22-4B-STAYS"),
    (kept(9, STABLE, "4B"), "LR22-4B-STAYS"),
    (kept(9, STABLE, "4X"), "LR22-4B-STAYS"),
    (kept(9, STABLE, "4B", proven=True), "LR22-4B-TO-2"),
    (kept(9, SHRUNK, "4X", proven=True), "LR22-4B-TO-2"),
    # airway
    (airway(Airway.SUBSEGMENTAL, BASELINE), "LR22-2-AIRWAY"),
    (airway(Airway.SUBSEGMENTAL, GROWING), "LR22-2-AIRWAY"),
    (airway(Airway.PROXIMAL, BASELINE), "LR22-4A-AIRWAY"),
    (airway(Airway.PROXIMAL, NEW), "LR22-4A-AIRWAY"),
    (airway(Airway.PROXIMAL, STABLE), "LR22-4B-AIRWAY"),
    (airway(Airway.PROXIMAL, SLOW), "LR22-4B-AIRWAY"),
    (airway(Airway.PROXIMAL, GROWING), "LR22-4B-AIRWAY"),
    (airway(Airway.PROXIMAL, STABLE) | {"comparison": seen(STABLE, 90, "4A")}, "LR22-4B-AIRWAY"),
    # cysts
    (cyst(Cyst.CYSTIC_PART_GROWING), "LR22-3-CYST"),
    (cyst(Cyst.THICK_WALLED), "LR22-4A-CYST"),
    (cyst(Cyst.MULTILOCULAR), "LR22-4A-CYST"),
    (cyst(Cyst.BECAME_MULTILOCULAR), "LR22-4A-CYST"),
    (cyst(Cyst.WALL_GROWING), "LR22-4B-CYST"),
    (cyst(Cyst.MULTILOCULAR_GROWING), "LR22-4B-CYST"),
    (cyst(Cyst.MORE_LOCULES_OR_OPACITY), "LR22-4B-CYST"),
    ({**solid(16), "cyst": Cyst.CYSTIC_PART_GROWING}, "LR22-4B-SOLID"),
    # benign patterns; 4X on 3, 4A and 4B only
    (solid(16, benign_calcification=True), "LR22-1-BENIGN"),
    (solid(16, fat=True), "LR22-1-BENIGN"),
    (solid(5.9, spiculated=True), "LR22-2-SOLID"),
    (solid(6.0, spiculated=True), "LR22-4X"),
    (solid(8.0, suspicious=True), "LR22-4X"),
    (solid(16, GROWING, spiculated=True), "LR22-4X"),
]


@pytest.mark.parametrize(("facts", "row"), ROWS)
def test_the_row_that_decides(case, facts, row):
    answer = assess(*case(**facts))
    assert answer.status is Status.DETERMINED, answer.words
    assert answer.row == row
    assert answer.category == row.split("-")[1] if "TO" not in row else row.rsplit("-", 1)[1]


def test_every_row_is_reached():
    # slow growth "may be" 4B and never stands alone: its test is below
    assert {row for _, row in ROWS} | {"LR22-4B-SLOW"} == {row.id for row in ALL_ROWS}


def by_size():
    """Facts of nodules on and around every cut-off, and the rows by size that fit each."""
    for density, change, mm in product(Density, Change, cells(TABLE, DIAMETER)):
        if change is Change.NOT_COMPARABLE:
            continue
        shaped = density is Density.SOLID and change in {BASELINE, NEW} and mm < 10
        for solid_mm, pleural in product(cells(TABLE, SOLID_PART, largest=mm), (False, True) if shaped else (False,)):
            sizes = {DENSITY: density, CHANGE: change, DIAMETER: mm, SOLID_PART: solid_mm}
            facts = {**sizes, JUXTAPLEURAL: pleural, AIRWAY: "", SLOWLY: False}
            yield facts, [row.id for row in TABLE if row.fits(facts)]


def test_by_size_exactly_one_row_fits_but_where_the_table_has_none():
    for facts, rows in by_size():
        uncovered = facts[DENSITY] is Density.NON_SOLID and facts[CHANGE] is GROWING and facts[DIAMETER] >= 30
        assert len(rows) == (0 if uncovered else 1), (facts, rows)


@pytest.mark.parametrize("kind", [{}, {"density": Density.PART_SOLID, "solid_mean_mm": 3}])
def test_slow_growth_is_given_beside_the_size_not_alone(case, kind):
    answer = assess(*case(**solid(7, SLOW), **kind))
    assert answer.status is Status.OPEN
    assert answer.category is None
    assert {result.category for result in answer.results} == {"3", "4B"}
    assert "LR22-4B-SLOW" in {result.row for result in answer.results}


@pytest.mark.parametrize("facts", [non(30, GROWING), airway(Airway.PROXIMAL, SHRUNK), cyst(Cyst.THIN_WALLED)])
def test_what_the_table_does_not_cover_is_not_classifiable(case, facts):
    answer = assess(*case(**facts))
    assert answer.status is Status.NOT_CLASSIFIABLE
    assert "no row" in answer.words


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"thickness_mm": 2.6}, "2.6 mm"),
        ({"thickness_mm": None}, "slice thickness"),
        ({"whole_lung": False}, "lung"),
        ({"whole_lung": None}, "lung coverage"),
        ({"benign_calcification": None}, "calcification"),
        ({"density": None}, "density"),
        ({"mean_any_plane_mm": None}, "mean diameter"),
        (part(5.9, 6.0), "more than the whole"),
        ({"comparison": None}, "earlier CT"),
    ],
)
def test_without_what_it_needs_there_is_no_category(case, facts, word):
    answer = assess(*case(**facts))
    assert answer.status is Status.NOT_CLASSIFIABLE
    assert answer.category is None
    assert word in answer.words


def test_slices_of_exactly_2_5_mm_are_read(case):
    assert assess(*case(thickness_mm=2.5)).category == "3"


@pytest.mark.parametrize(
    ("screening", "word"), [(None, "neither order nor protocol"), (False, "not a screening examination (CT chest)")]
)
def test_it_is_for_screening_only(case, screening, word):
    answer = assess(*case(screening=screening, evidence="CT chest"))
    assert answer.status is Status.GUIDELINE_NOT_DETERMINED
    assert word in answer.words


@pytest.mark.parametrize(
    ("facts", "categories", "missing"),
    [
        (part(9, None), {"3", "4A", "4B"}, "mean diameter of the solid part"),
        (part(7, None), {"3", "4A"}, "mean diameter of the solid part"),
        (part(9, None, GROWING), {"4A", "4B"}, "mean diameter of the solid part"),
        (
            solid(7, juxtapleural=None),
            {"2", "3"},
            "smooth, oval, lentiform or triangular, at the pleura, under 10 mm",
        ),
        ({"comparison": seen(STABLE, prior=None)}, {"2", "3", "4B"}, "category at the earlier examination"),
        (kept(7, STABLE, "3", None), {"2", "3"}, "interval to the earlier examination"),
        (solid(7, Change.NOT_COMPARABLE), {"3", "4A", "4B"}, "a comparable earlier CT"),
    ],
)
def test_what_is_unknown_leaves_the_branches_and_its_name(case, facts, categories, missing):
    answer = assess(*case(**facts))
    assert answer.status is Status.OPEN
    assert answer.category is None
    assert {result.category for result in answer.results} == categories
    assert missing in answer.missing


@pytest.mark.parametrize(
    ("facts", "category"),
    [(part(5.9, None), "2"), (solid(12, juxtapleural=None), "4A"), (solid(15, Change.NOT_COMPARABLE), "4B")],
)
def test_what_is_unknown_but_makes_no_difference_is_not_asked_for(case, facts, category):
    assert assess(*case(**facts)).category == category


def test_a_non_solid_nodule_of_30_mm_that_is_not_comparable_is_not_settled(case):
    answer = assess(*case(**non(30, Change.NOT_COMPARABLE)))
    assert answer.status is Status.OPEN
    assert {result.category for result in answer.results} == {"2", None}


def test_4x_that_nobody_judged_is_said(case):
    assert assess(*case(spiculated=None)).not_judged
    assert not assess(*case(spiculated=False)).not_judged
    assert not assess(*case(**solid(5, spiculated=None))).not_judged


def test_the_words_hold_the_measured_value_and_its_cut_off(case):
    words = assess(*case(mean_any_plane_mm=6.44)).words
    assert "mean diameter 6.4 mm (≥ 6 and < 8)" in words
    assert "this nodule, if confirmed: category 3, row LR22-3-SOLID" in words


@pytest.mark.parametrize(
    ("long", "short", "mean"), [(6.1, 5.8, 6.0), (6.1, 5.7, 5.9), (6.04, 5.84, 5.9), (6.05, 5.85, 6.0)]
)
def test_both_axes_and_their_mean_are_to_a_tenth(long, short, mean):
    assert mean_diameter(long, short) == mean


@given(st.integers(0, 4000))
def test_tenths_are_half_up(hundredths):
    assert round(10 * tenths(hundredths / 100)) == (hundredths + 5) // 10


FASTER = (SHRUNK, STABLE, SLOW, GROWING)
sizes = st.floats(2, 40)


def lowest(case, mm, comparison):
    """The lowest category that it may have; the category, where it is determined."""
    answer = assess(*case(mean_any_plane_mm=mm, comparison=comparison))
    return min(ORDER.index(result.category) for result in answer.results)


@given(sizes, sizes, st.sampled_from([BASELINE, NEW, *FASTER]), st.sampled_from([None, *ORDER[1:]]))
def test_a_larger_solid_nodule_never_has_a_lower_category(case, one, other, change, prior):
    small, large = sorted((one, other))
    comparison = seen(change, 200, prior)
    assert lowest(case, small, comparison) <= lowest(case, large, comparison)


@given(
    sizes, st.sampled_from(FASTER), st.sampled_from(FASTER), st.sampled_from([None, *ORDER[1:]]), st.integers(1, 400)
)
def test_a_faster_growing_solid_nodule_never_has_a_lower_category(case, mm, one, other, prior, days):
    slow, fast = sorted((one, other), key=FASTER.index)
    assert lowest(case, mm, seen(slow, days, prior)) <= lowest(case, mm, seen(fast, days, prior))


@given(sizes, sizes, st.floats(0, 10), st.floats(0, 10))
def test_both_at_once_never_has_a_lower_determined_category(case, one, other, grew, grew_more):
    small, large = sorted((one, other))
    slow, fast = sorted((grew, grew_more))
    first = assess(*case(**solid(small, lung_rads_change(small - slow, small, 300))))
    second = assess(*case(**solid(large, lung_rads_change(large - fast, large, 300))))
    assert ORDER.index(first.category) <= ORDER.index(second.category)
