"""Nodules of two made-up chests: pairs, new ones, gone ones, and those whose place one CT doesn't show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from imaging.geometry import Vector
from imaging.images import Volume
from pipelines.lung_nodule.configuration import LungRules
from pipelines.lung_nodule.followup.configuration import PairingRules
from pipelines.lung_nodule.followup.pairing import Fate, Pair, Pairing, Seen, Shown, pair
from pipelines.lung_nodule.followup.registration import NotRegistered
from pipelines.lung_nodule.guidelines.facts import Density
from pipelines.lung_nodule.lungs import find_lungs

RULES = PairingRules()
RIGHT: Vector = (-80.0, 20.0, 30.0)
LEFT: Vector = (80.0, 25.0, 10.0)


def beside(place: Vector, x: float) -> Vector:
    return (place[0] + x, place[1], place[2])


@pytest.fixture
def paired(twice):
    def paired(now: list[Seen], then: list[Seen]) -> Pairing:
        """``then`` is given where it would lie now."""
        before = [replace(n, centre=tuple(map(float, twice.registration.to_prior(n.centre)[0]))) for n in then]
        return pair(now, before, twice.registration, present=twice.now, prior=twice.then, rules=RULES)

    return paired


class TestPairs:
    def test_each_with_its_own(self, paired):
        found = paired([Seen(RIGHT, 8), Seen(LEFT, 7)], [Seen(beside(LEFT, 2), 7), Seen(beside(RIGHT, -3), 6)])
        assert found.pairs == (Pair(0, 1, pytest.approx(3, abs=0.6)), Pair(1, 0, pytest.approx(2, abs=0.6)))
        assert not found.now
        assert not found.then

    def test_two_neighbours_are_not_crossed(self, paired):
        """The nearest of all pairs, first come first served, would leave the outer two unpaired."""
        now = [Seen(RIGHT, 6), Seen(beside(RIGHT, 6), 6)]
        then = [Seen(beside(RIGHT, -4), 6), Seen(beside(RIGHT, 1.5), 6)]
        assert [(p.now, p.then) for p in paired(now, then).pairs] == [(0, 0), (1, 1)]

    def test_of_two_in_reach_the_one_of_its_size_and_density(self, paired):
        then = [Seen(beside(RIGHT, 1), 4), Seen(beside(RIGHT, -2), 8)]
        assert [p.then for p in paired([Seen(RIGHT, 8.5)], then).pairs] == [1]
        then = [Seen(beside(RIGHT, 1), 8, Density.NON_SOLID), Seen(beside(RIGHT, -2), 8, Density.SOLID)]
        assert [p.then for p in paired([Seen(RIGHT, 8, Density.SOLID)], then).pairs] == [1]

    def test_what_is_too_far_or_of_another_order_of_size_is_another_nodule(self, paired):
        for other in (Seen(beside(RIGHT, 10), 8), Seen(RIGHT, 25)):
            found = paired([Seen(RIGHT, 8)], [other])
            assert not found.pairs
            assert [s.fate for s in found.now] == [Fate.NEW]
            assert [s.fate for s in found.then] == [Fate.GONE]

    def test_no_nodules_then_or_now(self, paired):
        assert [s.fate for s in paired([Seen(RIGHT, 8)], []).now] == [Fate.NEW]
        assert [s.fate for s in paired([], [Seen(RIGHT, 8)]).then] == [Fate.GONE]

    def test_a_weak_mark_then_is_a_partner_but_never_gone(self, paired):
        weak = Seen(RIGHT, 7, reported=False)
        assert len(paired([Seen(RIGHT, 8)], [weak]).pairs) == 1
        found = paired([Seen(LEFT, 8)], [weak])
        assert not found.then
        assert not paired([Seen(LEFT, 8, reported=False)], []).now


class TestWhatIsNotShown:
    def test_a_place_outside_the_lungs_is_neither_new_nor_gone(self, paired):
        liver: Vector = (-60.0, -60.0, -110.0)
        found = paired([Seen(liver, 8)], [Seen(beside(liver, 30), 8)])
        assert [(s.fate, s.why) for s in (*found.now, *found.then)] == [
            (Fate.NOT_SHOWN, "its place lies outside the lungs")
        ] * 2

    def test_a_small_one_may_be_hidden_by_thick_slices(self, paired, twice):
        assert [s.fate for s in paired([Seen(RIGHT, 5.5)], []).now] == [Fate.NEW]
        [single] = paired([Seen(RIGHT, 4.5)], []).now
        assert single.fate is Fate.NOT_SHOWN
        assert single.why == "4.5 mm may be hidden by slices of 2.5 mm"

    def test_an_earlier_ct_that_ends_above_the_place(self, twice):
        volume = twice.then.volume
        start = 55
        array = volume.array[start:].copy()
        place = volume.geometry.crop((start, 0, 0), array.shape)
        part = Volume(array, place, volume.slices[start:], volume.series)
        upper = Shown(part, find_lungs(part, LungRules()))
        low: Vector = (-70.0, 20.0, -60.0)
        assert twice.registration.to_prior(low)[0, 2] < place.origin[2]
        now = [Seen(low, 8), Seen(RIGHT, 8)]
        found = pair(now, [], twice.registration, present=twice.now, prior=upper, rules=RULES)
        assert [s.fate for s in found.now] == [Fate.NOT_SHOWN, Fate.NEW]
        assert found.now[0].why == "its place lies at or past the CT's edge"
        # and the other way round: seen then, at a place that the present CT doesn't show
        there: Vector = tuple(map(float, twice.registration.to_prior(low)[0]))
        gone = pair([], [Seen(there, 8)], twice.registration, present=upper, prior=twice.then, rules=RULES)
        assert [s.fate for s in gone.then] == [Fate.NOT_SHOWN]

    def test_what_the_scanner_padded(self, twice):
        volume = twice.then.volume
        shown = Shown(
            Volume(volume.array, volume.geometry, volume.slices, volume.series, np.ones(volume.array.shape, bool)),
            twice.then.lungs,
        )
        [single] = pair([Seen(RIGHT, 8)], [], twice.registration, present=twice.now, prior=shown, rules=RULES).now
        assert single.why == "its place was padded by the scanner"

    def test_without_registration_nothing_is_paired(self, twice):
        failed = NotRegistered("the earlier CT could not be registered: no lungs")
        found = pair([Seen(RIGHT, 8)], [Seen(RIGHT, 8)], failed, present=twice.now, prior=twice.then, rules=RULES)
        assert not found.pairs
        assert [(s.fate, s.why) for s in (*found.now, *found.then)] == [(Fate.NOT_COMPARED, failed.why)] * 2
